"""Files that appear complete or not at all, and never in place of another one unasked."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from defocusfix.errors import OutputError


def safe_write(path: Path, data: bytes, *, may_overwrite: bool = False) -> None:
    """Write `data` to `path` through a temporary file in the same folder.

    At every moment `path` holds either what it held before or all of `data`, even when the
    program is killed. Raises OutputError if `path` exists and may not be overwritten, or if the
    folder cannot be written to; nothing is left behind then.
    """
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem[:32]}.", suffix=".part"
        )
    except OSError as error:
        raise _cannot_write(path, error) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_permissions(path))
        _move(temporary, path, may_overwrite=may_overwrite)
        _flush_folder(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _move(temporary: Path, path: Path, *, may_overwrite: bool) -> None:
    if may_overwrite:
        temporary.replace(path)
        return
    try:
        # A hard link fails if the name is taken, in one step; a check before a rename leaves a gap.
        path.hardlink_to(temporary)
    except FileExistsError as error:
        raise OutputError(
            f"{path} exists already",
            fix="choose another name with -o, or say --on-exists overwrite, rename or skip",
        ) from error
    except OSError:
        # File systems without hard links (FAT, some network shares).
        if path.exists():
            raise OutputError(f"{path} exists already", fix="choose another name with -o") from None
        temporary.replace(path)


def _permissions(path: Path) -> int:
    """Those of the file that is replaced, otherwise what any new file of this user gets."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _flush_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where the system can do that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cannot_write(path: Path, error: OSError) -> OutputError:
    fixes = {
        errno.ENOSPC: "free some space, or choose another disk with -o",
        errno.EACCES: "choose a folder you may write to with -o",
        errno.EROFS: "choose a folder you may write to with -o",
        errno.ENOENT: "make the folder first, or choose another one with -o",
    }
    return OutputError(
        f"{path} cannot be written",
        why=(error.strerror or str(error)).lower(),
        fix=fixes.get(error.errno or 0, "choose another place with -o"),
    )
