"""Batches of crops from dual-pixel photos: both views, the photo they make, and the sharp one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from defocusfix.errors import InputError
from defocusfix.pairs.crops import PairCrops, PairSettings
from defocusfix.pairs.find import Matching, PairFiles, find_pairs
from defocusfix.registration.warp import FloatImage
from defocusfix.training.data import sample_numbers
from defocusfix.training.pair_data import PairSource, as_batch
from defocusfix.training.recipe import Tensors

NAMES = ("blurred", "all_in_focus", "left", "right")
Pictures = Mapping[str, FloatImage]
"""Of one photo, by some of these names, (H, W, 3) in [0, 1]."""


class DualPixelSource:
    """Crops of four photos at one place; sample k is a function of (seed, k).

    They are turned by half turns and mirrored, never by quarter turns: views differ along one
    direction. Mirroring from left to right exchanges the views, as a mirrored lens would.
    Safe to use from several threads.
    """

    def __init__(self, pairs: Sequence[PairFiles], settings: PairSettings, seed: int) -> None:
        """pairs: with the views of their blurred photos; see `with_views`.

        settings: crop_px, augments and cache of them are used; the photos must be in line.
        Raises InputError where a pair has no views, TrainingError if there is nothing to train on.
        """
        plain = replace(settings, scale=1, alignment="none", matches_exposure=False, augments=False)
        if missing := [pair.name for pair in pairs if pair.views is None]:
            raise InputError(
                f"{len(missing)} of {len(pairs)} photos have no dual-pixel views",
                why=f"none belong to {missing[0]}",
            )
        views = [PairFiles(pair.name, *pair.views) for pair in pairs if pair.views is not None]
        self._photos = PairCrops(pairs, plain, seed)
        self._views = PairCrops(views, plain, seed)
        self._augments = settings.augments
        self._seed = seed

    def __len__(self) -> int:
        """Photos, that is samples per epoch."""
        return len(self._photos)

    def sample(self, k: int) -> dict[str, FloatImage]:
        """Sample `k`, (crop_px, crop_px, 3) RGB in [0, 1] each, by the names in `NAMES`.

        Raises InputError if a photo cannot be read, is smaller than a crop, or differs in size
        from its views.
        """
        # The same seed, so the same pair and, as they are of one size, the same place.
        images = (*self._photos.sample(k), *self._views.sample(k))
        found = dict(zip(NAMES, images, strict=True))
        if not self._augments:
            return found
        upside_down, mirrored = np.random.default_rng((self._seed, k, 3)).integers(2, size=2)
        if upside_down:
            found = {name: image[::-1] for name, image in found.items()}
        if mirrored:
            found = {name: image[:, ::-1] for name, image in found.items()}
            found["left"], found["right"] = found["right"], found["left"]
        return found

    def batch(self, step: int, batch_size: int, rank: int = 0, world: int = 1) -> Tensors:
        """Slice `rank` of `world` of the joint batch of a step, B = batch_size / world samples.

        Returns "blurred" and "all_in_focus" (B, 3, crop_px, crop_px) float32 in [0, 1], and
        "views" (B, 6, crop_px, crop_px), left then right. Raises ValueError if the processes cannot
        share the batch evenly.
        """
        samples = [self.sample(k) for k in sample_numbers(step, batch_size, rank, world)]
        blurred, sharp, left, right = (as_batch([s[name] for s in samples]) for name in NAMES)
        return {
            "blurred": blurred,
            "all_in_focus": sharp,
            "views": torch.cat([left, right], dim=1),
        }

    def centre(self, number: int, largest_px: int, multiple: int) -> dict[str, FloatImage]:
        """Around the middle of one photo, by the names in `NAMES`; see `PairCrops.centre`."""
        photos = self._photos.centre(number, largest_px, multiple)
        views = self._views.centre(number, largest_px, multiple)
        return dict(zip(NAMES, (*photos, *views), strict=True))

    def name(self, number: int) -> str:
        """What the photo is called."""
        return self._photos.name(number)


AnyPairSource = PairSource | DualPixelSource


def pair_source(
    pairs: Sequence[PairFiles], settings: PairSettings, seed: int, takes_views: bool
) -> AnyPairSource:
    """Crops of pairs, with dual-pixel views if they are wanted; errors as of the sources."""
    if takes_views:
        return DualPixelSource(pairs, settings, seed)
    return PairSource(pairs, settings, seed)


def middle(photos: AnyPairSource, number: int, largest_px: int, multiple: int) -> Pictures:
    """Around the middle of one photo: "blurred", "all_in_focus" and, if it has them, its views."""
    found = photos.centre(number, largest_px, multiple)
    if isinstance(found, tuple):
        return dict(zip(NAMES, found, strict=False))
    return found


def with_views(
    pairs: Sequence[PairFiles], left: Path, right: Path, matching: Matching = "auto"
) -> list[PairFiles]:
    """`pairs` with the views of their blurred photos, found in two folders.

    Raises InputError where a view is missing.
    """
    of_left, of_right = (_views(pairs, folder, matching) for folder in (left, right))
    return [
        replace(pair, views=(one, other))
        for pair, one, other in zip(pairs, of_left, of_right, strict=True)
    ]


def _views(pairs: Sequence[PairFiles], folder: Path, matching: Matching) -> list[Path]:
    """The view of every blurred photo in a folder."""
    blurred = {pair.blurred.parent for pair in pairs}
    found = {
        pair.blurred: pair.all_in_focus
        for parent in sorted(blurred)
        for pair in find_pairs(parent, folder, matching).pairs
    }
    if missing := [pair.name for pair in pairs if pair.blurred not in found]:
        raise InputError(
            f"{len(missing)} of {len(pairs)} photos have no view in {folder}",
            why=f"none belongs to {missing[0]}",
        )
    return [found[pair.blurred] for pair in pairs]
