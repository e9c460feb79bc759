"""The order of a run whose photos are done elsewhere, with a crew that is made of a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from defocusfix.errors import DeviceError, InputError, NetworkError, OutputError, UsageError
from defocusfix.jobs.distributing import QUEUE, distribute
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
from defocusfix.jobs.fingerprint import FileState
from defocusfix.jobs.plan import Item, OnExists, Plan
from defocusfix.jobs.remote_task import Broken, Carried, Refused
from defocusfix.jobs.run import Stop, Stopped

BEFORE, AFTER = FileState(1, 1, "before"), FileState(2, 2, "after")


class StandIn:
    """A crew with room for two, who end in the order in which photos were given, one a call.

    `outcomes` maps names of photos to what becomes of them, if they are not done.
    """

    def __init__(self, **outcomes):
        self.outcomes = outcomes
        self.waiting = []
        self.given = []
        self.most = 0
        self.is_withdrawn = False
        self.on_end = {}  # by the name of the photo

    def size(self):
        return 2

    def begin(self, number, order):
        assert not self.is_withdrawn
        self.given.append(order)
        self.waiting.append((number, order))
        self.most = max(self.most, len(self.waiting))

    def ended(self, seconds):
        if not self.waiting:
            return None
        number, order = self.waiting.pop(0)
        name = order.item.source.name
        self.on_end.get(name, lambda: None)()
        if self.is_withdrawn and len(self.waiting) < 2:
            return number, Refused(DeviceError("the run is over"))
        return number, self.outcomes.get(name) or Carried(done(order.item), BEFORE, AFTER)

    def withdraw(self):
        self.is_withdrawn = True


class ListBooks:
    """Books in which photos are settled by name, and that note what they are told."""

    def __init__(self, **settled):
        self.settled = settled
        self.written = []
        self.claimed_once = set()
        self.full = False

    def take(self, item):
        if item.source.name in self.claimed_once:
            self.claimed_once.remove(item.source.name)
            return PhotoSkipped(item, SkipReason.CLAIMED)
        found = self.settled.get(item.source.name)
        if isinstance(found, Exception):
            raise found
        return found(item) if found else item

    def check(self):
        if self.full:
            raise OutputError("the disk is full")

    def done(self, done, *, source=None, output=None):
        self.check()
        self.written.append((done.item.source.name, source, output))

    def failed(self, failed):
        self.written.append((failed.item.source.name, failed.error))


def done(item: Item) -> PhotoDone:
    return PhotoDone(
        item=item,
        picture=Picture(100, 100, 8, "png"),
        method=Method("model", "engine", "cpu", "fp32", 8),
        seconds=1.0,
        megapixels=0.5,
        blur=None,
        scales={},
        warnings=(),
        notes=(),
    )


def plan(*names: str) -> Plan:
    items = tuple(Item(Path(name), Path(f"{name}.out"), key=name) for name in names)
    return Plan(items, OnExists.SKIP)


def run(crew: StandIn, names: str, **options) -> tuple[list, Finished]:
    events: list = []
    try:
        finished = distribute(plan(*names), crew, events.append, program="test", **options)
    except Stopped as stopped:
        finished = stopped.finished
    assert isinstance(events[0], Started)
    assert events[-1] == finished
    return events[1:-1], finished


def names_of(events: list, kind: type) -> str:
    return "".join(event.item.source.name for event in events if isinstance(event, kind))


def test_every_photo_is_told_with_the_events_of_any_run_and_written_down_as_its_worker_saw_it():
    books = ListBooks()
    events, finished = run(StandIn(), "abc", books=books)
    assert [type(event) for event in events] == [PhotoStarted, Progress, PhotoDone] * 3
    assert [event.item.source for event in events[::3]] == [Path("a"), Path("b"), Path("c")]
    assert books.written == [(name, BEFORE, AFTER) for name in "abc"]
    assert (finished.n_done, finished.megapixels, finished.n_left) == (3, 1.5, 0)


def test_workers_are_given_absolute_paths_and_never_more_than_keeps_them_busy(tmp_path):
    crew = StandIn()
    run(crew, "abcdefghij")
    assert crew.most == QUEUE * crew.size()
    assert [order.item.source for order in crew.given] == [Path(n).absolute() for n in "abcdefghij"]


def test_what_is_in_the_place_of_an_output_is_noted_when_the_photo_is_given(tmp_path):
    taken = tmp_path / "there"
    taken.write_bytes(b"1234")
    items = (Item(Path("a"), taken), Item(Path("b"), tmp_path / "new"))
    crew = StandIn()
    distribute(Plan(items, OnExists.OVERWRITE), crew, lambda event: None, program="test")
    assert [order.before for order in crew.given] == [FileState.of(taken), None]


def test_photos_that_need_no_work_are_given_to_nobody():
    books = ListBooks(
        a=lambda item: PhotoSkipped(item, SkipReason.DONE),
        b=lambda item: PhotoFailed(item, InputError("broken"), is_earlier=True),
    )
    crew = StandIn()
    _, finished = run(crew, "abc", books=books, fails_fast=True)
    assert [order.item.source.name for order in crew.given] == ["c"]
    assert (finished.n_done, finished.n_skipped, len(finished.failed)) == (1, 1, 1)
    assert [name for name, *_ in books.written] == ["c"]


def test_a_photo_that_another_run_is_at_is_asked_for_again_at_the_end():
    books = ListBooks(b=lambda item: PhotoSkipped(item, SkipReason.CLAIMED))
    books.claimed_once = {"a"}
    events, finished = run(StandIn(), "abc", books=books)
    assert names_of(events, PhotoDone) == "ca"
    assert names_of(events, PhotoSkipped) == "b"
    assert (finished.n_done, finished.n_claimed) == (2, 1)


def test_a_photo_that_fails_is_told_and_the_others_are_done():
    error, full = InputError("broken"), OSError(28, "full")
    books = ListBooks(b=OutputError("in the way"))
    events, finished = run(StandIn(a=Broken(error, full)), "abc", books=books)
    assert names_of(events, PhotoFailed) == "ba"
    assert names_of(events, PhotoDone) == "c"
    assert error.__cause__ is full
    assert len(finished.failed) == 2


def test_fail_fast_gives_out_no_more_and_keeps_what_is_being_computed():
    crew = StandIn(a=Broken(InputError("broken"), None))
    events, finished = run(crew, "abcdefgh", fails_fast=True)
    assert crew.is_withdrawn
    assert names_of(events, PhotoDone) == "b"
    assert (finished.n_done, finished.n_left, len(finished.failed)) == (1, 6, 1)


def test_asked_to_stop_it_waits_for_what_is_being_computed_and_takes_back_the_rest():
    crew, stop = StandIn(), Stop()
    crew.on_end["a"] = stop.ask
    events, finished = run(crew, "abcdefgh", stop=stop)
    assert names_of(events, PhotoDone) == "ab"
    assert (finished.n_done, finished.n_left, finished.failed) == (2, 6, ())
    assert len(crew.given) == QUEUE * crew.size()


def test_an_unfit_machine_ends_the_run_once_what_is_being_computed_is_written_down():
    crew, books = StandIn(b=Refused(DeviceError("does not see the folder"))), ListBooks()
    events: list = []
    with pytest.raises(DeviceError, match="does not see"):
        distribute(plan(*"abcdefgh"), crew, events.append, program="test", books=books)
    assert [name for name, *_ in books.written] == ["a", "c"]
    assert events[-1].n_done == 2
    assert crew.waiting == []


def test_books_that_cannot_be_kept_end_the_run():
    crew, books = StandIn(), ListBooks()
    crew.on_end["b"] = lambda: setattr(books, "full", True)
    with pytest.raises(OutputError, match="full"):
        distribute(plan(*"abcdefgh"), crew, lambda event: None, program="test", books=books)
    assert [name for name, *_ in books.written] == ["a"]


def test_a_cluster_that_is_lost_ends_the_run(monkeypatch):
    crew = StandIn()

    def lose(seconds):
        raise NetworkError("the cluster is lost")

    monkeypatch.setattr(crew, "ended", lose)
    with pytest.raises(NetworkError, match="lost"):
        distribute(plan(*"ab"), crew, lambda event: None, program="test")


def test_a_plan_without_photos_asks_nothing_of_the_crew():
    events, finished = run(StandIn(), "")
    assert (events, finished.n_done) == ([], 0)


def test_standard_input_is_refused():
    items = (Item(None, Path("out")),)
    with pytest.raises(UsageError, match="files only"):
        distribute(Plan(items, OnExists.ERROR), StandIn(), lambda event: None, program="test")
