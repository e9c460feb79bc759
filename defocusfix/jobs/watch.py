"""New photos of folders, restored as they arrive and once they have stopped growing.

The folders are looked through again and again: what the system would tell of changes, it does not
tell of those that another machine makes on a network disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from defocusfix.errors import InputError, OutputError
from defocusfix.jobs.events import Finished
from defocusfix.jobs.folders import Found
from defocusfix.photo.limits import Limits
from defocusfix.photo.read import read_photo

CHECKING_S = 5.0  # photos that arrive together are handed on at least this often
LOOKING_SHARE = 0.2  # of the time at most, however slow the disk is
LONGEST_NAP_S = 0.5  # so that a stop is noticed soon


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for whoever is writing a photo, in seconds."""

    settle_s: float = 2.0
    """For which size and time of change must stay the same."""
    give_up_s: float = 30.0
    """For which they must stay the same if the photo is not whole; it is handed on then, to be
    told as failed."""


@dataclass(slots=True)
class _Waiting:
    """A photo that is there and has not been handed on in this version."""

    photo: Found
    since: float
    """When this version was first seen."""
    was_here_first: bool
    """Whether it was there when the watch began, so that nobody is expected to be writing it."""
    is_broken: bool = False
    """Whether it could not be read though it had settled."""


class Watcher:
    """Looks through folders and hands on what is new there, what was there at first included.

    find: the photos of a folder, without those that this program made; raises InputError if the
    folder cannot be read. restore: does some of them, and is called again and again. is_whole:
    whether a photo can be read to its end. tell: is told when a folder goes away or comes back.
    replaces_photos: whether restoring changes the photos themselves, which does not make them new.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        find: Callable[[Path], Sequence[Found]],
        restore: Callable[[Sequence[Found]], Finished],
        is_whole: Callable[[Path], bool],
        tell: Callable[[str], None],
        replaces_photos: bool = False,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folders = folders
        self._find = find
        self._restore = restore
        self._is_whole = is_whole
        self._tell = tell
        self._replaces_photos = replaces_photos
        self._patience = patience or Patience()
        self._clock = clock
        self._sleep = sleep
        self._waiting: dict[Path, _Waiting] = {}
        self._handed_on: dict[Path, tuple[int, int]] = {}
        self._gone: set[Path] = set()

    def run(self, is_stopped: Callable[[], bool]) -> None:
        """Watch until it is stopped, which is asked between photos and at least twice a second.

        A folder that goes away is waited for. Raises InputError if one is not there to begin with,
        and whatever `restore` raises while all folders are there.
        """
        is_first = True
        while not is_stopped():
            began = self._clock()
            self._look(is_first=is_first)
            is_first = False
            took = self._clock() - began
            batch = self._settled(is_stopped)
            if batch and not is_stopped():
                self._hand_on(batch)
            else:
                pause = max(self._patience.settle_s / 2, took / LOOKING_SHARE - took)
                self._rest(pause, is_stopped)

    def _look(self, *, is_first: bool) -> None:
        """Note what is there and when it was first seen like this."""
        now = self._clock()
        seen: dict[Path, _Waiting] = {}
        for folder in self._folders:
            for photo in self._photos_of(folder, is_first=is_first):
                if self._handed_on.get(photo.path) == _version(photo):
                    continue
                known = self._waiting.get(photo.path)
                if known is None or _version(known.photo) != _version(photo):
                    known = _Waiting(photo, now, was_here_first=is_first)
                seen[photo.path] = known
        self._waiting = seen

    def _photos_of(self, folder: Path, *, is_first: bool) -> Sequence[Found]:
        """None of a folder that is gone, which is told once."""
        try:
            photos = self._find(folder)
        except InputError as error:
            if is_first:
                raise
            if folder not in self._gone:
                self._gone.add(folder)
                reason = f" ({error.why})" if error.why else ""
                self._tell(f"{folder} has gone away{reason}; waiting for it to come back")
            return ()
        if folder in self._gone:
            self._gone.remove(folder)
            self._tell(f"{folder} is back")
        return photos

    def _settled(self, is_stopped: Callable[[], bool]) -> list[Found]:
        """The photos that nobody is writing any more, as many as can be told within a while."""
        began = self._clock()
        batch: list[Found] = []
        for waiting in self._waiting.values():
            now = self._clock()
            if is_stopped() or (batch and now - began >= CHECKING_S):
                break
            still = now - waiting.since
            if still >= self._patience.give_up_s:
                batch.append(waiting.photo)
            elif still >= self._patience.settle_s and not waiting.is_broken:
                # A copy may stall for longer than this, so what arrives is read to see.
                if waiting.was_here_first or self._is_whole(waiting.photo.path):
                    batch.append(waiting.photo)
                else:
                    waiting.is_broken = True
        return batch

    def _hand_on(self, batch: Sequence[Found]) -> None:
        try:
            finished = self._restore(batch)
        except (InputError, OutputError):
            for folder in self._folders:
                self._photos_of(folder, is_first=False)
            if not self._gone:
                raise
            return  # what is not done yet is new again once the folder is back
        failed = {failure.item.source for failure in finished.failed}
        for photo in batch:
            is_replaced = self._replaces_photos and photo.path not in failed
            version = _present_version(photo.path) if is_replaced else _version(photo)
            self._handed_on[photo.path] = version or _version(photo)

    def _rest(self, seconds: float, is_stopped: Callable[[], bool]) -> None:
        end = self._clock() + seconds
        while (left := end - self._clock()) > 0 and not is_stopped():
            self._sleep(min(left, LONGEST_NAP_S))


def can_be_read(path: Path, limits: Limits) -> bool:
    """Whether a photo is there to its last pixel."""
    try:
        read_photo(path, limits=limits)
    except InputError:
        return False
    return True


def _version(photo: Found) -> tuple[int, int]:
    return photo.size, photo.mtime_ns


def _present_version(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns
