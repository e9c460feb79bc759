"""Batches of crops from pairs of photos, as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from defocusfix.pairs.crops import PairCrops
from defocusfix.registration.warp import FloatImage
from defocusfix.training.recipe import Tensors


class PairSource(PairCrops):
    """Crops from pairs of photos, in batches that several processes may share."""

    def batch(self, step: int, batch_size: int, rank: int = 0, world: int = 1) -> Tensors:
        """Slice `rank` of `world` of the joint batch of a step, B = batch_size / world samples.

        Returns "blurred" and "all_in_focus" (B, 3, crop_px, crop_px) float32 in [0, 1], channels
        last. Raises ValueError if the processes cannot share the batch evenly.
        """
        if batch_size % world:
            raise ValueError(f"{world} processes cannot share a batch of {batch_size} evenly")
        share = batch_size // world
        first = step * batch_size + rank * share
        samples = [self.sample(k) for k in range(first, first + share)]
        blurred, sharp = zip(*samples, strict=True)
        return {"blurred": as_batch(blurred), "all_in_focus": as_batch(sharp)}


def as_batch(images: Sequence[FloatImage]) -> Tensor:
    """B images (H, W, 3) -> (B, 3, H, W), laid out channels last."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(images))).permute(0, 3, 1, 2)
