"""Carry out a plan: one thread reads, one writes, and the engine works between them.

While a photo is computed, the next one is read and the last one is saved, so at most three are in
memory; of large photos, which take long to compute and little to read, at most two. Several lanes
of this kind may run side by side, each on another photo.

Books, where a run keeps them, say which photos still need work and write down what became of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from defocusfix.errors import DefocusfixError
from defocusfix.jobs.events import (
    Blur,
    Event,
    Finished,
    Method,
    PhotoDone,
    PhotoFailed,
    PhotoStarted,
    Picture,
    Progress,
    Settled,
    Started,
)
from defocusfix.jobs.parallel import OneByOne, abreast
from defocusfix.jobs.plan import Item, Plan
from defocusfix.jobs.reader import PHOTO_ERRORS, Read, Reader, Reading, is_claimed
from defocusfix.jobs.surprises import MOST_IN_A_ROW, Surprises
from defocusfix.photo.photo import Photo

Report = Callable[[float], None]
"""Is told the share of the work on a photo that has just been done."""
LARGEST_READ_AHEAD_MP = 60.0  # a larger photo is not joined in memory by the next one
ALL_BUT_ROUNDING = 0.9999  # share of a photo from which on no tile of it is missing


@dataclass(frozen=True, slots=True)
class Saved:
    """What there is to say of a photo once everything is written."""

    warnings: tuple[str, ...] = ()
    """What could not be carried along."""
    notes: tuple[str, ...] = ()
    """What is as it must be and still good to know."""


@dataclass(frozen=True, slots=True)
class Computed:
    """What computing gave."""

    blur: Blur | None
    """None if the network gives no map."""
    scales: Mapping[int, float]
    """Share of the pixels by the finest size computed for them."""
    warnings: tuple[str, ...]
    """What went other than planned."""
    save: Callable[[], Saved]
    """Writes everything that is wanted of it. Called once, in the writer's thread."""


class Work(Protocol):
    """What is done to each photo. What concerns this one only is InputError or OutputError."""

    @property
    def program(self) -> str:
        """Name and version of the program that does it."""

    def warm_up(self, item: Item) -> None:
        """Load what a photo will need, as far as its name tells, while it is being read."""

    def read(self, item: Item) -> Photo:
        """The photo, checked as far as it can be before computing. In the reader's thread."""

    def method(self, photo: Photo) -> Method:
        """By what the photo will be computed; loads it if it is not loaded yet."""

    def megapixels(self, photo: Photo) -> float:
        """How much of the photo will be computed."""

    def compute(self, item: Item, photo: Photo, report: Report) -> Computed:
        """Do the work on a photo, all but writing."""


class Books(Protocol):
    """Says which photos of a plan still need work, and writes down what became of them."""

    def take(self, item: Item) -> Item | Settled:
        """The item as it shall be done, or why it shall not. In the reader's thread.

        A photo that another run is at is asked for once more after all others. InputError and
        OutputError concern this photo only.
        """

    def check(self) -> None:
        """Raise what ends the run if results have no place any more. In the writer's thread."""

    def done(self, done: PhotoDone) -> None:
        """Write down a photo that is saved. In the writer's thread.

        What this raises ends the run.
        """

    def failed(self, failed: PhotoFailed) -> None:
        """Write down a photo that failed.

        What this raises ends the run; that is the error itself, if every photo would meet it.
        """


class Stop:
    """How a run is asked to stop, from a signal handler or another thread."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def ask(self) -> None:
        """Let the run end after the tile it is at. What is computed by then is saved."""
        self._asked.set()

    @property
    def is_asked(self) -> bool:
        """Whether somebody asked."""
        return self._asked.is_set()


class Stopped(Exception):  # noqa: N818  nothing went wrong
    """A run was asked to stop and left photos undone."""

    def __init__(self, finished: Finished) -> None:
        super().__init__(finished)
        self.finished = finished


def run_plan(
    plan: Plan,
    work: Work,
    tell: Callable[[Event], None],
    *,
    beside: Sequence[Work] = (),
    books: Books | None = None,
    stop: Stop | None = None,
    fails_fast: bool = False,
) -> Finished:
    """Do the work of a plan, telling of every event, and return the last one.

    tell: called in this thread only. beside: the same work once more for every further photo that
    is to be done at the same time; events of several photos then come mixed. books: None does every
    item. fails_fast: whether the first photo that fails is also the last one. A photo that cannot
    be read or written is told as failed and the next one is done; with books, so is one that meets
    what nobody thought of. Other errors end the run, once what is being saved is saved. Raises
    Stopped if `stop` was asked for and photos are left.
    """
    start = time.perf_counter()
    tell(Started(work.program, plan.items))
    stop = stop or Stop()
    expected = (DefocusfixError, _Enough, _BooksFailed)
    surprises = Surprises(0 if books is None else MOST_IN_A_ROW, expected)
    course = _Course(OneByOne(plan.todo), books or _NoBooks(), stop, surprises, fails_fast)
    if beside:
        lanes = [partial(course.run_lane, one) for one in (work, *beside)]
        runs = abreast(lanes, tell, course.over.set)
    else:
        runs = [course.run_lane(work, tell)]
    n_done, n_skipped = sum(run.n_done for run in runs), sum(run.n_skipped for run in runs)
    n_claimed = sum(run.n_claimed for run in runs)
    n_todo = len(plan.todo)
    finished = Finished(
        n_done=n_done,
        n_skipped=n_skipped + len(plan.items) - n_todo,
        failed=tuple(course.failed),
        seconds=time.perf_counter() - start,
        n_claimed=n_claimed,
        n_left=n_todo - n_done - n_skipped - n_claimed - len(course.failed),
        megapixels=sum(run.megapixels for run in runs),
    )
    tell(finished)
    if course.errors:
        raise course.errors[0]
    if stop.is_asked and finished.n_left:
        raise Stopped(finished)
    return finished


class _NoBooks:
    """Every item is done."""

    def take(self, item: Item) -> Item | Settled:
        return item

    def check(self) -> None:
        pass

    def done(self, done: PhotoDone) -> None:
        pass

    def failed(self, failed: PhotoFailed) -> None:
        pass


class _Enough(Exception):  # noqa: N818  nothing went wrong
    """No further photo is to be done."""


class _BooksFailed(Exception):  # noqa: N818  carries the error past what handles those of a photo
    """The books could not be kept, which concerns every photo."""

    def __init__(self, error: DefocusfixError) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True, slots=True)
class _Saving:
    """A photo in the hands of the writer."""

    item: Item
    future: Future[PhotoDone]


@dataclass(slots=True)
class _Course:
    """What all lanes of a run share."""

    items: Iterator[Item]
    books: Books
    stop: Stop
    surprises: Surprises
    fails_fast: bool
    over: threading.Event = field(default_factory=threading.Event)
    """Set once one lane has ended before its time; the others follow."""
    failed: list[PhotoFailed] = field(default_factory=list)
    errors: list[DefocusfixError] = field(default_factory=list)
    """That ended the run."""

    @property
    def is_over(self) -> bool:
        """Whether no further photo, nor the rest of one, is to be done."""
        return self.stop.is_asked or self.over.is_set()

    def run_lane(self, work: Work, tell: Callable[[Event], None]) -> _Run:
        """Do one photo after another until none is left."""
        with ThreadPoolExecutor(1, "reader") as thread, ThreadPoolExecutor(1, "writer") as writer:
            run = _Run(work, tell, self, writer)
            read = partial(self.read, work)
            reader = Reader(self.items, self.books.take, read, lambda: self.is_over, thread)
            for step in (partial(run.carry_out, reader), run.settle):
                try:
                    step()
                except _Enough:
                    self.over.set()
                except _BooksFailed as failure:
                    self.errors.append(failure.error)
                    self.over.set()
                except DefocusfixError as error:
                    self.errors.append(error)
                    self.over.set()
        return run

    def read(self, work: Work, item: Item) -> Photo:
        """The photo of an item."""
        with self.surprises.about(item):
            return work.read(item)


@dataclass(slots=True)
class _Run:
    """The state of a lane between two photos."""

    work: Work
    tell: Callable[[Event], None]
    course: _Course
    writer: ThreadPoolExecutor
    n_done: int = 0
    n_skipped: int = 0
    n_claimed: int = 0
    megapixels: float = 0.0
    saving: _Saving | None = None

    def carry_out(self, reader: Reader) -> None:
        """Do all that the reader comes to."""
        reading: Reading | None = reader.go_on()
        is_warm = False
        while reading is not None:
            if not is_warm and (item := reading.taken.result()) is not None:
                self.work.warm_up(item)
                is_warm = True
            turn = reading.turn.result()
            reading = None
            for event in turn.settled:
                self._pass_over(event)
            self._check_stop()
            outcome, is_end = turn.outcome, turn.is_end
            del turn
            is_small = not isinstance(outcome, Read) or (
                outcome.photo.megapixels <= LARGEST_READ_AHEAD_MP
            )
            if is_small and not is_end:
                reading = reader.go_on()
            if isinstance(outcome, PhotoFailed):
                self._fail(outcome)
            elif outcome is not None:
                self._restore(outcome)
            del outcome
            if not is_end:
                reading = reading or reader.go_on()

    def settle(self) -> None:
        """Wait until the photo that is being saved is saved, and tell."""
        if self.saving is None:
            return
        item, future = self.saving.item, self.saving.future
        self.saving = None
        try:
            done = future.result()
        except PHOTO_ERRORS as error:
            self._fail(PhotoFailed(item, error))
            return
        self.course.surprises.end_row()
        self.n_done += 1
        self.megapixels += done.megapixels
        self.tell(done)

    def _restore(self, read: Read) -> None:
        """Compute one photo and hand it to the writer."""
        start = time.perf_counter()
        item, photo = read.item, read.photo
        picture = Picture(photo.width, photo.height, photo.bits, photo.format)
        method, megapixels = self.work.method(photo), self.work.megapixels(photo)
        self.tell(PhotoStarted(item, picture, megapixels, method))
        done = 0.0

        def report(share: float) -> None:
            nonlocal done
            done += share
            self.tell(Progress(item, share, min(done, 1.0)))
            if self.saving is not None and self.saving.future.done():
                self.settle()
            if done < ALL_BUT_ROUNDING:
                self._check_stop()

        try:
            with self.course.surprises.about(item):
                computed = self.work.compute(item, photo, report)
        except PHOTO_ERRORS as error:
            self._fail(PhotoFailed(item, error))
            return
        seconds = read.seconds + time.perf_counter() - start

        def save() -> PhotoDone:
            start = time.perf_counter()
            with _about_every_photo():
                self.course.books.check()
            with self.course.surprises.about(item):
                saved = computed.save()
            done = PhotoDone(
                item=item,
                picture=picture,
                method=method,
                seconds=seconds + time.perf_counter() - start,
                megapixels=megapixels,
                blur=computed.blur,
                scales=computed.scales,
                warnings=(*computed.warnings, *saved.warnings),
                notes=saved.notes,
            )
            with _about_every_photo():
                self.course.books.done(done)
            return done

        self.settle()
        self.saving = _Saving(item, self.writer.submit(save))

    def _pass_over(self, event: Settled) -> None:
        """Count and tell a photo that needs no work."""
        if isinstance(event, PhotoFailed):
            self.course.failed.append(event)
        elif is_claimed(event):
            self.n_claimed += 1
        else:
            self.n_skipped += 1
        self.tell(event)

    def _fail(self, failure: PhotoFailed) -> None:
        with _about_every_photo():
            self.course.books.failed(failure)
        self.course.failed.append(failure)
        self.tell(failure)
        if self.course.fails_fast:
            raise _Enough

    def _check_stop(self) -> None:
        if self.course.is_over:
            raise _Enough


@contextmanager
def _about_every_photo() -> Iterator[None]:
    """Mark errors as being about every photo, not the one at hand."""
    try:
        yield
    except DefocusfixError as error:
        raise _BooksFailed(error) from error
