"""Files that appear complete or not at all, and never in place of another one unasked."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from defocusfix.errors import OutputError
from defocusfix.file_lock import lock

MARK = ".defocusfix-part"  # how the name of an unfinished file ends


def safe_write(path: Path, data: bytes, *, may_overwrite: bool = False) -> None:
    """Write `data` to `path`, whole or not at all; see `new_file`."""
    with new_file(path, may_overwrite=may_overwrite) as file:
        file.write(data)


@contextmanager
def new_file(path: Path, *, may_overwrite: bool = False) -> Iterator[BinaryIO]:
    """A file to be written, which becomes `path` once the block is left without an error.

    At every moment `path` holds either what it held before or all of what was written, even when
    the program is killed; what it leaves behind then is removed the next time anything is written
    to that folder. Raises OutputError if `path` exists and may not be overwritten, or if the folder
    cannot be written to; nothing is left behind then.
    """
    if not may_overwrite and os.path.lexists(path):
        raise _taken(path)
    _remove_leftovers_once(path.parent)
    try:
        file, temporary = _temporary_file(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(_permissions(path))
            if os.name == "nt":
                file.close()  # an open file cannot be moved there
            _move(temporary, path, may_overwrite=may_overwrite)
        flush_folder(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Try whether `path`'s folder takes new files, so that no work is done in vain.

    Of a folder that is still to be made, the nearest one around it is tried. Raises OutputError as
    `new_file` would; nothing is left behind.
    """
    folder = next((folder for folder in path.parents if folder.is_dir()), path.parent)
    try:
        file, temporary = _temporary_file(folder / path.name)
        file.close()
        temporary.unlink(missing_ok=True)  # unlocked, it may be removed as a leftover meanwhile
    except OSError as error:
        raise _cannot_write(path, error) from error


def flush_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the system can do that."""
    if os.name != "posix":
        return
    # Some network shares know no such thing, and a folder may be closed to reading; the file
    # itself is safe by then.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Remove the files that killed runs left unfinished; those still being written stay."""
    for file in folder.glob(f".*{MARK}"):
        # A file that vanishes or cannot be opened is somebody else's to remove.
        with suppress(OSError), file.open("rb") as leftover:
            if _is_ours(leftover):
                file.unlink()


_remove_leftovers_once = cache(remove_leftovers)


def _temporary_file(path: Path) -> tuple[BinaryIO, Path]:
    """A new file beside `path`, locked so that nobody takes it for a leftover."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:32]}.", suffix=MARK)
        file = os.fdopen(handle, "wb")
        if _is_kept(file):
            return file, Path(name)
        # Taken for a leftover between its making and its locking: removed, or about to be.
        file.close()
        Path(name).unlink(missing_ok=True)


def _is_kept(file: BinaryIO) -> bool:
    """Lock a new file; False if somebody was faster, who then removes it."""
    if os.name == "nt":
        return True
    try:
        is_locked = lock(file)
    except OSError:
        return True  # without locks nobody takes anything for a leftover
    return is_locked and os.fstat(file.fileno()).st_nlink > 0


def _is_ours(file: BinaryIO) -> bool:
    """Lock a file for as long as it is open; False if another process has it or locks are none.

    On Windows an open file cannot be removed, so that no lock is needed.
    """
    if os.name == "nt":
        return True
    try:
        return lock(file)
    except OSError:
        return False


def _move(temporary: Path, path: Path, *, may_overwrite: bool) -> None:
    if may_overwrite:
        temporary.replace(path)
        return
    try:
        # A hard link fails if the name is taken, in one step; a check before a rename leaves a gap.
        path.hardlink_to(temporary)
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError:
        # File systems without hard links (FAT, some network shares).
        if os.path.lexists(path):
            raise _taken(path) from None
        temporary.replace(path)
        return
    # At once: flushing the folder takes a while, in which a kill would leave it.
    with suppress(OSError):
        temporary.unlink()


def _taken(path: Path) -> OutputError:
    return OutputError(
        f"{path} exists already",
        fix="choose another name with -o, or say --on-exists overwrite, rename or skip",
    )


def _permissions(path: Path) -> int:
    """Those of the file that is replaced, otherwise what any new file of this user gets."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


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
