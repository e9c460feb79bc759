"""Places of files, compared and looked up in bulk: few questions to a disk that may be far away."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from defocusfix.jobs.patterns import composed

WORTH_A_LISTING = 16  # files of one folder, from which on listing it is quicker than asking


class RealFolders:
    """Folders without symbolic links in their paths, each looked up once."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def place(self, path: Path) -> str:
        """The real path of a file that need not be there; a link at its end is not followed."""
        folder, _, name = str(path).rpartition(os.sep)
        real = self._found.get(folder)
        if real is None:
            real = self._found[folder] = os.path.realpath(path.parent)
        return f"{real}{os.sep}{name}"

    def identity(self, path: Path) -> str:
        """Equal for two places that some disk would take for one: whatever the case and accents."""
        return composed(self.place(path)).casefold()


class Presence:
    """Which of many files are there already."""

    def __init__(self, paths: Iterable[Path]) -> None:
        counts = Counter(str(path.parent) for path in paths)
        self._names = {
            folder: _names_in(folder) for folder, n in counts.items() if n >= WORTH_A_LISTING
        }
        self._plain_names = {
            folder: frozenset(map(_plain, names)) for folder, names in self._names.items()
        }

    def has(self, path: Path) -> bool:
        """Whether there is anything under this name, be it a link that leads nowhere."""
        folder, name = str(path.parent), path.name
        if folder not in self._names:
            return os.path.lexists(path)
        if name in self._names[folder]:
            return True
        # A disk that is blind to case lists a name as somebody else wrote it.
        return _plain(name) in self._plain_names[folder] and os.path.lexists(path)


def _names_in(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208  as strings, which is quicker
    except OSError:
        return frozenset()


def _plain(name: str) -> str:
    return composed(name).casefold()
