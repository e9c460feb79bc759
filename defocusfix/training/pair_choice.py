"""Which pairs of photos a recipe learns from, and which it only looks at."""

from __future__ import annotations

from pathlib import Path

from defocusfix.errors import UsageError
from defocusfix.pairs.find import Matching, PairFiles, find_pairs
from defocusfix.pairs.layouts import LAYOUTS, pairs_of_layout


def chosen_pairs(
    *,
    blurry: Path | None,
    sharp: Path | None,
    matching: Matching,
    data_set: Path | None,
    layout: str,
    held_out: tuple[str, ...],
    left_out: tuple[str, ...],
) -> tuple[list[PairFiles], list[PairFiles]]:
    """Pairs to learn from, and pairs to look at in mid-training; settings as recipes have them.

    Raises UsageError where held_out or left_out name a pair that is not there, InputError where
    photos are missing.
    """
    looked_at: list[PairFiles] = []
    if blurry is not None and sharp is not None:
        found = list(find_pairs(blurry, sharp, matching).pairs)
    else:
        root = data_set or Path()
        found = pairs_of_layout(root, layout, "train")
        if "validation" in LAYOUTS[layout].folders and not held_out:
            looked_at = pairs_of_layout(root, layout, "validation")
    named = {"held_out": set(held_out), "left_out": set(left_out)}
    for setting, names in named.items():
        if unknown := sorted(names - {pair.name for pair in found}):
            raise UsageError(
                f"recipe.{setting} names {len(unknown)} pairs that are not there",
                why=f"no pair is called {unknown[0]}",
            )
    looked_at += [pair for pair in found if pair.name in named["held_out"]]
    unlearnt = named["held_out"] | named["left_out"]
    return [pair for pair in found if pair.name not in unlearnt], looked_at
