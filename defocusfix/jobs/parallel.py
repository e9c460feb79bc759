"""Several photos in work at once: lanes side by side, each with a thread, that share out the items.

Two networks with one thread each are faster than one with two, whose threads wait for each other
in every layer; `benchmarks/folder_rate.py` tells by how much.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Shared = TypeVar("Shared")
Told = TypeVar("Told")
Result = TypeVar("Result")

LONGEST_WAIT = 0.5  # seconds; where a waiting thread hears no signal, Ctrl-C takes as long


class OneByOne(Iterator[Shared], Generic[Shared]):
    """Gives each of some things to one of the threads that ask."""

    def __init__(self, things: Iterable[Shared]) -> None:
        self._things = iter(things)
        self._lock = threading.Lock()

    def __next__(self) -> Shared:
        with self._lock:
            return next(self._things)


def abreast(
    lanes: Sequence[Callable[[Callable[[Told], None]], Result]],
    tell: Callable[[Told], None],
    end: Callable[[], None],
) -> list[Result]:
    """Run each lane in a thread of its own and return what they return.

    lanes: each is handed what it tells by; may be called from any thread. tell: called in this
    thread only, with what the lanes told, one at a time. end: asks all lanes to end soon; called
    when one raises, or this thread is interrupted. Raises what the first of them raised, once all
    have ended.
    """
    told: SimpleQueue[Told | None] = SimpleQueue()  # None: a lane has ended
    with ThreadPoolExecutor(len(lanes), "lane") as threads:

        def ended(lane: Future[Result]) -> None:
            if lane.exception() is not None:
                end()
            told.put(None)

        running = [threads.submit(lane, told.put) for lane in lanes]
        for lane in running:
            lane.add_done_callback(ended)
        n_running = len(running)
        try:
            while n_running:
                try:
                    event = told.get(timeout=LONGEST_WAIT)
                except Empty:
                    continue
                if event is None:
                    n_running -= 1
                else:
                    tell(event)
        except BaseException:
            end()
            raise
        return [lane.result() for lane in running]
