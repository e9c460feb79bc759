"""Rendered pairs for a training run: sets on disk, or rendered while it trains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.data import CropSource
from defocusfix.training.live import LiveSource
from defocusfix.training.pool import ScenePool


@dataclass(frozen=True)
class RenderedChoice:
    """Where rendered pairs come from."""

    crops: tuple[Path, ...] = ()
    """Sets of rendered pairs to learn from; see `defocusfix render`."""
    photos: tuple[Path, ...] = ()
    """Instead of crops: folders of sharp photos, from which pairs are rendered during training."""
    renders_live: bool = False
    """Render during training; without photos, from procedural textures."""
    live_size_px: int = 256
    """Side of the pairs rendered during training, a multiple of 64."""
    live_workers: int | None = None
    """Processes that draw scenes for it; None takes all cores but one."""
    live_uses: int = 1
    """Batches in which a pair rendered during training is used. From 2 on the processes render too
    and the device keeps the pairs, for a GPU that trains faster than they render."""
    live_pool: int = 16384
    """Pairs kept for that; one of 256 px takes 0.43 MB of the device's memory."""

    def __post_init__(self) -> None:
        if self.crops and self.is_live:
            raise ValueError("crops and photos or renders_live contradict each other: choose one")
        if self.is_live and self.live_size_px % 64:
            raise ValueError(f"live_size_px must be a multiple of 64, got {self.live_size_px}")
        if self.live_uses < 1:
            raise ValueError(f"live_uses is at least 1, got {self.live_uses}")

    @property
    def is_live(self) -> bool:
        """Whether pairs are rendered during training."""
        return self.renders_live or bool(self.photos)

    @property
    def is_named(self) -> bool:
        """Whether there is anything to learn from."""
        return bool(self.crops) or self.is_live

    def pair_px(self) -> int:
        """Side of the pairs; of several sets, of the first. Raises InputError if there is none."""
        return self.live_size_px if self.is_live else len(RenderedSet(self.crops[0])[0][0])


RenderedSource = CropSource | LiveSource | ScenePool


def rendered_source(
    choice: RenderedChoice, seed: int, network: nn.Module, *, crop_px: int | None = None
) -> RenderedSource:
    """Batches of rendered pairs.

    network: is trained; pairs are rendered where it is. crop_px: side of the part that is cut from
    pairs on disk, None for all of them; pairs rendered during training are taken whole.
    Raises InputError or TrainingError where there is nothing to train on.
    """
    if not choice.is_live:
        return CropSource([RenderedSet(folder) for folder in choice.crops], seed, crop=crop_px)

    def device() -> torch.device:
        return next(network.parameters()).device  # the trainer moves it after `build`

    photos, size, workers = choice.photos, choice.live_size_px, choice.live_workers
    if choice.live_uses == 1:
        return LiveSource(photos, seed, size=size, device=device, workers=workers)
    return ScenePool(
        photos,
        seed,
        uses=choice.live_uses,
        capacity=choice.live_pool,
        size=size,
        device=device,
        workers=workers,
    )
