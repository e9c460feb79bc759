"""The order of a run and what it tells, with stand-ins for reading, computing and saving."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from defocusfix.errors import DeviceError, InputError, OutputError
from defocusfix.jobs.events import (
    Blur,
    Finished,
    Method,
    PhotoDone,
    PhotoFailed,
    PhotoSkipped,
    PhotoStarted,
    Progress,
    SkipReason,
    Started,
)
from defocusfix.jobs.plan import Item, OnExists, Plan
from defocusfix.jobs.reader import MOST_SETTLED
from defocusfix.jobs.run import LARGEST_READ_AHEAD_MP, Computed, Saved, Stop, Stopped, run_plan
from defocusfix.photo.coding import PngCoding
from defocusfix.photo.photo import Photo

METHOD = Method("model", "engine", "cpu", "fp32", 8)
WAIT = 20  # seconds until a test that waits for another thread has failed


class StandIn:
    """Work whose steps are noted and can be made to fail: `failing` maps a step to its error."""

    program = "test 1.0"

    def __init__(self, failing=None, megapixels=0.01):
        self.failing = failing or {}
        self.steps = []
        self.size = megapixels
        self.computing = {}  # a step during computing, by the name of the photo

    def _step(self, name: str, item: Item) -> None:
        self.steps.append((name, item.name))
        if (name, item.name) in self.failing:
            raise self.failing[name, item.name]

    def warm_up(self, item):
        self._step("warm up", item)

    def read(self, item):
        self._step("read", item)
        # Height and width cost nothing here: one value is repeated.
        pixels = np.broadcast_to(np.uint8(0), (int(self.size * 1e4), 100, 1))
        return Photo(pixels, PngCoding())

    def method(self, photo):
        return METHOD

    def megapixels(self, photo):
        return photo.megapixels

    def compute(self, item, photo, report):
        self._step("compute", item)
        self.computing.get(item.name, lambda: None)()
        report(0.25)
        report(0.75)

        def save():
            self._step("save", item)
            return Saved(warnings=("lost something",), notes=("by the way",))

        return Computed(Blur(0.5, 1.0, 2.0), {1: 1.0}, ("slow",), save)


def plan(*names: str, skipped: tuple[str, ...] = ()) -> Plan:
    items = tuple(Item(Path(n), Path(f"{n}.out"), is_skipped=n in skipped) for n in names)
    return Plan(items, OnExists.ERROR)


def test_a_photo_whose_place_cannot_be_written_to_is_not_even_read(monkeypatch):
    def refuse(path: Path) -> None:
        raise OutputError(f"{path} cannot be written")

    monkeypatch.setattr("defocusfix.jobs.reader.check_writable", refuse)
    work, told = StandIn(), []
    finished = run_plan(plan("a"), work, told.append)
    assert ("read", "a") not in work.steps
    assert "a.out cannot be written" in str(finished.failed[0].error)


def run(work: StandIn, *names: str, **options):
    events = []
    finished = run_plan(plan(*names, **options), work, events.append)
    assert events[-1] == finished
    return events


def test_every_photo_is_started_followed_and_done_and_the_end_counts_them():
    events = run(StandIn(), "a", "b")
    kinds = [type(event) for event in events]
    one = [PhotoStarted, Progress, Progress]
    assert kinds[0] is Started
    assert kinds[-1] is Finished
    assert [kind for kind in kinds if kind in one] == one * 2
    done = [event for event in events if isinstance(event, PhotoDone)]
    assert [event.item.name for event in done] == ["a", "b"]
    assert done[0].warnings == ("slow", "lost something")
    assert done[0].notes == ("by the way",)
    assert (events[-1].n_done, events[-1].n_skipped, events[-1].failed) == (2, 0, ())
    shares = [event.done for event in events if isinstance(event, Progress)]
    assert shares == [0.25, 1.0] * 2


def test_what_is_skipped_is_neither_read_nor_written():
    work = StandIn()
    finished = run(work, "a", "b", skipped=("a",))[-1]
    assert {name for _, name in work.steps} == {"b"}
    assert (finished.n_done, finished.n_skipped) == (1, 1)
    assert run(StandIn(), "a", skipped=("a",))[-1].n_done == 0


@pytest.mark.parametrize("step", ["read", "compute", "save"])
@pytest.mark.parametrize("error", [InputError("broken"), OutputError("full")])
def test_a_photo_that_fails_is_told_and_the_others_are_done(step, error):
    events = run(StandIn({(step, "b"): error}), "a", "b", "c")
    failed = [event for event in events if isinstance(event, PhotoFailed)]
    assert [(event.item.name, event.error) for event in failed] == [("b", error)]
    done = [event.item.name for event in events if isinstance(event, PhotoDone)]
    assert done == ["a", "c"]
    assert events[-1].failed == tuple(failed)


def test_an_error_that_every_photo_would_meet_ends_the_run_and_the_photo_before_is_saved():
    work = StandIn({("compute", "b"): DeviceError("no memory")})
    with pytest.raises(DeviceError, match="no memory"):
        run(work, "a", "b", "c")
    assert ("save", "a") in work.steps
    assert ("compute", "c") not in work.steps


def test_an_interrupt_lets_the_photo_that_is_being_saved_be_saved():
    work = StandIn({("compute", "b"): KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run(work, "a", "b")
    assert ("save", "a") in work.steps


def test_the_next_photo_is_read_while_one_is_computed():
    work = StandIn()
    was_read = threading.Event()
    read = work.read
    work.read = lambda item: (read(item), was_read.set() if item.name == "b" else None)[0]
    work.computing["a"] = lambda: assert_set(was_read)
    run(work, "a", "b")


def test_a_photo_is_saved_while_the_next_one_is_computed():
    work = StandIn()
    begun = threading.Event()
    work.computing["b"] = begun.set
    step = work._step
    work._step = lambda name, item: (
        assert_set(begun) if (name, item.name) == ("save", "a") else None,
        step(name, item),
    )
    run(work, "a", "b")


def test_a_photo_too_large_to_have_company_is_read_after_the_one_before_is_computed():
    work = StandIn(megapixels=LARGEST_READ_AHEAD_MP + 1)
    run(work, "a", "b")
    assert work.steps.index(("read", "b")) > work.steps.index(("compute", "a"))


def test_the_engine_is_made_ready_before_the_first_photo_is_there():
    work = StandIn()
    was_warm = threading.Event()
    warm_up, read = work.warm_up, work.read
    work.warm_up = lambda item: (warm_up(item), was_warm.set())
    work.read = lambda item: (assert_set(was_warm), read(item))[1]
    run(work, "a")


def test_events_become_json_with_the_version_of_their_schema():
    events = [event.to_json() for event in run(StandIn(), "a")]
    assert {event["schema"] for event in events} == {1}
    kinds = [event["event"] for event in events]
    assert kinds == ["start", "photo_start", "progress", "progress", "photo_done", "summary"]
    done = events[-2]
    assert (done["input"], done["output"], done["model"]) == ("a", "a.out", "model")
    assert done["radius_px"] == {"median": 1.0, "percentile_95": 2.0}
    failed = run(StandIn({("read", "a"): InputError("broken", fix="mend")}), "a")[1].to_json()
    assert (failed["error"], failed["exit_code"], failed["try"]) == ("InputError", 4, "mend")


class Books:
    """Books that settle the photos they were told to, and note what they are told."""

    def __init__(self, settled=None, failing=None):
        self.settled = settled or {}
        self.failing = failing or {}
        self.notes = []

    def _note(self, name: str, item: Item) -> None:
        self.notes.append((name, item.name))
        if (name, item.name) in self.failing:
            raise self.failing[name, item.name]

    def take(self, item):
        self._note("take", item)
        reason = self.settled.get(item.name)
        if isinstance(reason, InputError):
            return PhotoFailed(item, reason, is_earlier=True)
        return item if reason is None else PhotoSkipped(item, reason)

    def check(self):
        pass

    def done(self, done):
        self._note("done", done.item)

    def failed(self, failed):
        self._note("failed", failed.item)


def run_with(books: Books, *names: str, work: StandIn | None = None, **options):
    """The events of a run with books, and what it raised."""
    events, error = [], None
    try:
        run_plan(plan(*names), work or StandIn(), events.append, books=books, **options)
    except (InputError, OutputError, Stopped) as raised:
        error = raised
    return events, error


def test_the_books_are_asked_before_a_photo_is_read_and_told_what_became_of_it():
    work = StandIn({("compute", "b"): InputError("broken")})
    books = Books({"c": SkipReason.DONE, "d": InputError("as before")})
    events, _ = run_with(books, "a", "b", "c", "d", work=work)
    assert {step for step in work.steps if step[0] == "read"} == {("read", "a"), ("read", "b")}
    told = [note for note in books.notes if note[0] != "take"]
    assert sorted(told) == [("done", "a"), ("failed", "b")]
    finished = events[-1]
    assert (finished.n_done, finished.n_skipped, finished.n_left) == (1, 1, 0)
    assert [(failure.item.name, failure.is_earlier) for failure in finished.failed] == [
        ("b", False),
        ("d", True),
    ]
    assert finished.megapixels == pytest.approx(0.01)


def test_the_engine_is_not_made_ready_if_no_photo_needs_it():
    work = StandIn()
    names = [str(number) for number in range(2 * MOST_SETTLED + 5)]
    events, _ = run_with(Books(dict.fromkeys(names, SkipReason.DONE)), *names, work=work)
    assert work.steps == []
    assert [e.item.name for e in events if isinstance(e, PhotoSkipped)] == names
    assert events[-1].n_skipped == len(names)


def test_a_photo_that_another_run_is_at_comes_last_and_is_left_if_it_still_is():
    books = Books({"a": SkipReason.CLAIMED})
    events, _ = run_with(books, "a", "b")
    assert [note for note in books.notes if note[0] == "take"] == [
        ("take", "a"),
        ("take", "b"),
        ("take", "a"),
    ]
    assert (events[-1].n_claimed, events[-1].n_skipped, events[-1].n_done) == (1, 0, 1)
    (skipped,) = (event for event in events if isinstance(event, PhotoSkipped))
    assert skipped.to_json()["reason"] == "claimed"


@pytest.mark.parametrize("note", ["done", "failed"])
def test_books_that_cannot_be_kept_end_the_run_after_what_is_told(note):
    full = OutputError("the disk is full")
    work = StandIn({("compute", "b"): InputError("broken")} if note == "failed" else {})
    events, error = run_with(Books(failing={(note, "b"): full}), "a", "b", "c", "d", work=work)
    assert error is full
    assert isinstance(events[-1], Finished)
    assert events[-1].n_left >= 2
    assert ("save", "d") not in work.steps


def test_an_item_that_cannot_be_taken_is_one_that_failed():
    events, error = run_with(Books(failing={("take", "a"): OutputError("there")}), "a", "b")
    assert error is None
    assert (events[-1].n_done, len(events[-1].failed)) == (1, 1)


@pytest.mark.parametrize("step", ["read", "compute", "save"])
def test_an_error_nobody_thought_of_is_that_of_one_photo_where_books_are_kept(step):
    work = StandIn({(step, name): ZeroDivisionError("by nought") for name in "bd"})
    books = Books()
    events, error = run_with(books, *"abcd", work=work)
    assert error is None
    assert [failure.item.name for failure in events[-1].failed] == ["b", "d"]
    assert "ZeroDivisionError: by nought" in str(events[-1].failed[0].error)
    assert ("failed", "b") in books.notes
    with pytest.raises(ZeroDivisionError):
        run(work, *"abcd")


def test_an_error_nobody_thought_of_ends_the_run_if_three_photos_in_a_row_meet_it():
    work = StandIn({("compute", name): ZeroDivisionError("by nought") for name in "bcdefg"})
    with pytest.raises(ZeroDivisionError):
        run_with(Books(), *"abcdefg", work=work)
    assert ("compute", "d") in work.steps
    assert ("compute", "e") not in work.steps


def test_the_first_failure_can_be_the_last():
    work = StandIn({("compute", "b"): InputError("broken")})
    events = []
    finished = run_plan(plan("a", "b", "c", "d"), work, events.append, fails_fast=True)
    assert ("compute", "c") not in work.steps
    assert (finished.n_done, len(finished.failed), finished.n_left) == (1, 1, 2)
    assert [e.item.name for e in events if isinstance(e, PhotoDone)] == ["a"]


def test_a_stop_ends_after_the_running_tile_and_saves_what_is_computed():
    work, stop, events = StandIn(), Stop(), []
    work.computing["b"] = stop.ask
    with pytest.raises(Stopped) as stopped:
        run_plan(plan("a", "b", "c"), work, events.append, stop=stop)
    assert ("save", "a") in work.steps
    assert ("save", "b") not in work.steps
    assert len([e for e in events if isinstance(e, Progress) and e.item.name == "b"]) == 1
    finished = stopped.value.finished
    assert events[-1] == finished
    assert (finished.n_done, finished.n_left) == (1, 2)


def test_a_stop_during_the_last_tile_of_a_photo_still_saves_it():
    work, stop = StandIn(), Stop()

    def tell(event):
        if isinstance(event, Progress) and event.done == 1.0:
            stop.ask()

    with pytest.raises(Stopped) as stopped:
        run_plan(plan("a", "b"), work, tell, stop=stop)
    assert stopped.value.finished.n_done == 1


@pytest.mark.parametrize("step", ["read", "save"])
def test_a_stop_while_a_photo_is_read_or_saved_lets_that_end(step):
    work, stop = StandIn(), Stop()
    take_step = work._step
    work._step = lambda name, item: (
        stop.ask() if (name, item.name) == (step, "a") else None,
        take_step(name, item),
    )
    with pytest.raises(Stopped) as stopped:
        run_plan(plan(*"abcdefgh"), work, lambda event: None, stop=stop)
    assert stopped.value.finished.n_done == (step == "save")


def test_a_stop_that_comes_when_all_is_done_is_none():
    work, stop = StandIn(), Stop()
    tell = lambda event: stop.ask() if isinstance(event, PhotoDone) else None  # noqa: E731
    assert run_plan(plan("a"), work, tell, stop=stop).n_done == 1


def assert_set(event: threading.Event) -> None:
    assert event.wait(WAIT)
