"""Which blurred photo belongs to which sharp one: by name, by time, in order or by look."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from defocusfix.errors import InputError
from defocusfix.pairs.matching import Partners, partners_by_look, partners_by_time

PICTURE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})
ROLE_WORDS: Final = frozenset(
    (
        *("blur", "blurred", "blurry", "defocus", "defocused", "unsharp", "input", "source"),
        *("sharp", "focus", "focused", "infocus", "target", "gt", "clear", "image"),
    )
)
"""Words in a file's name that tell the two photos of a pair apart, not one pair from another."""

Way = Literal["name", "time", "order", "similarity"]
Matching = Literal["auto", "name", "time", "order", "similarity"]
WAYS: Final[tuple[Way, ...]] = ("name", "time", "order", "similarity")
"""In the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class PairFiles:
    """A blurred photo and its all-in-focus counterpart on disk."""

    name: str
    blurred: Path
    all_in_focus: Path
    views: tuple[Path, Path] | None = None
    """Left and right view of the blurred photo, of a dual-pixel sensor; None where there are none.
    Each is a photo like it, of its size."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """What was found in two folders."""

    pairs: tuple[PairFiles, ...]
    """In order of the blurred photos' names."""
    blurred_alone: tuple[Path, ...]
    """Blurred photos without a counterpart."""
    sharp_alone: tuple[Path, ...]
    """Sharp photos that nothing was paired with."""
    by: Way
    """What told which photos belong together."""


def find_pairs(blurred: Path, all_in_focus: Path, by: Matching = "auto") -> Pairing:
    """The pairs of two folders.

    name: stems are equal but for case, or equal once words such as "blur" and "sharp" are left
    out. time: taken one right after the other. order: equally many photos, first with first.
    similarity: they show the same. auto: by name; where no name fits, by time if that pairs
    every blurred photo; else in order where the folders hold equally many, or by similarity.
    Where the photos lie in folders inside, one per scene, those of one name are paired.
    Raises InputError if a folder is missing or empty, if both are one, if nothing can be paired, or
    if two sharp photos have one name.
    """
    scenes = _folders_in_both(blurred, all_in_focus)
    if scenes and not any(map(_is_picture, blurred.iterdir())):
        parts = [find_pairs(blurred / name, all_in_focus / name, by) for name in scenes]
        return _joined(scenes, parts)
    inputs, targets = pictures_in(blurred), pictures_in(all_in_focus)
    if blurred.resolve() == all_in_focus.resolve():
        raise InputError(
            f"{blurred} was given twice",
            why="blurry and sharp photos would be the same",
            fix="name two folders, one with the blurry and one with the sharp photos",
        )
    for way in WAYS if by == "auto" else (by,):
        partners = _partners_by(way, inputs, targets)
        is_whole = way != "time" or by == "time" or len(partners) == len(inputs)
        if partners and is_whole:
            return _pairing(inputs, targets, partners, way)
    raise _nothing_paired(blurred, inputs, all_in_focus, targets, by)


def pairs_of_folders(blurred: Path, all_in_focus: Path, by: Matching = "auto") -> list[PairFiles]:
    """The pairs of two folders, as `find_pairs`, where every blurred photo must have its target.

    Raises InputError if one is missing.
    """
    found = find_pairs(blurred, all_in_focus, by)
    if found.blurred_alone:
        raise _without_target(found.blurred_alone, len(pictures_in(blurred)), all_in_focus)
    return list(found.pairs)


def matched(
    inputs: Sequence[Path],
    targets: Sequence[Path],
    key: Callable[[str], str],
    role: str = "target",
) -> list[PairFiles]:
    """Pairs by a rule of their own: `key` makes of both stems what they have in common.

    Several inputs may share a target. Without any common key, equally many photos are paired in
    order. role: what a target is called. Raises InputError if one is missing.
    """
    by_key = {key(path.stem): path for path in targets}
    missing = [path for path in inputs if key(path.stem) not in by_key]
    if len(missing) == len(inputs) == len(targets):
        return [PairFiles(a.stem, a, b) for a, b in zip(inputs, targets, strict=True)]
    if missing:
        raise _without_target(missing, len(inputs), targets[0].parent, key, role)
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


def without_role(stem: str) -> str:
    """The words of a name that tell one pair from another, in lower case."""
    words = re.split(r"[^0-9a-z]+", stem.casefold())
    return " ".join(word for word in words if word and word not in ROLE_WORDS)


def _pictures(folder: Path, paths: Iterable[Path]) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    found = sorted(path for path in paths if _is_picture(path))
    if not found:
        raise InputError(f"{folder} holds no pictures", why="looked for JPEG, PNG, TIFF and WebP")
    return found


def _is_picture(path: Path) -> bool:
    # Some systems leave files such as ._IMG_1.JPG beside the photos.
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


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
    left_by_rest, free_by_rest = _by_key(left, without_role), _by_key(free, without_role)
    for rest, paths in left_by_rest.items():
        if rest and len(paths) == 1 and len(free_by_rest.get(rest, ())) == 1:
            partners[paths[0]] = free_by_rest[rest][0]
    return partners


def _partners_by(way: Way, inputs: Sequence[Path], targets: Sequence[Path]) -> Partners:
    if way == "name":
        return _partners(inputs, targets)
    if way == "time":
        return partners_by_time(inputs, targets)
    if way == "similarity":
        return partners_by_look(inputs, targets)
    return dict(zip(inputs, targets, strict=True)) if len(inputs) == len(targets) else {}


def _pairing(
    inputs: Sequence[Path], targets: Sequence[Path], partners: Partners, way: Way
) -> Pairing:
    used = set(partners.values())
    stems = _by_key(inputs, str)
    return Pairing(
        pairs=tuple(
            PairFiles(a.stem if len(stems[a.stem]) == 1 else a.name, a, partners[a])
            for a in inputs
            if a in partners
        ),
        blurred_alone=tuple(path for path in inputs if path not in partners),
        sharp_alone=tuple(path for path in targets if path not in used),
        by=way,
    )


def _folders_in_both(blurred: Path, all_in_focus: Path) -> list[str]:
    if not (blurred.is_dir() and all_in_focus.is_dir()):
        return []
    inside = [
        {p.name for p in folder.iterdir() if p.is_dir()} for folder in (blurred, all_in_focus)
    ]
    return sorted(inside[0] & inside[1])


def _joined(folders: Sequence[str], parts: Sequence[Pairing]) -> Pairing:
    """One pairing of several folders; a pair is called FOLDER/NAME."""
    return Pairing(
        pairs=tuple(
            replace(pair, name=f"{folder}/{pair.name}")
            for folder, part in zip(folders, parts, strict=True)
            for pair in part.pairs
        ),
        blurred_alone=tuple(path for part in parts for path in part.blurred_alone),
        sharp_alone=tuple(path for part in parts for path in part.sharp_alone),
        by=parts[0].by,
    )


def _nothing_paired(
    blurred: Path,
    inputs: Sequence[Path],
    all_in_focus: Path,
    targets: Sequence[Path],
    by: Matching,
) -> InputError:
    counts = f"{len(inputs)} and {len(targets)} photos"
    if by == "order":
        return InputError(
            f"{blurred} and {all_in_focus} cannot be paired in order",
            why=f"they hold {counts}",
            fix="give both photos of a pair the same name",
        )
    reasons = {
        "time": "no two photos say that they were taken within five minutes of each other",
        "similarity": "no two photos show the same scene",
    }
    return InputError(
        f"no photo in {blurred} has a counterpart in {all_in_focus}",
        why=reasons.get(by, f"{inputs[0].name} would need {inputs[0].stem} there")
        + (f"; {counts} cannot be paired in order, nor by time or look" if by == "auto" else ""),
        fix="give both photos of a pair the same name",
    )


def _by_key(paths: Sequence[Path], key: Callable[[str], str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(key(path.stem), []).append(path)
    return found


def _without_target(
    missing: Sequence[Path],
    count: int,
    folder: Path,
    key: Callable[[str], str] = str,
    role: str = "target",
) -> InputError:
    return InputError(
        f"{len(missing)} of {count} photos have no {role}",
        why=f"{missing[0].name} would need {key(missing[0].stem)} in {folder}",
    )
