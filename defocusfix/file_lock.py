"""A lock that its owner's death sets free, so that none is ever stale."""

from __future__ import annotations

import sys
from typing import BinaryIO


def lock(file: BinaryIO) -> bool:
    """Lock a file, open for writing, until it is closed; False if somebody else has locked it.

    Another file object of this process is somebody else too. Raises OSError where there are no
    locks, as on some network shares.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
