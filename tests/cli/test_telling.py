from __future__ import annotations

from pathlib import Path

import pytest

from defocusfix.cli import output
from defocusfix.cli.telling import Teller
from defocusfix.errors import InputError
from defocusfix.jobs.events import (
    Finished,
    Method,
    PhotoDone,
    PhotoFailed,
    PhotoStarted,
    Picture,
    Started,
)
from defocusfix.jobs.plan import Item

ITEM = Item(Path("rose.jpg"), Path("rose_restored.jpg"))
PICTURE = Picture(6000, 4000, 8, "jpeg")


def done(item: Item = ITEM, *, precision: str = "fp32", bits: int = 8, **facts) -> PhotoDone:
    method = Method("focusnet-s", "onnxruntime 1.31", "cpu", precision, bits)
    told = {"blur": None, "scales": {}, "warnings": (), "notes": (), **facts}
    return PhotoDone(item, PICTURE, method, seconds=20.0, megapixels=24.0, **told)


def told(capsys, *events, is_demanded: bool = False) -> list[str]:
    teller = Teller("Restoring", is_demanded=is_demanded, as_json=False)
    for event in events:
        teller(event)
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


@pytest.mark.parametrize(
    ("precision", "bits", "is_demanded", "reason"),
    [
        ("fp32", 8, False, "in fp32 (fastest here)"),
        ("bf16", 8, False, "in bf16 (fastest here, enough for 8-bit output)"),
        ("fp32", 16, False, "in fp32 (fastest here for 16-bit output)"),
        ("fp16", 16, True, "in fp16 (as demanded)"),
    ],
)
def test_the_line_of_a_photo_says_what_computed_it_and_why(
    capsys, precision, bits, is_demanded, reason
):
    (line,) = told(capsys, done(precision=precision, bits=bits), is_demanded=is_demanded)
    assert reason in line
    assert "6000 x 4000 (24.0 MP)" in line
    assert "20.0 s, 1.2 MP/s" in line


def test_a_note_is_said_once_at_the_end_with_the_photos_it_is_true_of(capsys):
    items = [Item(Path(f"{name}.jpg"), Path(f"{name}.out")) for name in "abcde"]
    photos = [done(item, notes=("it loses a little",)) for item in items]
    lines = told(capsys, Started("test", tuple(items)), *photos, Finished(5, 0, (), 1.0))
    assert lines[5:] == ["note: a.jpg, b.jpg, c.jpg and 2 more: it loses a little"]


def test_a_failure_among_several_is_a_warning_and_that_of_one_photo_is_left_to_the_error(capsys):
    failure = PhotoFailed(ITEM, InputError("rose.jpg is broken"))
    assert told(capsys, Started("test", (ITEM,)), failure) == []
    lines = told(capsys, Started("test", (ITEM, ITEM)), failure)
    assert lines == ["warning: rose.jpg is broken"]


def test_verbose_tells_beforehand_what_will_compute_and_afterwards_how_finely(capsys, monkeypatch):
    monkeypatch.setattr(output, "_manner", output.Manner(is_verbose=True))
    photo = done(scales={1: 0.5, 0: 0.5})
    begun = PhotoStarted(ITEM, PICTURE, 24.0, photo.method)
    lines = told(capsys, Started("test", (ITEM,)), begun, photo)
    assert lines[0].startswith("rose.jpg: focusnet-s, onnxruntime")
    assert lines[-1] == "computed: 50% full size, 50% left as it was"
