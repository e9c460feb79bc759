"""Pairs of photos for a training run: which ones, and batches of crops from them, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from defocusfix.errors import UsageError
from defocusfix.pairs.crops import PairCrops, PairSettings
from defocusfix.pairs.find import Matching, PairFiles, find_pairs
from defocusfix.pairs.layouts import LAYOUTS, pairs_of_layout
from defocusfix.registration.warp import FloatImage
from defocusfix.training.data import sample_numbers
from defocusfix.training.recipe import Tensors


@dataclass(frozen=True)
class PairChoice:
    """Where pairs lie, which of them are learnt from, and how. Two folders, or a known data set."""

    blurry: Path | None = None
    """Folder of the blurred photos; goes with `sharp`."""
    sharp: Path | None = None
    """Folder of the sharp photos."""
    matching: Matching = "auto"
    """How photos of the two folders are paired: by name, by order, or auto."""
    data_set: Path | None = None
    """Instead of two folders: where a known data set lies."""
    layout: str = "sdd"
    """Which one it is: sdd, dpdd, ded, lfdof or pairs."""
    held_out: tuple[str, ...] = ()
    """Names of pairs that are not learnt from, but looked at in mid-training."""
    left_out: tuple[str, ...] = ()
    """Names of pairs that are used for nothing, such as those that `data check` rejects."""
    data: PairSettings = field(default_factory=PairSettings)
    """How crops are taken."""

    def __post_init__(self) -> None:
        if (self.blurry is None) != (self.sharp is None):
            raise ValueError("blurry and sharp go together")
        if self.blurry is not None and self.data_set is not None:
            raise ValueError("name the data: either blurry and sharp, or data_set")
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout is one of {', '.join(LAYOUTS)}, not {self.layout!r}")
        if both := sorted(set(self.held_out) & set(self.left_out)):
            raise ValueError(f"held_out and left_out both name {both[0]}")

    @property
    def is_named(self) -> bool:
        """Whether pairs were named at all."""
        return self.blurry is not None or self.data_set is not None


def chosen_pairs(choice: PairChoice, table: str) -> tuple[list[PairFiles], list[PairFiles]]:
    """Pairs to learn from, and pairs to look at in mid-training.

    The second are those held out and, if none is, those of a data set's part for validation.
    table: where the choice stands in the configuration, for messages.
    Raises InputError where pairs are missing, UsageError where one that is named is not there.
    """
    looked_at: list[PairFiles] = []
    if choice.blurry is not None and choice.sharp is not None:
        found = list(find_pairs(choice.blurry, choice.sharp, choice.matching).pairs)
    else:
        root = choice.data_set or Path()
        found = pairs_of_layout(root, choice.layout, "train")
        if "validation" in LAYOUTS[choice.layout].folders and not choice.held_out:
            looked_at = pairs_of_layout(root, choice.layout, "validation")
    named = {"held_out": set(choice.held_out), "left_out": set(choice.left_out)}
    for setting, names in named.items():
        if unknown := sorted(names - {pair.name for pair in found}):
            raise UsageError(
                f"{table}.{setting} names {len(unknown)} pairs that are not there",
                why=f"no pair is called {unknown[0]}",
            )
    looked_at += [pair for pair in found if pair.name in named["held_out"]]
    unlearnt = named["held_out"] | named["left_out"]
    return [pair for pair in found if pair.name not in unlearnt], looked_at


class PairSource(PairCrops):
    """Crops from pairs of photos, in batches that several processes may share."""

    def batch(self, step: int, batch_size: int, rank: int = 0, world: int = 1) -> Tensors:
        """Slice `rank` of `world` of the joint batch of a step, B = batch_size / world samples.

        Returns "blurred" and "all_in_focus" (B, 3, crop_px, crop_px) float32 in [0, 1], channels
        last. Raises ValueError if the processes cannot share the batch evenly.
        """
        samples = [self.sample(k) for k in sample_numbers(step, batch_size, rank, world)]
        blurred, sharp = zip(*samples, strict=True)
        return {"blurred": as_batch(blurred), "all_in_focus": as_batch(sharp)}


def as_batch(images: Sequence[FloatImage]) -> Tensor:
    """B images (H, W, 3) -> (B, 3, H, W), laid out channels last."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(images))).permute(0, 3, 1, 2)
