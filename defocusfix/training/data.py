"""Batches from rendered crops on disk: sample k is a function of (seed, k)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from defocusfix.errors import TrainingError
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.recipe import Tensors

GAIN_RANGE = (0.6, 1.25)  # brightness changes; never so bright that a pixel would clip

Value = TypeVar("Value", bound=np.generic)
Picture = NDArray[np.uint8]
RadiusMap = NDArray[np.float32]


class Variation:
    """One random flip, quarter turn, order of colours and brightness, for all of a sample alike."""

    def __init__(self, rng: np.random.Generator, *, brightest: int) -> None:
        """brightest: value of the sample's brightest pixel, 0 to 255, which is never clipped."""
        self._turns, self._is_mirrored = int(rng.integers(4)), bool(rng.integers(2))
        self._channels = rng.permutation(3)
        gain = min(float(rng.uniform(*GAIN_RANGE)), 255 / max(brightest, 1))
        self._levels = np.rint(np.arange(256) * gain).clip(0, 255).astype(np.uint8)

    def of_picture(self, stored: Picture) -> Picture:
        """stored: (H, W, 3); H and W may swap."""
        return self._levels[self.of_map(stored)[..., self._channels]]

    def of_map(self, stored: NDArray[Value]) -> NDArray[Value]:
        """stored: (H, W, ...), whose values stay; H and W may swap."""
        turned = np.rot90(stored, self._turns)
        return turned[:, ::-1] if self._is_mirrored else turned


class CropSource:
    """Augmented training samples from one or more rendered sets.

    Samples run through all crops in a new random order per epoch. Each is flipped, turned by
    quarter turns, its colour channels are permuted and its brightness scaled, the pair and its
    radius map alike. Safe to use from several threads.
    """

    def __init__(self, sets: Sequence[RenderedSet], seed: int, *, crop: int | None = None) -> None:
        """crop: side in px of a random, even-aligned part to cut out; None for whole crops.

        Raises TrainingError if there is nothing to train on.
        """
        self._sets = tuple(sets)
        self._stops = np.cumsum([len(rendered) for rendered in self._sets])
        self._seed = seed
        self._crop = crop
        if not self._sets or len(self) == 0:
            raise TrainingError("there are no rendered crops to train on")
        sizes = {rendered[0][0].shape[:2] for rendered in self._sets}
        height, width = np.min(list(sizes), axis=0)
        if crop is None and len(sizes) > 1:
            told = ", ".join(f"{width} x {height} px" for height, width in sorted(sizes))
            raise TrainingError(
                "crops of several sizes cannot be learnt from side by side", why=f"there are {told}"
            )
        if crop is not None and (crop % 2 or crop > min(height, width)):
            raise TrainingError(
                f"crops of {crop} px cannot be cut from rendered ones of {width} x {height} px",
                why="they must be even and no larger",
            )
        self._order = lru_cache(maxsize=2)(self._shuffled)  # an epoch's end overlaps the next

    def __len__(self) -> int:
        """Crops on disk, that is samples per epoch."""
        return int(self._stops[-1])

    def sample(self, k: int) -> tuple[Picture, Picture, RadiusMap]:
        """Sample `k`: blurred, all_in_focus (H, W, 3) RGB; signed radius (H/2, W/2) in px."""
        rng = np.random.default_rng((self._seed, k))
        number, index = self._place(k)
        blurred, all_in_focus, radius = self._sets[number][index]
        if self._crop is not None:
            top, left = (2 * int(rng.integers((side - self._crop) // 2 + 1))
                         for side in blurred.shape[:2])  # fmt: skip
            bottom, right = top + self._crop, left + self._crop
            blurred, all_in_focus = (a[top:bottom, left:right] for a in (blurred, all_in_focus))
            radius = radius[top // 2 : bottom // 2, left // 2 : right // 2]
        variation = Variation(rng, brightest=max(int(blurred.max()), int(all_in_focus.max())))
        return (
            variation.of_picture(blurred),
            variation.of_picture(all_in_focus),
            variation.of_map(radius.astype(np.float32)),
        )

    def batch(self, step: int, batch_size: int, rank: int = 0, world: int = 1) -> Tensors:
        """Slice `rank` of `world` of the joint batch of a step, B = batch_size / world samples.

        Returns "blurred" and "all_in_focus" (B, 3, H, W) float32 in [0, 1], channels last;
        "radius_px" (B, 1, H/2, W/2) float32, absolute blur radius in px of the crop; "is_taught"
        (B,) bool, where all_in_focus is only what networks restored.
        Raises ValueError if the processes cannot share the batch evenly.
        """
        numbers = sample_numbers(step, batch_size, rank, world)
        samples = [self.sample(k) for k in numbers]
        taught = [self._sets[self._place(k)[0]].is_taught for k in numbers]
        blurred, all_in_focus, radius = map(stacked, zip(*samples, strict=True))
        return {
            "blurred": as_batch(blurred),
            "all_in_focus": as_batch(all_in_focus),
            "radius_px": torch.from_numpy(radius).abs_().unsqueeze(1),
            "is_taught": torch.tensor(taught),
        }

    def _place(self, k: int) -> tuple[int, int]:
        """Which set sample `k` is of, and which crop of it."""
        epoch, position = divmod(k, len(self))
        index = int(self._order(epoch)[position])
        number = int(np.searchsorted(self._stops, index, side="right"))
        return number, index - (int(self._stops[number - 1]) if number else 0)

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        # Three numbers seed the order and two a sample, so the two streams never meet.
        return np.random.default_rng((self._seed, epoch, 0)).permutation(len(self))


def sample_numbers(step: int, batch_size: int, rank: int, world: int) -> range:
    """Numbers of the samples that process `rank` of `world` takes at a step.

    Raises ValueError if the processes cannot share the batch evenly.
    """
    if batch_size % world:
        raise ValueError(f"{world} processes cannot share a batch of {batch_size} evenly")
    share = batch_size // world
    first = step * batch_size + rank * share
    return range(first, first + share)


def stacked(arrays: Sequence[NDArray[Value]]) -> NDArray[Value]:
    """One array of several of the same shape, laid out plainly."""
    # np.stack alone would keep the layout of arrays that are all turned the same way.
    return np.ascontiguousarray(np.stack(arrays))


def as_batch(pictures: Picture) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [0, 1], laid out channels last."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().mul_(1 / 255)
