"""Processes that make samples ahead of their use: sample k is a function of (seed, k); no torch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import cv2
import numpy as np

from defocusfix.errors import TrainingError
from defocusfix.rendering.photos import PhotoLibrary
from defocusfix.rendering.sample import Sample, random_sample

Made = TypeVar("Made")
Maker = Callable[[PhotoLibrary | None, int, int, int], Made]
"""(library, seed, size, number) -> what sample `number` of a seed becomes."""


class SampleWorkers(Generic[Made]):
    """Makes the samples of one library, seed and size. Safe to use from several threads."""

    def __init__(
        self,
        library: PhotoLibrary | None,
        make: Maker[Made],
        *,
        seed: int,
        size: int,
        processes: int,
    ) -> None:
        """make: a function of a module, such as `draw`; it runs in the processes.

        processes: 0 makes every sample when it is taken, in the calling thread.
        """
        self._make = make
        self._source = (library, seed, size)
        self._made_ahead: dict[int, Future[Made]] = {}
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        if processes:
            self._pool = ProcessPoolExecutor(
                processes,
                # A forked child would inherit the locks of this process's other threads.
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_worker,
                initargs=(make, *self._source),
            )
            # Left to itself, a pool that is dropped just before the program ends may hang it: the
            # interpreter wakes the pool's thread while that thread closes what it is woken by.
            weakref.finalize(self, self._pool.shutdown, wait=True, cancel_futures=True)

    def expect(self, numbers: Iterable[int]) -> None:
        """Begin to make the samples `numbers`, which are going to be taken once each."""
        if self._pool is None:
            return
        with _ended_process_reported(), self._lock:
            for number in numbers:
                if number not in self._made_ahead:
                    self._made_ahead[number] = self._pool.submit(_sample, number)

    def take(self, numbers: Iterable[int]) -> list[Made]:
        """The samples `numbers`, waited for if they are not made yet.

        Raises InputError if a photo cannot be read, TrainingError if a process was killed.
        """
        if self._pool is None:
            with self._lock:
                return [self._make(*self._source, number) for number in numbers]
        with _ended_process_reported():
            with self._lock:
                futures = [
                    self._made_ahead.pop(number)
                    if number in self._made_ahead
                    else self._pool.submit(_sample, number)
                    for number in numbers
                ]
            return [future.result() for future in futures]


@contextmanager
def _ended_process_reported() -> Iterator[None]:
    """Handing work to a pool fails like waiting for it once one of its processes has ended."""
    try:
        yield
    except BrokenProcessPool as error:
        raise TrainingError(
            "a process that makes scenes for training was ended",
            why="often the system does that when memory runs out",
            fix="use fewer processes for it",
        ) from error


def draw(library: PhotoLibrary | None, seed: int, size: int, number: int) -> Sample:
    """Sample `number` of a seed."""
    return random_sample(np.random.default_rng((seed, number)), library, size)


def _start_worker(make: Maker[Any], library: PhotoLibrary | None, seed: int, size: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainer, which then saves
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker.update(make=make, source=(library, seed, size))


def _end_with_parent() -> None:
    """A killed trainer cannot stop its workers, and they would wait for it forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _sample(number: int) -> Any:
    return _worker["make"](*_worker["source"], number)


_worker: dict[str, Any] = {}  # what a worker process makes samples from
