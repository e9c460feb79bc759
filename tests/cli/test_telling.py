from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from defocusfix.cli import output, telling
from defocusfix.cli.telling import MOST_NAMES, MOST_TOLD_EACH, Teller, demanded, raise_what_failed
from defocusfix.errors import InputError, PartialError
from defocusfix.jobs.events import (
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
)
from defocusfix.jobs.plan import Item

ITEM = Item(Path("rose.jpg"), Path("rose_restored.jpg"))
PICTURE = Picture(6000, 4000, 8, "jpeg")


def done(item: Item = ITEM, *, precision: str = "fp32", bits: int = 8, **facts) -> PhotoDone:
    method = Method("focusnet-s", "onnxruntime 1.31", "cpu", precision, bits)
    told = {"blur": None, "scales": {}, "warnings": (), "notes": (), **facts}
    return PhotoDone(item, PICTURE, method, seconds=20.0, megapixels=24.0, **told)


def told(capsys, *events, demands: frozenset[str] = frozenset(), **more) -> list[str]:
    teller = Teller("Restoring", demands=demands, as_json=False, **more)
    for event in events:
        teller(event)
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


@pytest.mark.parametrize(
    ("precision", "bits", "demands", "reason"),
    [
        ("fp32", 8, {}, "in fp32 (fastest here)"),
        ("bf16", 8, {}, "in bf16 (fastest here, enough for 8-bit output)"),
        ("fp32", 16, {}, "in fp32 (fastest here for 16-bit output)"),
        ("fp16", 16, {"precision": "fp16"}, "in fp16 (as demanded)"),
        (
            "int8",
            8,
            {"engine": "onnxruntime"},
            "in int8 (fastest with the engine demanded, enough for 8-bit output)",
        ),
        (
            "fp32",
            16,
            {"engine": "openvino", "device": "cpu"},
            "in fp32 (fastest with the device and engine demanded for 16-bit output)",
        ),
    ],
)
def test_the_line_of_a_photo_says_what_computed_it_and_why(
    capsys, precision, bits, demands, reason
):
    asked = demanded(**{"engine": "auto", "device": "auto", "precision": "auto"} | demands)
    (line,) = told(capsys, done(precision=precision, bits=bits), demands=asked)
    assert reason in line
    assert "6000 x 4000 (24.0 MP)" in line
    assert "20.0 s, 1.2 MP/s" in line


def test_a_note_is_said_once_at_the_end_with_the_photos_it_is_true_of(capsys):
    items = [Item(Path(f"{name}.jpg"), Path(f"{name}.out")) for name in "abcde"]
    photos = [done(item, notes=("it loses a little",)) for item in items]
    lines = told(capsys, Started("test", tuple(items)), *photos, Finished(5, 0, (), 1.0))
    assert lines[5] == "note: 5 photos (a.jpg, b.jpg, c.jpg, ...): it loses a little"
    lines = told(capsys, Started("test", tuple(items[:2])), *photos[:2], Finished(2, 0, (), 1.0))
    assert lines[2] == "note: a.jpg, b.jpg: it loses a little"


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


def batch(number: int) -> tuple[Item, ...]:
    """Photos of a folder, with keys."""
    names = [f"2024/{n}.jpg" for n in range(number)]
    return tuple(Item(Path("in", n), Path("out", n), key=n) for n in names)


def broken(item: Item, *, is_earlier: bool = False) -> PhotoFailed:
    error = InputError(f"{item.source.name} cannot be read", why="damaged JPEG")
    return PhotoFailed(item, error, is_earlier)


def test_of_a_large_batch_no_photo_has_a_line_of_its_own_and_what_computes_is_said_once(capsys):
    items = batch(100)
    method = done().method
    begun = [PhotoStarted(item, PICTURE, 24.0, method) for item in items]
    events = [event for pair in zip(begun, map(done, items), strict=True) for event in pair]
    end = Finished(100, 0, (), 1200.0, megapixels=2400.0)
    lines = told(capsys, Started("test", items), *events, end)
    assert lines == [
        "focusnet-s, onnxruntime 1.31 on cpu in fp32 (fastest here)",
        "done: 100 photos, 2,400 MP in 20:00, 2 MP/s",
    ]


def test_progress_of_two_photos_at_the_same_time_is_told_apart(monkeypatch):
    noted = []

    class Display:
        def begin(self, label, megapixels):
            noted.append(label)

        def advance(self, share):
            noted.append(share)

        def aside(self, share, megapixels):
            noted.append((share, megapixels))

    monkeypatch.setattr(telling, "track_batch", lambda *_: nullcontext(Display()))
    first, second = batch(2)
    method = done().method
    teller = Teller("Restoring", demands=frozenset(), as_json=False)
    for event in (
        Started("program", (first, second)),
        PhotoStarted(first, PICTURE, 24.0, method),
        PhotoStarted(second, PICTURE, 6.0, method),
        Progress(first, 0.5, 0.5),
        Progress(second, 0.25, 0.25),
    ):
        teller(event)
    names = [item.source.name for item in (first, second)]
    assert noted == [*names, (0.5, 24.0), 0.25]


def test_with_verbose_every_photo_of_a_large_batch_has_its_line(capsys, monkeypatch):
    monkeypatch.setattr(output, "_manner", output.Manner(is_verbose=True))
    items = batch(MOST_TOLD_EACH + 1)
    lines = told(capsys, Started("test", items), *map(done, items))
    assert [line.split(":")[0] for line in lines] == [str(item.output) for item in items]


def test_the_summary_says_what_was_skipped_and_why_and_what_is_left(capsys):
    items = batch(50)
    skipped = [PhotoSkipped(item, SkipReason.DONE) for item in items[:12]]
    there = PhotoSkipped(items[12], SkipReason.EXISTS)
    claimed = PhotoSkipped(items[13], SkipReason.CLAIMED)
    end = Finished(3, 13, (), 65.0, n_claimed=1, n_left=33, megapixels=7.0)
    lines = told(capsys, Started("test", items), *skipped, there, claimed, end)
    assert lines == [
        "done: 3 photos, 7.0 MP in 1:05, 0.108 MP/s",
        "skipped: 12 photos done before, unchanged since",
        "skipped: 1 photo whose output is there already",
        "left: 1 photo that another run is doing",
        "left: 33 photos that this run did not come to",
    ]


def test_of_many_failures_the_first_are_listed_with_their_reasons_and_the_rest_has_a_place(capsys):
    items = batch(60)
    failed = tuple(broken(item, is_earlier=item is items[0]) for item in items[:25])
    end = Finished(35, 0, failed, 1.0)
    lines = told(capsys, Started("test", items), *failed, end, details=Path("report.html"))
    assert lines[1] == "failed: 25 photos, 1 of them in an earlier run"
    assert lines[2] == "  2024/0.jpg cannot be read: damaged JPEG"
    assert len(lines) == 2 + MOST_TOLD_EACH + 1
    assert lines[-1] == "  and 5 more; report.html has all"


def test_warnings_are_grouped_by_kind_whatever_numbers_they_hold(capsys):
    items = batch(30)
    photos = [
        done(item, warnings=(f"tiles were cut into {n} pieces",)) for n, item in enumerate(items)
    ]
    lines = told(capsys, Started("test", items), *photos, Finished(30, 0, (), 1.0))
    assert lines[0] == (
        "warning: 30 photos (2024/0.jpg, 2024/1.jpg, 2024/2.jpg, ...): tiles were cut into 0 pieces"
    )
    assert len(lines) == 2


def test_one_teller_tells_of_several_runs_each_by_itself(capsys):
    first, second = batch(2), batch(1)
    teller = Teller("Restoring", demands=frozenset(), as_json=False)
    for event in (Started("t", first), done(first[0], warnings=("odd",)), Finished(1, 0, (), 1.0)):
        teller(event)
    capsys.readouterr()
    for event in (Started("t", second), done(second[0]), Finished(1, 0, (), 1.0)):
        teller(event)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_error_about_very_many_photos_names_a_few():
    items = batch(1000)
    failed = tuple(map(broken, items[:500]))
    with pytest.raises(PartialError) as told_error:
        raise_what_failed(Finished(500, 0, failed, 1.0), 1000, "restored", fix="--retry-failed")
    assert told_error.value.why.count("2024/") == MOST_NAMES
    assert told_error.value.why.endswith(" and 480 more")
    assert told_error.value.fix == "--retry-failed"
    with pytest.raises(InputError, match="none of the 500 photos"):
        raise_what_failed(Finished(0, 0, failed, 1.0), 500, "restored")
