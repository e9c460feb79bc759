"""The photos in a folder and in those within it.

Symbolic links are followed. What can be reached in two ways is met once: folders are told apart by
device and number, what is really there goes before what is linked, and links are followed in order,
so that the same photos come under the same keys every time.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TypeAlias

from defocusfix.errors import InputError
from defocusfix.jobs.own_outputs import own_outputs
from defocusfix.jobs.patterns import Patterns
from defocusfix.photo.suffixes import SUFFIXES

STATE_FOLDER = ".defocusfix"  # what the program keeps about a folder, the journal above all
PHOTO_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
# Thumbnails, bins and the like that network disks and systems put beside the photos.
SYSTEM_FOLDERS = frozenset(
    {"@eadir", "#recycle", "$recycle.bin", "system volume information", "__macosx", "lost+found"}
)
_DIGITS = re.compile("([0-9]+)")

Identity: TypeAlias = tuple[int, int]
"""Device and number of a file or folder on it."""
OutputsOf: TypeAlias = Callable[[Path], Collection[Path]]
"""Gives the outputs that the journal of a folder knows, as absolute paths, but for those that took
their photo's place."""


class LeftOut(Enum):
    """Why an entry of a folder is none of the photos to be done."""

    OTHER_FILE = "other files"
    HIDDEN = "hidden"
    OWN_OUTPUT = "made by this program"
    NOT_CHOSEN = "not chosen by --include and --exclude"
    MET_BEFORE = "met before by another way"
    DANGLING = "links that lead nowhere"
    UNREADABLE = "not readable"
    OTHER_FORMAT = "in a format that they cannot keep"


@dataclass(frozen=True, slots=True)
class FolderChoice:
    """Which photos of a folder are wanted."""

    is_recursive: bool = True
    """Whether the folders within it are looked into too."""
    include: tuple[str, ...] = ()
    """Patterns, of which the name of a photo or its path within the folder must fit one; empty
    takes all."""
    exclude: tuple[str, ...] = ()
    """Patterns of photos and folders that are left out."""


@dataclass(frozen=True, slots=True)
class Found:
    """One photo that was found in a folder."""

    path: Path
    root: Path
    """The folder that was named."""
    key: str
    """Path within `root`, with / between the parts."""
    size: int
    """Bytes."""
    mtime_ns: int
    """Time of the last change, in nanoseconds since 1970."""
    is_link: bool = False
    """Whether it is a symbolic link to a photo; size and time are those of the photo."""


@dataclass(frozen=True, slots=True)
class Search:
    """What was found in a folder."""

    photos: tuple[Found, ...]
    """In the order of their keys, img2 before img10."""
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    """How many entries were passed over, by the reason; a folder counts as one."""
    warnings: tuple[str, ...] = ()
    """What could not be looked into, in words for the user."""


def no_outputs(folder: Path) -> Collection[Path]:
    """The outputs that are known where there is no journal."""
    return ()


def find_photos(
    folder: Path,
    choice: FolderChoice | None = None,
    *,
    passed_over: Path | None = None,
    outputs_of: OutputsOf = no_outputs,
) -> Search:
    """All photos in a folder that are wanted, by their names.

    Hidden entries, folders that systems make for themselves, and what this program made are left
    out. passed_over: a folder within it that is not looked into. outputs_of: asked about every
    folder that has a journal. Raises InputError if the folder itself cannot be read.
    """
    walk = _Walk(folder, choice or FolderChoice(), outputs_of)
    if passed_over is not None and (identity := _identity_of(passed_over)) != walk.root_identity:
        walk.passed_over = identity
    walk.all_trees()
    return Search(walk.sorted_photos(), walk.left_out, tuple(walk.warnings))


def natural_order(path: str) -> tuple[list[list[str | int]], str]:
    """What paths, with / between their parts, are sorted by: numbers in them count as numbers."""
    return [_numbers_apart(part) for part in path.split("/")], path


def _numbers_apart(name: str) -> list[str | int]:
    """Texts and numbers in turn, the first a text."""
    parts = _DIGITS.split(name.casefold())
    return [int(part) if n % 2 else part for n, part in enumerate(parts)]


def _identity_of(path: str | Path) -> Identity | None:
    """None if there is nothing, or the system gives no numbers to files."""
    try:
        state = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return (state.st_dev, state.st_ino) if state.st_ino else None


@dataclass(frozen=True, slots=True)
class _Photo:
    found: Found
    identity: Identity


class _Walk:
    """One look through a folder."""

    def __init__(self, root: Path, choice: FolderChoice, outputs_of: OutputsOf) -> None:
        self.root = root
        self.root_identity = _identity_of(root)
        self.passed_over: Identity | None = None
        self.left_out: Counter[LeftOut] = Counter()
        self.warnings: list[str] = []
        self._choice = choice
        self._include = Patterns(choice.include) if choice.include else None
        self._exclude = Patterns(choice.exclude)
        self._outputs_of = outputs_of
        self._known: set[tuple[str, str]] = set()  # outputs, as real folder and name
        self._visited: set[Identity | None] = set()
        self._links: list[tuple[Path, str]] = []  # to folders, with their keys
        self._photos: list[_Photo] = []

    def all_trees(self) -> None:
        """Look into the folder, then through the links that were met, and those met there."""
        self._tree(self.root, "")
        while self._links:
            links, self._links = self._links, []
            for folder, key in sorted(links, key=lambda link: natural_order(link[1])):
                self._tree(folder, key)

    def sorted_photos(self) -> tuple[Found, ...]:
        """The photos in order, none of them twice for having a link."""
        met = {photo.identity for photo in self._photos if not photo.found.is_link}
        photos = []
        for photo in sorted(self._photos, key=lambda photo: natural_order(photo.found.key)):
            if photo.found.is_link and photo.identity in met:
                self.left_out[LeftOut.MET_BEFORE] += 1
                continue
            if photo.found.is_link and photo.identity[1]:
                met.add(photo.identity)
            photos.append(photo.found)
        return tuple(photos)

    def _tree(self, top: Path, key: str) -> None:
        waiting = [(top, key)]
        while waiting:
            folder, key = waiting.pop()
            identity = _identity_of(folder)
            if identity is not None and identity in self._visited:
                self.left_out[LeftOut.MET_BEFORE] += 1
                continue
            if identity is not None and identity == self.passed_over:
                continue
            self._visited.add(identity)
            within = sorted(self._folder(folder, key), key=natural_order, reverse=True)
            waiting += [(folder / name, _joined(key, name)) for name in within]

    def _folder(self, folder: Path, key: str) -> list[str]:
        """Note the photos of one folder, and give the names of the folders in it."""
        try:
            with os.scandir(folder) as entries:
                listing = list(entries)
        except OSError as error:
            self._note_unreadable(folder, error)
            return []
        if any(entry.name == STATE_FOLDER for entry in listing):
            self._ask_journal(folder)
        photos: list[os.DirEntry[str]] = []
        folders: list[str] = []
        for entry in listing:
            if entry.name.startswith(".") or entry.name.casefold() in SYSTEM_FOLDERS:
                self.left_out[LeftOut.HIDDEN] += entry.name != STATE_FOLDER
            elif _is_folder(entry):
                if self._is_wanted_folder(_joined(key, entry.name)):
                    if entry.is_symlink():
                        self._links.append((folder / entry.name, _joined(key, entry.name)))
                    else:
                        folders.append(entry.name)
            elif os.path.splitext(entry.name)[1].lower() in PHOTO_SUFFIXES:  # noqa: PTH122
                photos.append(entry)
            else:
                self.left_out[LeftOut.OTHER_FILE] += 1
        self._note_photos(folder, key, photos)
        return folders

    def _is_wanted_folder(self, key: str) -> bool:
        if not self._choice.is_recursive:
            return False
        if self._exclude.fit(key):
            self.left_out[LeftOut.NOT_CHOSEN] += 1
            return False
        return True

    def _note_photos(self, folder: Path, key: str, entries: list[os.DirEntry[str]]) -> None:
        own = own_outputs([entry.name for entry in entries])
        real = os.path.realpath(folder) if self._known else ""
        for entry in entries:
            photo_key = _joined(key, entry.name)
            if entry.name in own or (self._known and (real, entry.name) in self._known):
                self.left_out[LeftOut.OWN_OUTPUT] += 1
            elif not self._is_chosen(photo_key):
                self.left_out[LeftOut.NOT_CHOSEN] += 1
            else:
                self._note_photo(folder, photo_key, entry)

    def _is_chosen(self, key: str) -> bool:
        if self._include is not None and not self._include.fit(key):
            return False
        return not self._exclude.fit(key)

    def _note_photo(self, folder: Path, key: str, entry: os.DirEntry[str]) -> None:
        is_link = entry.is_symlink()
        try:
            state = entry.stat()
            is_file = entry.is_file()
        except OSError:
            self.left_out[LeftOut.DANGLING if is_link else LeftOut.UNREADABLE] += 1
            return
        if not is_file:  # a pipe or device, which to read could take for ever
            self.left_out[LeftOut.OTHER_FILE] += 1
            return
        path = folder / entry.name
        found = Found(path, self.root, key, state.st_size, state.st_mtime_ns, is_link)
        self._photos.append(_Photo(found, (state.st_dev, state.st_ino)))

    def _ask_journal(self, folder: Path) -> None:
        real_folders: dict[Path, str] = {}
        for path in self._outputs_of(folder):
            parent = path.parent
            if parent not in real_folders:
                real_folders[parent] = os.path.realpath(parent)
            self._known.add((real_folders[parent], path.name))

    def _note_unreadable(self, folder: Path, error: OSError) -> None:
        reason = (error.strerror or str(error)).lower()
        if folder == self.root:
            raise InputError(f"the folder {folder} cannot be read", why=reason) from error
        self.left_out[LeftOut.UNREADABLE] += 1
        self.warnings.append(f"the folder {folder} cannot be read and was left out: {reason}")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into what this user may not see
        return False


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
