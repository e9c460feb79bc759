"""Carry out a plan: one thread reads, one writes, and the engine works between them.

While a photo is computed, the next one is read and the last one is saved, so at most three are in
memory; of large photos, which take long to compute and little to read, at most two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Protocol

from defocusfix.errors import InputError, OutputError
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
    Started,
)
from defocusfix.jobs.plan import Item, Plan
from defocusfix.photo.photo import Photo
from defocusfix.photo.safe_write import check_writable

Report = Callable[[float], None]
"""Is told the share of the work on a photo that has just been done."""
LARGEST_READ_AHEAD_MP = 60.0  # a larger photo is not joined in memory by the next one

# What concerns one photo only; anything else would stop the next one too.
PHOTO_ERRORS = (InputError, OutputError)


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


def run_plan(plan: Plan, work: Work, tell: Callable[[Event], None]) -> Finished:
    """Do the work of a plan, telling of every event, and return the last one.

    tell: called in this thread only. A photo that cannot be read or written is told as failed and
    the next one is done; other errors end the run, once what is being saved is saved.
    """
    start = time.perf_counter()
    tell(Started(work.program, plan.items))
    with ThreadPoolExecutor(1, "reader") as reader, ThreadPoolExecutor(1, "writer") as writer:
        run = _Run(work, tell, reader, writer)
        run.carry_out(plan.todo)
    finished = Finished(
        n_done=run.n_done,
        n_skipped=len(plan.items) - len(plan.todo),
        failed=tuple(run.failed),
        seconds=time.perf_counter() - start,
    )
    tell(finished)
    return finished


@dataclass(frozen=True, slots=True)
class _Read:
    """A photo in the hands of the engine."""

    item: Item
    photo: Photo
    seconds: float


@dataclass(frozen=True, slots=True)
class _Saving:
    """A photo in the hands of the writer."""

    item: Item
    future: Future[PhotoDone]


@dataclass(slots=True)
class _Run:
    """The state between two photos."""

    work: Work
    tell: Callable[[Event], None]
    reader: ThreadPoolExecutor
    writer: ThreadPoolExecutor
    n_done: int = 0
    failed: list[PhotoFailed] = field(default_factory=list)
    saving: _Saving | None = None

    def carry_out(self, items: tuple[Item, ...]) -> None:
        """Do all items in order."""
        reading = self._read(items[0]) if items else None
        if items:
            self.work.warm_up(items[0])
        for item, following in zip_longest(items, items[1:]):
            read = self._result(item, reading)
            reading = None
            if read is None or read.photo.megapixels <= LARGEST_READ_AHEAD_MP:
                reading = self._read(following)
            if read is not None:
                self._restore(read)
                del read
            reading = reading or self._read(following)
        self._settle()

    def _read(self, item: Item | None) -> Future[_Read] | None:
        def read(item: Item) -> _Read:
            start = time.perf_counter()
            for output in item.outputs:
                check_writable(output)
            photo = self.work.read(item)
            return _Read(item, photo, time.perf_counter() - start)

        return None if item is None else self.reader.submit(read, item)

    def _result(self, item: Item, reading: Future[_Read] | None) -> _Read | None:
        """What has been read, once it is; None if it could not be, which is told."""
        if reading is None:
            return None
        try:
            return reading.result()
        except PHOTO_ERRORS as error:
            self._fail(item, error)
            return None

    def _restore(self, read: _Read) -> None:
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
                self._settle()

        try:
            computed = self.work.compute(item, photo, report)
        except PHOTO_ERRORS as error:
            self._fail(item, error)
            return
        seconds = read.seconds + time.perf_counter() - start

        def save() -> PhotoDone:
            start = time.perf_counter()
            saved = computed.save()
            return PhotoDone(
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

        self._settle()
        self.saving = _Saving(item, self.writer.submit(save))

    def _settle(self) -> None:
        """Wait until the photo that is being saved is saved, and tell."""
        if self.saving is None:
            return
        item, future = self.saving.item, self.saving.future
        self.saving = None
        try:
            done = future.result()
        except PHOTO_ERRORS as error:
            self._fail(item, error)
            return
        self.n_done += 1
        self.tell(done)

    def _fail(self, item: Item, error: InputError | OutputError) -> None:
        failure = PhotoFailed(item, error)
        self.failed.append(failure)
        self.tell(failure)
