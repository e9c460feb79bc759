"""Rendered pairs for a training run: sets on disk, or rendered while it trains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.data import CropSource
from defocusfix.training.live import LiveSource


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

    def __post_init__(self) -> None:
        if self.crops and self.is_live:
            raise ValueError("crops and photos or renders_live contradict each other: choose one")
        if self.is_live and self.live_size_px % 64:
            raise ValueError(f"live_size_px must be a multiple of 64, got {self.live_size_px}")

    @property
    def is_live(self) -> bool:
        """Whether pairs are rendered during training."""
        return self.renders_live or bool(self.photos)

    @property
    def is_named(self) -> bool:
        """Whether there is anything to learn from."""
        return bool(self.crops) or self.is_live


def rendered_source(
    choice: RenderedChoice, seed: int, network: nn.Module, *, crop_px: int | None = None
) -> CropSource | LiveSource:
    """Batches of rendered pairs.

    network: is trained; pairs are rendered where it is. crop_px: side of the part that is cut from
    pairs on disk, None for all of them; pairs rendered during training are taken whole.
    Raises InputError or TrainingError where there is nothing to train on.
    """
    if not choice.is_live:
        return CropSource([RenderedSet(folder) for folder in choice.crops], seed, crop=crop_px)
    return LiveSource(
        choice.photos,
        seed,
        size=choice.live_size_px,
        device=lambda: next(network.parameters()).device,  # the trainer moves it after `build`
        workers=choice.live_workers,
    )
