"""Where the known data sets keep their pairs, and how the names of a pair belong together.

Sources: DPDD and RealDOF as their authors publish them (`source`, `target`); SDD from the
README of JDRL; LFDOF from its release, where one all-in-focus picture SCENE.png belongs to
many blurred ones named SCENE_ap*.png; DED from the loader of DID-ANet, whose folders
`image` and `sharp` hold all pairs, `image_N` and `sharp_N`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from defocusfix.errors import UsageError
from defocusfix.pairs.find import PairFiles, matched, pictures_in, pictures_under

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one data set, relative to its root."""

    folders: Mapping[Part, tuple[str, str]]
    """Blurred and all-in-focus photos by part."""
    key: Callable[[str], str] = str
    """What the stems of both photos of a pair have in common."""
    has_subfolders: bool = False
    """Whether blurred photos lie in folders per scene."""


def _before_aperture(stem: str) -> str:
    return stem.partition("_ap")[0]


def _number(stem: str) -> str:
    return stem.rpartition("_")[2]


LAYOUTS: Final[Mapping[str, Layout]] = {
    "dpdd": Layout(
        {
            "train": ("train_c/source", "train_c/target"),
            "validation": ("val_c/source", "val_c/target"),
            "test": ("test_c/source", "test_c/target"),
        }
    ),
    "realdof": Layout({"test": ("source", "target")}),
    "sdd": Layout(
        {
            "train": ("train_patches/blur", "train_patches/gt"),
            "test": ("test/blur", "test/gt"),
        }
    ),
    "lfdof": Layout(
        {
            "train": ("train_data/input", "train_data/ground_truth"),
            "test": ("test_data/input", "test_data/ground_truth"),
        },
        _before_aperture,
        has_subfolders=True,
    ),
    "ded": Layout({"train": ("image", "sharp")}, _number),
    "pairs": Layout({"train": ("blurry", "sharp"), "test": ("blurry", "sharp")}),
}
"""By the name a user types."""


def pairs_of_layout(root: Path, layout: str, part: Part = "test") -> list[PairFiles]:
    """The pairs of one part of a known data set below `root`.

    Raises UsageError for an unknown layout or part, InputError if folders or targets are missing.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"no layout is called {layout}", fix=f"one of: {', '.join(LAYOUTS)}")
    chosen = LAYOUTS[layout]
    if part not in chosen.folders:
        raise UsageError(
            f"the layout {layout} has no part {part!r}", fix=f"one of: {', '.join(chosen.folders)}"
        )
    blurred, all_in_focus = (root / folder for folder in chosen.folders[part])
    found = pictures_under(blurred) if chosen.has_subfolders else pictures_in(blurred)
    return matched(found, pictures_in(all_in_focus), chosen.key)
