"""The page on `--json` names the events and keys that there are, and no others."""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path

import pytest

from defocusfix import errors
from defocusfix.cli import app
from defocusfix.errors import DefocusfixError, InputError
from defocusfix.jobs.estimate import Estimate, Prospect
from defocusfix.jobs.events import (
    SCHEMA,
    Blur,
    Event,
    Finished,
    Method,
    PhotoDone,
    PhotoFailed,
    PhotoSkipped,
    PhotoStarted,
    Picture,
    Progress,
    SkipReason,
    Started,
    error_to_json,
)
from defocusfix.jobs.headers import Header
from defocusfix.jobs.plan import Item

PAGE = (Path(__file__).parents[2] / "docs" / "json-events.md").read_text(encoding="utf-8")
FULL = Item(
    Path("a"),
    Path("b"),
    map_output=Path("c"),
    comparison_output=Path("d"),
    is_skipped=True,
    backup_output=Path("e"),
)
BARE = Item(None, None)
PICTURE = Picture(3, 2, 8, "png")
METHOD = Method("model", "engine", "cpu", "fp32", 8)
ERROR = InputError("broken")
FAILED = PhotoFailed(FULL, ERROR, is_earlier=True)
BLUR = Blur(0.5, 1.0, 2.0)
# Of every event one with all its keys, and one with as few as can be.
EVENTS: list[tuple[Event, Event]] = [
    (Started("d", (FULL,)), Started("d", (BARE,))),
    (PhotoStarted(FULL, PICTURE, 6e-6, METHOD), PhotoStarted(BARE, PICTURE, 6e-6, METHOD)),
    (Progress(FULL, 0.5, 0.5), Progress(BARE, 0.5, 0.5)),
    (
        PhotoDone(FULL, PICTURE, METHOD, 1.0, 6e-6, BLUR, {1: 1.0}, ("w",), ("n",)),
        PhotoDone(BARE, PICTURE, METHOD, 1.0, 6e-6, None, {}, (), ()),
    ),
    (PhotoSkipped(FULL, SkipReason.DONE), PhotoSkipped(BARE, SkipReason.DONE)),
    (FAILED, PhotoFailed(BARE, ERROR)),
    (Finished(1, 1, (FAILED,), 1.0), Finished(0, 0, (), 1.0)),
]
FORETOLD = [
    (
        Prospect(FULL, Header("png", 3, 2, 3, 8), 6e-6, 9, PhotoSkipped(FULL, SkipReason.DONE)),
        Prospect(BARE, None, 0.0, 0),
    ),
    (Estimate((), Path(), 1, 1.0), Estimate((), Path(), None, None)),
]
STAMP = {"schema", "event"}
METHOD_KEYS = set(METHOD.to_json()) | set(PICTURE.to_json())


def section(event: str) -> str:
    """What the page says of an event."""
    found = re.search(rf"^### `{event}`\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, event
    return found[1]


def documented(text: str) -> tuple[set[str], set[str]]:
    """The keys in the tables of a section, and those of them that are only sometimes there."""
    keys, sometimes = set(), set()
    for names, meaning in re.findall(r"^\| (`[^|]+`) \| (.+) \|$", text, re.MULTILINE):
        named = set(re.findall(r"`(\w+)`", names))
        keys |= named
        sometimes |= named if "*sometimes*" in meaning else set()
    return keys, sometimes


def keys_of(event: str) -> tuple[set[str], set[str]]:
    """All keys that the page gives an event, by reference too."""
    text = section(event)
    keys, sometimes = documented(text)
    if "the keys of a photo" in text and event != "start":
        photo_keys, photo_sometimes = documented(section("start").partition("Keys of a photo")[2])
        keys, sometimes = keys | photo_keys, sometimes | photo_sometimes
    if "and of `photo_start`" in text:
        keys |= METHOD_KEYS
    return keys, sometimes


@pytest.mark.parametrize(
    ("full", "bare"),
    [*EVENTS[1:], *FORETOLD],
    ids=[event.event for event, _ in (*EVENTS[1:], *FORETOLD)],
)
def test_the_page_names_the_keys_of_each_event_and_which_are_only_sometimes_there(full, bare):
    keys, sometimes = keys_of(full.event)
    assert set(full.to_json()) - STAMP == keys
    assert set(bare.to_json()) - STAMP == keys - sometimes


def test_the_page_names_the_keys_of_the_first_event_and_of_its_photos():
    of_event, _, of_photo = section("start").partition("Keys of a photo")
    assert set(EVENTS[0][0].to_json()) - STAMP == documented(of_event)[0]
    keys, sometimes = documented(of_photo)
    full, bare = (event.to_json()["photos"] for event in EVENTS[0])
    assert set(full[0]) == keys
    assert set(bare[0]) == keys - sometimes


def test_every_event_has_its_section_and_every_section_its_event():
    foretold = {event.event for event, _ in FORETOLD}
    named = {kind.event for kind in typing.get_args(Event)} | foretold | {"error"}
    assert set(re.findall(r"^### `(\w+)`", PAGE, re.MULTILINE)) == named
    assert {event.event for event, _ in EVENTS} | foretold | {"error"} == named


def test_the_last_error_has_the_keys_that_the_page_names():
    assert documented(section("error"))[0] == set(error_to_json(ERROR))


def test_every_reason_to_skip_a_photo_is_explained():
    named = set(re.findall(r"`(\w+)`:", section("photo_skipped")))
    assert named == {reason.value for reason in SkipReason}


def test_the_example_is_made_of_such_events():
    (example,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    lines = [json.loads(line) for line in example.splitlines()]
    assert [line["event"] for line in lines][-2:] == ["summary", "error"]
    for line in lines:
        assert line["schema"] == SCHEMA
        keys, sometimes = keys_of(line["event"])
        if line["event"] == "start":
            keys, sometimes = documented(section("start").partition("Keys of a photo")[0])
        assert keys - sometimes <= set(line) - STAMP <= keys


def test_the_exit_codes_are_those_of_the_errors():
    table = PAGE.partition("## Exit codes")[2]
    rows = re.findall(r"^\| (\d+) \|([^|]*)\|", table, re.MULTILINE)
    told = {name: int(code) for code, names in rows for name in re.findall(r"`(\w+)`", names)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    real = {k.__name__: k.exit_code for k in kinds if issubclass(k, DefocusfixError)}
    assert told == real
    assert {int(code) for code, names in rows if not names.strip()} == {
        0,
        app.INTERRUPTED,
        app.READER_GONE,
        128 + 15,
    }
