"""One process at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from defocusfix.file_lock import lock

PAUSE = 0.2  # seconds between two tries


@contextmanager
def locked(file: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock `file`, which is made where it is missing and stays.

    waiting: told once if another process holds it. Raises OSError if the file cannot be made.
    """
    with file.open("ab") as handle:
        if not lock(handle):
            waiting()
            while not lock(handle):
                time.sleep(PAUSE)
        yield
