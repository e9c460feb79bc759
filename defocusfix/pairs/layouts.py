"""Where the known data sets keep their pairs, and how the names of a pair belong together.

Sources: DPDD and RealDOF as their authors publish them (`source`, `target`, in DPDD for the photo,
`c`, and for both views of its dual-pixel sensor, `l` and `r`); SDD from the README of JDRL; LFDOF
from its release, where one all-in-focus picture SCENE.png belongs to many blurred ones named
SCENE_ap*.png; DED from the loader of DID-ANet, whose folders `image` and `sharp` hold all pairs,
`image_N` and `sharp_N`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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
    views: Mapping[Part, tuple[str, str]] = field(default_factory=dict)
    """Left and right views of the blurred photos by part, where the data set has them."""


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
        },
        views={
            "train": ("train_l/source", "train_r/source"),
            "validation": ("val_l/source", "val_r/source"),
            "test": ("test_l/source", "test_r/source"),
        },
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
    """The pairs of one part of a known data set below `root`, with their views if these are there.

    Raises UsageError for an unknown layout or part, InputError if folders or targets are missing,
    or if some photos have views and others not.
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
    pairs = matched(found, pictures_in(all_in_focus), chosen.key)
    left, right = (root / folder for folder in chosen.views.get(part, ("", "")))
    if part not in chosen.views or not (left.is_dir() or right.is_dir()):
        return pairs
    of_photos = (
        matched(found, pictures_in(folder), chosen.key, role)
        for folder, role in ((left, "left view"), (right, "right view"))
    )
    return [
        replace(pair, views=(in_left.all_in_focus, in_right.all_in_focus))
        for pair, in_left, in_right in zip(pairs, *of_photos, strict=True)
    ]
