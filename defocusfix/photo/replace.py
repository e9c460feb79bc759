"""A file that takes the place of another one, which is kept beside it.

What is decided here: of a symbolic link the file behind it is replaced and the link stays. Of a
file with several names (hard links) the one that was given gets the new file, and the others keep
the old one. A file that is protected against writing is not replaced.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from defocusfix.errors import InputError, OutputError
from defocusfix.photo.safe_write import check_writable, flush_folder, new_file


class Version(NamedTuple):
    """Two are equal if a name holds the same file, untouched since."""

    device: int
    inode: int
    size: int
    modified_ns: int


def check_replaceable(path: Path) -> Version:
    """The present version of the file at `path`, which will be replaced later.

    Raises InputError if there is none, OutputError if it is no file, is protected, or its folder
    takes no new files.
    """
    try:
        state = path.stat()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{path} cannot be read", why=reason) from error
    if not stat.S_ISREG(state.st_mode):
        raise OutputError(f"{path} cannot be replaced", why="it is not a file")
    # Root may write to everything, but a file without any such permission is meant to stay.
    if not state.st_mode & 0o222 or not os.access(path, os.W_OK):
        raise OutputError(
            f"{path} is protected against writing",
            why="nothing has been changed",
            fix="allow writing to it, or leave --in-place out",
        )
    check_writable(path.resolve())
    return _version(state)


@contextmanager
def replacement(path: Path, was: Version, *, backup: Path | None) -> Iterator[BinaryIO]:
    """A file to be written, which takes the place of `path` once the block is left without error.

    was: what `check_replaceable` gave when the old file was read. backup: the name under which the
    old file stays; None for not keeping it. The new file gets owner, permissions and extended
    attributes of the old one as far as this user may set them, and the present time.

    At every moment, even when the program is killed, `path` holds all of the old file or all of the
    new one, and the old one is whole at `path` or `backup`. Raises OutputError if the file has
    changed meanwhile, `backup` is another file already, or something cannot be written; `path` is
    as it was then.
    """
    target = path.resolve()
    has_backup = False
    try:
        with new_file(target, may_overwrite=True) as file:
            yield file
            file.flush()
            _keep_attributes(target, file)
            os.fsync(file.fileno())
            if _present_version(target) != was:
                raise _changed(path)
            if backup is not None:
                has_backup = _keep(target, backup)
    finally:
        # Not replaced after all, so the second name of the old file serves nothing.
        if has_backup and backup is not None and _present_version(target) == was:
            backup.unlink(missing_ok=True)


def _version(state: os.stat_result) -> Version:
    return Version(state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)


def _present_version(path: Path) -> Version | None:
    try:
        return _version(path.stat())
    except OSError:
        return None


def _keep(target: Path, backup: Path) -> bool:
    """Give the old file a second name, or a copy where there are no hard links.

    Whether that was done now: False if a run that was killed had done it. Raises OutputError if
    another file has the name.
    """
    try:
        backup.hardlink_to(target)
    except FileExistsError as error:
        if backup.samefile(target):
            return False
        raise OutputError(
            f"{backup} exists already", why="the original was to be kept under this name"
        ) from error
    except OSError:
        # No hard links there (FAT, some network shares), or no more of them, or another disk.
        with target.open("rb") as old, new_file(backup) as copy:
            shutil.copyfileobj(old, copy)
        with suppress(OSError):
            shutil.copystat(target, backup)
    flush_folder(backup.parent)
    return True


def _keep_attributes(target: Path, file: BinaryIO) -> None:
    """Owner, group and extended attributes of `target`; what this user may not set is left out."""
    if sys.platform == "win32":
        return  # they belong to the folder there
    handle = file.fileno()
    with suppress(OSError):
        old = target.stat()
        for owner, group in ((old.st_uid, -1), (-1, old.st_gid)):
            with suppress(OSError):
                os.fchown(handle, owner, group)
        if sys.platform == "linux":
            for name in os.listxattr(target):
                with suppress(OSError):
                    os.setxattr(handle, name, os.getxattr(target, name))


def _changed(path: Path) -> OutputError:
    return OutputError(
        f"{path} was changed or removed while it was being restored",
        why="another program saved it, so it stays as it is now",
        fix="close it there, and run the command again",
    )
