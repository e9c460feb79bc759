"""Which run is at which photo, so that two runs over one folder share the work."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from defocusfix.file_lock import lock


class Claims:
    """The photos that this run is at. Others see them until they are given back or it dies.

    folder: where the locks are, which is there. Raises OSError if it cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, BinaryIO] = {}
        self.has_locks = True
        """False where the file system knows no locks: then every claim is granted."""
        self.take("")
        self.release("")
        if self.has_locks:
            self._remove_leftovers()

    def take(self, key: str) -> bool:
        """Claim a photo; False if a run has it, this one included. Raises OSError."""
        if key in self._held:
            return False
        file = self._locked(self._path(key))
        if file is None:
            return False
        self._held[key] = file
        return True

    def release(self, key: str) -> None:
        """Give a photo back, if it is claimed."""
        file = self._held.pop(key, None)
        if file is None:
            return
        path = self._path(key)
        if os.name == "nt":  # an open file cannot be removed there, and one that others wait for
            file.close()
        with suppress(OSError):
            path.unlink()
        file.close()

    def close(self) -> None:
        """Give everything back."""
        for key in tuple(self._held):
            self.release(key)

    def _remove_leftovers(self) -> None:
        """Remove the files of photos that a run had finished when it was killed."""
        for path in self._folder.iterdir():
            # One that vanishes or cannot be opened is somebody else's to remove.
            with suppress(OSError), path.open("rb+") as file:
                if lock(file):
                    if os.name == "nt":
                        file.close()
                    path.unlink()

    def _path(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:32]

    def _locked(self, path: Path) -> BinaryIO | None:
        """The file, made and locked; None if another run has locked it."""
        while True:
            file = path.open("ab")
            try:
                if self.has_locks and not lock(file):
                    file.close()
                    return None
            except OSError:
                self.has_locks = False
            if os.name == "nt" or os.fstat(file.fileno()).st_nlink:
                return file
            file.close()  # given back, and so removed, between its opening and its locking
