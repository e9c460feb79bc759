"""The photos that a command line means: those it names, and those in the folders it names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from defocusfix.jobs.folders import FolderChoice, Found, LeftOut, OutputsOf, find_photos
from defocusfix.jobs.patterns import composed
from defocusfix.jobs.places import RealFolders


@dataclass(frozen=True, slots=True)
class Source:
    """One photo of a command line."""

    path: Path | None
    """None for standard input."""
    key: str
    """What the journal knows it by."""
    folder: str = ""
    """Where its output goes within the output folder, with / between the parts."""
    is_found: bool = False
    """Whether it was found in a folder rather than named itself."""
    is_link: bool = False
    """Whether it is a symbolic link to a photo."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of a command line."""

    sources: tuple[Source, ...]
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    """How many entries of the folders were passed over, by the reason."""
    warnings: tuple[str, ...] = ()
    """What could not be looked into."""


def distinct_folders(sources: Sequence[Path | None]) -> tuple[Path, ...]:
    """The folders among the sources, each once."""
    folders = {os.path.realpath(path): path for path in reversed(sources) if path and path.is_dir()}
    return tuple(reversed(folders.values()))


def gather(
    sources: Sequence[Path | None],
    folders: Sequence[Path],
    choice: FolderChoice,
    *,
    passed_over: Path | None,
    outputs_of: OutputsOf,
) -> Gathered:
    """All photos in the order in which they, or their folders, were named; none of them twice.

    folders: those among the sources, each once. The key of a photo is its path within its folder,
    after the name of the folder if there are several; that of a photo that is in none of them, its
    whole path. passed_over, outputs_of: as for `find_photos`. Raises InputError for a folder that
    cannot be read.
    """
    if not folders:
        return Gathered(tuple(_named(path) for path in sources))
    left_out: Counter[LeftOut] = Counter()
    warnings: list[str] = []
    real_folders = RealFolders()
    met: set[str] = set()
    real_roots = [os.path.realpath(folder) for folder in folders]
    prefixes = _prefixes(real_roots)
    found_in: dict[str, list[Source]] = {}
    # An outer folder comes first, so that a photo has the same key however the folders are named.
    for root, folder, prefix in sorted(
        zip(real_roots, folders, prefixes, strict=True), key=lambda named: named[0].count(os.sep)
    ):
        search = find_photos(folder, choice, passed_over=passed_over, outputs_of=outputs_of)
        left_out += search.left_out
        warnings += search.warnings
        photos = list(search.photos)
        if len(sources) > 1:
            photos = [p for p in photos if _is_new(real_folders.place(p.path), met)]
        left_out[LeftOut.MET_BEFORE] += len(search.photos) - len(photos)
        found_in[root] = [_found(photo, prefix) for photo in photos]

    gathered: list[Source] = []
    for path in sources:
        root = "" if path is None else os.path.realpath(path)
        if root in real_roots:
            gathered += found_in.pop(root, [])
        elif path is None or real_folders.place(path) not in met:
            gathered.append(_named_within(path, real_folders, real_roots, prefixes))
    return Gathered(tuple(gathered), +left_out, tuple(warnings))


def _is_new(place: str, met: set[str]) -> bool:
    is_new = place not in met
    met.add(place)
    return is_new


def _named(path: Path | None) -> Source:
    if path is None:
        return Source(None, "-")
    return Source(path, path.as_posix(), is_link=path.is_symlink())


def _found(photo: Found, prefix: str) -> Source:
    key = prefix + photo.key
    return Source(photo.path, key, key.rpartition("/")[0], is_found=True, is_link=photo.is_link)


def _named_within(
    path: Path | None, real_folders: RealFolders, roots: Sequence[str], prefixes: Sequence[str]
) -> Source:
    """A photo that was named beside folders, in one of which it may be and was passed over."""
    if path is None:
        return _named(path)
    real = PurePath(real_folders.place(path))
    for root, prefix in zip(roots, prefixes, strict=True):
        if real.is_relative_to(root):
            key = prefix + real.relative_to(root).as_posix()
            return replace(_named(path), key=key, folder=key.rpartition("/")[0])
    return replace(_named(path), key=real.as_posix())


def _prefixes(roots: Sequence[str]) -> list[str]:
    """What keys begin with: the name of the folder, and as much of its path as tells it apart."""
    if len(roots) == 1:
        return [""]
    parts = [PurePath(root).parts[1:] for root in roots]
    for n_parts in range(1, max(map(len, parts)) + 1):
        tails = ["/".join(part[-n_parts:]) for part in parts]
        if len({composed(tail).casefold() for tail in tails}) == len(tails):
            break
    return [f"{tail}/" for tail in tails]
