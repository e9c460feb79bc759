"""The reader's thread: it goes through the items of a run and reads the next one that needs work.

What needs none is passed over here, so that a folder of which most is done costs no waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from defocusfix.errors import InputError, OutputError
from defocusfix.jobs.events import PhotoFailed, PhotoSkipped, Settled, SkipReason
from defocusfix.jobs.plan import Item
from defocusfix.photo.photo import Photo
from defocusfix.photo.safe_write import check_writable

MOST_SETTLED = 64  # photos without work that are passed over before anything is told of them

# What concerns one photo only; anything else would stop the next one too.
PHOTO_ERRORS = (InputError, OutputError)


@dataclass(frozen=True, slots=True)
class Read:
    """A photo in memory."""

    item: Item
    photo: Photo
    seconds: float
    """That reading took."""


@dataclass(frozen=True, slots=True)
class Turn:
    """How far the reader came."""

    settled: tuple[Settled, ...]
    """Photos that need no work."""
    outcome: Read | PhotoFailed | None
    """The next one that needs some; None if there was none, for now or, if `is_end`, at all."""
    is_end: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A turn that goes on."""

    taken: Future[Item | None]
    """The item that is being read, as soon as that is known; None if there is none."""
    turn: Future[Turn]


class Reader:
    """Reads items in order, and at the end asks once more for those that another run was at.

    take: an item as it shall be done, or why it shall not. read: its photo. is_stopped: whether to
    go no further. All three are called in the reader's thread.
    """

    def __init__(
        self,
        items: Iterable[Item],
        take: Callable[[Item], Item | Settled],
        read: Callable[[Item], Photo],
        is_stopped: Callable[[], bool],
        thread: ThreadPoolExecutor,
    ) -> None:
        self._take = take
        self._read = read
        self._is_stopped = is_stopped
        self._thread = thread
        self._tried: set[Path] = set()  # folders that took a file
        self._put_off: list[Item] = []
        # The list is looked at when all items are through, so it is complete by then.
        self._upcoming = chain(
            ((item, True) for item in items), ((item, False) for item in self._put_off)
        )

    def go_on(self) -> Reading:
        """Go on to the next item that needs work. The turn before must be over."""
        taken: Future[Item | None] = Future()

        def go_on() -> Turn:
            try:
                return self._turn(taken)
            finally:
                if not taken.done():
                    taken.set_result(None)

        return Reading(taken, self._thread.submit(go_on))

    def _turn(self, taken: Future[Item | None]) -> Turn:
        settled: list[Settled] = []
        for item, may_be_put_off in self._upcoming:
            start = time.perf_counter()
            try:
                mine = self._take(item)
                if isinstance(mine, Item):
                    taken.set_result(mine)
                    self._check_places(mine)
                    photo = self._read(mine)
                    return Turn(tuple(settled), Read(mine, photo, time.perf_counter() - start))
            except PHOTO_ERRORS as error:
                return Turn(tuple(settled), PhotoFailed(item, error))
            if may_be_put_off and is_claimed(mine):
                self._put_off.append(item)
            else:
                settled.append(mine)
            if len(settled) == MOST_SETTLED or self._is_stopped():
                return Turn(tuple(settled), None)
        return Turn(tuple(settled), None, is_end=True)

    def _check_places(self, item: Item) -> None:
        for output in item.outputs:
            if output.parent not in self._tried:
                check_writable(output)
                self._tried.add(output.parent)


def is_claimed(event: Settled) -> bool:
    """Whether another run is at the photo."""
    return isinstance(event, PhotoSkipped) and event.reason is SkipReason.CLAIMED
