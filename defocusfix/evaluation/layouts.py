"""Where the known data sets keep their test pairs, and how the names of a pair belong together.

Sources: DPDD and RealDOF as their authors publish them (`source`, `target`); SDD from the
README of JDRL; LFDOF from its release, where one all-in-focus picture SCENE.png belongs to
many blurred ones named SCENE_ap*.png.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from defocusfix.errors import InputError, UsageError
from defocusfix.evaluation.pictures import pictures_in, pictures_under


@dataclass(frozen=True, slots=True)
class PairFiles:
    """A blurred photo and its all-in-focus counterpart on disk."""

    name: str
    blurred: Path
    all_in_focus: Path


def _same_name(stem: str) -> str:
    return stem


def _before_aperture(stem: str) -> str:
    return stem.partition("_ap")[0]


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one data set, relative to its root."""

    blurred: str
    all_in_focus: str
    target_stem: Callable[[str], str] = _same_name
    """Stem of the target from the stem of the blurred photo."""
    has_subfolders: bool = False
    """Whether blurred photos lie in folders per scene."""


LAYOUTS: Final[Mapping[str, Layout]] = {
    "dpdd": Layout("test_c/source", "test_c/target"),
    "realdof": Layout("source", "target"),
    "sdd": Layout("test/blur", "test/gt"),
    "lfdof": Layout(
        "test_data/input", "test_data/ground_truth", _before_aperture, has_subfolders=True
    ),
    "pairs": Layout("blurry", "sharp"),
}
"""By the name a user types."""


def pairs_of_layout(root: Path, layout: str) -> list[PairFiles]:
    """The test pairs of a known data set below `root`.

    Raises UsageError for an unknown layout, InputError if folders or targets are missing.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"no layout is called {layout}", fix=f"one of: {', '.join(LAYOUTS)}")
    chosen = LAYOUTS[layout]
    blurred = root / chosen.blurred
    found = pictures_under(blurred) if chosen.has_subfolders else pictures_in(blurred)
    return _matched(found, root / chosen.all_in_focus, chosen.target_stem)


def pairs_of_folders(blurred: Path, all_in_focus: Path) -> list[PairFiles]:
    """Pairs of two folders, matched by stem. Raises InputError if a target is missing.

    Where both folders hold equally many pictures and no stem is common, as in DPDD, whose two
    shots carry different numbers, they are matched in order of their names.
    """
    inputs, targets = pictures_in(blurred), pictures_in(all_in_focus)
    stems = {path.stem for path in targets}
    if len(inputs) == len(targets) and not any(path.stem in stems for path in inputs):
        return [PairFiles(a.stem, a, b) for a, b in zip(inputs, targets, strict=True)]
    return _matched(inputs, all_in_focus, _same_name)


def _matched(
    inputs: list[Path], folder: Path, target_stem: Callable[[str], str]
) -> list[PairFiles]:
    by_stem = {path.stem: path for path in pictures_in(folder)}
    missing = [path.name for path in inputs if target_stem(path.stem) not in by_stem]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(inputs)} photos have no target",
            why=f"{missing[0]} would need {target_stem(Path(missing[0]).stem)} in {folder}",
        )
    return [PairFiles(path.stem, path, by_stem[target_stem(path.stem)]) for path in inputs]
