"""One process at a time: a lock that its owner's death sets free, so that none is ever stale."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PAUSE = 0.2  # seconds between two tries


@contextmanager
def locked(file: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock `file`, which is made where it is missing and stays.

    waiting: told once if another process holds it. Raises OSError if the file cannot be made.
    """
    with file.open("ab") as handle:
        if not _taken(handle):
            waiting()
            while not _taken(handle):
                time.sleep(PAUSE)
        yield


def _taken(handle: BinaryIO) -> bool:
    """Take the lock, which closing the file gives back; False if another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            handle.seek(0)
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
