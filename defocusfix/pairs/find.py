"""Which blurred photo belongs to which sharp one, told by their names or their order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from defocusfix.errors import InputError

PICTURE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})
ROLE_WORDS: Final = frozenset(
    (
        *("blur", "blurred", "blurry", "defocus", "defocused", "unsharp", "input", "source"),
        *("sharp", "focus", "focused", "infocus", "target", "gt", "clear", "image"),
    )
)
"""Words in a file's name that tell the two photos of a pair apart, not one pair from another."""

Matching = Literal["auto", "name", "order"]


@dataclass(frozen=True, slots=True)
class PairFiles:
    """A blurred photo and its all-in-focus counterpart on disk."""

    name: str
    blurred: Path
    all_in_focus: Path


@dataclass(frozen=True, slots=True)
class Pairing:
    """What was found in two folders."""

    pairs: tuple[PairFiles, ...]
    """In order of the blurred photos' names."""
    blurred_alone: tuple[Path, ...]
    """Blurred photos without a counterpart."""
    sharp_alone: tuple[Path, ...]
    """Sharp photos that nothing was paired with."""
    by: Literal["name", "order"]
    """What told which photos belong together."""


def find_pairs(blurred: Path, all_in_focus: Path, by: Matching = "auto") -> Pairing:
    """The pairs of two folders.

    name: stems are equal but for case, or equal once words such as "blur" and "sharp" are left
    out. order: equally many photos, first with first. auto: by name, and by order where the
    folders hold equally many photos and no name fits.
    Raises InputError if a folder is missing or empty, if nothing can be paired, or if two sharp
    photos have one name.
    """
    inputs, targets = pictures_in(blurred), pictures_in(all_in_focus)
    if by != "order":
        partners = _partners(inputs, targets)
        if partners or by == "name" or len(inputs) != len(targets):
            return _pairing(inputs, targets, partners, blurred, all_in_focus)
    if len(inputs) != len(targets):
        raise InputError(
            f"{blurred} and {all_in_focus} cannot be paired in order",
            why=f"they hold {len(inputs)} and {len(targets)} photos",
            fix="give both photos of a pair the same name",
        )
    pairs = tuple(PairFiles(a.stem, a, b) for a, b in zip(inputs, targets, strict=True))
    return Pairing(pairs, (), (), "order")


def pairs_of_folders(blurred: Path, all_in_focus: Path, by: Matching = "auto") -> list[PairFiles]:
    """The pairs of two folders, as `find_pairs`, where every blurred photo must have its target.

    Raises InputError if one is missing.
    """
    found = find_pairs(blurred, all_in_focus, by)
    if found.blurred_alone:
        raise _without_target(found.blurred_alone, len(pictures_in(blurred)), all_in_focus)
    return list(found.pairs)


def matched(
    inputs: Sequence[Path], targets: Sequence[Path], key: Callable[[str], str]
) -> list[PairFiles]:
    """Pairs by a rule of their own: `key` makes of both stems what they have in common.

    Several inputs may share a target. Without any common key, equally many photos are paired in
    order. Raises InputError if a target is missing.
    """
    by_key = {key(path.stem): path for path in targets}
    missing = [path for path in inputs if key(path.stem) not in by_key]
    if len(missing) == len(inputs) == len(targets):
        return [PairFiles(a.stem, a, b) for a, b in zip(inputs, targets, strict=True)]
    if missing:
        raise _without_target(missing, len(inputs), targets[0].parent, key)
    return [PairFiles(path.stem, path, by_key[key(path.stem)]) for path in inputs]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly inside `folder`, in order of their names.

    Raises InputError if the folder is missing or holds none.
    """
    return _pictures(folder, folder.iterdir() if folder.is_dir() else ())


def pictures_under(folder: Path) -> list[Path]:
    """The pictures inside `folder` and its subfolders, in order of their paths.

    Raises InputError if the folder is missing or holds none.
    """
    return _pictures(folder, folder.rglob("*"))


def _pictures(folder: Path, paths: Iterable[Path]) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    found = sorted(path for path in paths if path.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise InputError(f"{folder} holds no pictures", why="looked for JPEG, PNG, TIFF and WebP")
    return found


def _partners(inputs: Sequence[Path], targets: Sequence[Path]) -> dict[Path, Path]:
    """Targets by input, as names tell: exactly first, then without the words for the role."""
    partners: dict[Path, Path] = {}
    by_name = _by_key(targets, str.casefold)
    if doubled := next((paths for paths in by_name.values() if len(paths) > 1), None):
        raise InputError(
            f"two sharp photos are called {doubled[0].stem}",
            why=" and ".join(path.name for path in doubled),
            fix="keep one of them in the folder",
        )
    for path in inputs:
        if found := by_name.get(path.stem.casefold()):
            partners[path] = found[0]
    left = [path for path in inputs if path not in partners]
    free = [path for path in targets if path not in set(partners.values())]
    left_by_rest, free_by_rest = _by_key(left, _without_role), _by_key(free, _without_role)
    for rest, paths in left_by_rest.items():
        if rest and len(paths) == 1 and len(free_by_rest.get(rest, ())) == 1:
            partners[paths[0]] = free_by_rest[rest][0]
    return partners


def _pairing(
    inputs: Sequence[Path],
    targets: Sequence[Path],
    partners: dict[Path, Path],
    blurred: Path,
    all_in_focus: Path,
) -> Pairing:
    if not partners:
        raise InputError(
            f"no photo in {blurred} has a counterpart in {all_in_focus}",
            why=f"{inputs[0].name} would need {inputs[0].stem} there; names differ, and "
            f"{len(inputs)} and {len(targets)} photos cannot be paired in order",
            fix="give both photos of a pair the same name",
        )
    used = set(partners.values())
    return Pairing(
        pairs=tuple(PairFiles(a.stem, a, partners[a]) for a in inputs if a in partners),
        blurred_alone=tuple(path for path in inputs if path not in partners),
        sharp_alone=tuple(path for path in targets if path not in used),
        by="name",
    )


def _by_key(paths: Sequence[Path], key: Callable[[str], str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(key(path.stem), []).append(path)
    return found


def _without_role(stem: str) -> str:
    words = re.split(r"[^0-9a-z]+", stem.casefold())
    return " ".join(word for word in words if word and word not in ROLE_WORDS)


def _without_target(
    missing: Sequence[Path], count: int, folder: Path, key: Callable[[str], str] = str
) -> InputError:
    return InputError(
        f"{len(missing)} of {count} photos have no target",
        why=f"{missing[0].name} would need {key(missing[0].stem)} in {folder}",
    )
