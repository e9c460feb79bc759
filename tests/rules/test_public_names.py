"""What users build on changes only together with the list in public_names.txt."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import pytest

import defocusfix
from defocusfix import errors
from defocusfix.cli.table import all_names

LISTED = (Path(__file__).parent / "public_names.txt").read_text().splitlines()

ERRORS = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, errors.DefocusfixError)
]


def test_public_names_exit_codes_and_commands_are_those_of_the_list():
    assert [
        *(f"defocusfix.{name}" for name in sorted(defocusfix.__all__)),
        *(f"defocusfix.errors.{error.__name__} {error.exit_code}" for error in ERRORS),
        *(f"defocusfix {name}" for name in sorted(all_names())),
    ] == LISTED


@pytest.mark.parametrize("name", defocusfix.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(defocusfix, name)
    assert isinstance(value, str) or inspect.getdoc(value)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'sharpen'"):
        defocusfix.sharpen  # noqa: B018  reading it is what is tested


def test_exit_codes_are_distinct_for_all_but_kinds_of_one_error():
    kinds = [error for error in ERRORS if error.__base__ in (Exception, errors.DefocusfixError)]
    assert len({error.exit_code for error in kinds}) == len(kinds)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_survives_the_way_out_of_another_process(error):
    sent = error("a photo is missing", why="no such file", fix="look in the bin")
    received = pickle.loads(pickle.dumps(sent))
    assert type(received) is error
    assert str(received) == str(sent)
    assert (received.what, received.why, received.fix) == (sent.what, sent.why, sent.fix)


def test_an_error_lines_its_texts_up():
    told = errors.InputError("photo.xyz is no photo", why="no known header", fix="export\nagain")
    assert str(told) == (
        "photo.xyz is no photo\n  why       no known header\n  try       export\n            again"
    )
    assert str(errors.InputError("just this")) == "just this"
