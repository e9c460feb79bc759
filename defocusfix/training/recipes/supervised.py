"""FocusNet from rendered pairs, whose all-in-focus image and blur radius are known exactly.

Every sample trains all levels: the coarsest on the whole crop, the finer ones on windows of it, so
that no level eats the others' time, and each on what the network itself made of the level below,
detached. The map learns beside the trunk. At first the trunk is told the true radius, jittered;
afterwards it lives with the map's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defocusfix.errors import UsageError
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks.build import build_network
from defocusfix.networks.focusnet import FocusNet
from defocusfix.networks.pyramid import image_pyramid, nothing_known, restore_levels
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.data import CropSource
from defocusfix.training.losses import charbonnier, spectral_l1
from defocusfix.training.recipe import (
    OptimiserConfig,
    Progress,
    Recipe,
    Stage,
    Tensors,
    Turn,
    Validation,
)
from defocusfix.training.schedule import cosine
from defocusfix.training.weights import read_weights

LEVELS = 3
HALO_PX = 64
GRID = 16  # windows start on the network's size multiple
BANDS_PX = ((0.0, 0.5), (0.5, 1.5), (1.5, 4.0), (4.0, 10.0), (10.0, 24.0))


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of the supervised recipe."""

    crops: tuple[Path, ...] = ()
    """Sets of rendered pairs to learn from; see `defocusfix render`."""
    validation: Path | None = None
    """A rendered set from other photos, looked at in mid-training."""
    network: str = "focusnet-s"
    """Which network is trained; see networks/build.py."""
    start_from: Path | None = None
    """Weights (.safetensors) to go on from; None starts from scratch."""
    batch_size: int = 16
    """Crops per step, over all processes."""
    steps: int = 6000
    """Steps of the run, where it is not ended by time."""
    windows_px: tuple[int, int] = (128, 96)
    """Side of the window trained at full size and at half size, in pixels of that level."""
    level_weights: tuple[float, float, float] = (1.0, 0.5, 0.25)
    """Weight of the restoration losses at full, half and quarter size."""
    spectral_weight: float = 0.05
    """Weight of the spectral loss beside the Charbonnier loss."""
    radius_weight: float = 0.1
    """Weight of the radius map's loss."""
    known_radius_share: float = 0.3
    """Share of the run in which the trunk is told the true radius."""
    optimiser: str = "adamw"
    """adamw or muon."""
    learning_rate: float = 8e-4
    """Peak of the learning rate, for AdamW's scale of updates."""
    weight_decay: float = 1e-4
    """Decoupled weight decay."""
    warm_up: float = 0.02
    """Share of the run in which the learning rate rises."""
    seed: int = 0
    """Of the order of crops and of their variations."""

    def __post_init__(self) -> None:
        if not self.crops:
            raise ValueError("crops is empty: name at least one rendered set")
        if any(side % GRID for side in self.windows_px):
            raise ValueError(f"windows_px must be multiples of {GRID}, got {self.windows_px}")


def build(config: Config) -> Recipe:
    """The recipe as data for the trainer."""
    network = build_network(config.network)
    if not isinstance(network, FocusNet):
        raise UsageError(f"the supervised recipe trains FocusNets, not {config.network!r}")
    if config.start_from is not None:
        network.load_state_dict(read_weights(config.start_from)[0])
    source = CropSource([RenderedSet(folder) for folder in config.crops], seed=config.seed)

    def batch(step: int, rank: int, world: int) -> Tensors:
        tensors = source.batch(step, config.batch_size, rank, world)
        rng = np.random.default_rng((config.seed, step, 1))
        tensors["windows"] = torch.from_numpy(_windows(rng, tensors["blurred"], config.windows_px))
        return tensors

    weights = {f"pixel_{level}": weight for level, weight in enumerate(config.level_weights)}
    weights |= {
        f"spectral_{level}": config.spectral_weight * weight
        for level, weight in enumerate(config.level_weights)
    }
    weights["radius"] = config.radius_weight
    stage = Stage(
        name="rendered",
        steps=config.steps,
        batch=batch,
        forward=_forward(network, config),
        turns=(Turn(trains=("network",), weights=weights, terms=_terms),),
        learning_rate=cosine(config.learning_rate, warm_up=config.warm_up, final=0.02),
    )
    validate = None
    if config.validation is not None:
        validate = _validation(RenderedSet(config.validation))
    return Recipe(
        name="supervised",
        modules={"network": network},
        stages=(stage,),
        inference="network",
        spec=NetworkSpec(
            name=config.network,
            architecture=config.network,
            size_multiple=GRID,
            halo=HALO_PX,
            levels=LEVELS,
            licence="Apache-2.0",
            training_data="pairs rendered by defocusfix.rendering from freely licensed photos",
        ),
        validate=validate,
        optimisers={
            "network": OptimiserConfig(
                name=config.optimiser,  # type: ignore[arg-type]
                weight_decay=config.weight_decay,
                adamw_only=("head", "tail", "map.head", "map.tail"),
            )
        },
    )


def _windows(rng: np.random.Generator, blurred: Tensor, sides: tuple[int, int]) -> np.ndarray:
    """(2, 2) top and left of the windows at full and half size, the first inside the second."""
    full, half = sides
    outer = rng.integers(0, (blurred.shape[-1] // 2 - half) // GRID + 1, 2) * GRID
    room = (2 * half - full) // GRID
    inner = 2 * outer + rng.integers(0, room + 1, 2) * GRID
    return np.stack([inner, outer])


def _forward(network: FocusNet, config: Config) -> Callable[[Tensors, Progress], Tensors]:
    def forward(batch: Tensors, progress: Progress) -> Tensors:
        images = image_pyramid(batch["blurred"], LEVELS)
        targets = image_pyramid(batch["all_in_focus"], LEVELS)
        radii = [r / 2**n for n, r in enumerate(image_pyramid(batch["radius_px"], LEVELS))]
        (top_0, left_0), (top_1, left_1) = batch["windows"].tolist()
        sides = (*config.windows_px, images[2].shape[-1])
        corners = ((top_0, left_0), (top_1, left_1), (0, 0))
        is_told = progress.fraction < config.known_radius_share
        outputs: Tensors = {}
        coarse: Tensor | None = None  # of the window last trained, (B, 4, side, side)
        for level in reversed(range(LEVELS)):
            (top, left), side = corners[level], sides[level]
            image = _cut(images[level], top, left, side)
            truth = _cut(radii[level], top // 2, left // 2, side // 2)
            if coarse is None:
                below = nothing_known(image)
            else:
                below_top, below_left = corners[level + 1]
                below = _cut(coarse, top // 2 - below_top, left // 2 - below_left, side // 2)
            radius = network.map(image, below[:, 3:])
            known = _jittered(truth) if is_told else radius.detach()
            restored = network.restore(image, below[:, :3], known)
            wide = F.interpolate(radius.detach(), scale_factor=2.0, mode="bilinear")
            coarse = torch.cat([restored.detach(), wide], dim=1)
            outputs[f"restored_{level}"] = restored
            outputs[f"target_{level}"] = _cut(targets[level], top, left, side)
            outputs[f"radius_{level}"] = radius
            outputs[f"radius_truth_{level}"] = truth
        return outputs

    return forward


def _terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
    terms: Tensors = {}
    for level in range(LEVELS):
        restored, target = outputs[f"restored_{level}"], outputs[f"target_{level}"]
        terms[f"pixel_{level}"] = charbonnier(restored, target)
        terms[f"spectral_{level}"] = spectral_l1(restored, target)
    terms["radius"] = torch.stack(
        [_radius_loss(outputs[f"radius_{n}"], outputs[f"radius_truth_{n}"]) for n in range(LEVELS)]
    ).mean()
    return terms


def _radius_loss(radius: Tensor, truth: Tensor) -> Tensor:
    """Absolute error on a scale that is linear near zero and grows as the root beyond."""
    return ((radius.float() + 0.5).sqrt() - (truth + 0.5).sqrt()).abs().mean()


def _jittered(radius: Tensor) -> Tensor:
    """The truth as a good map would miss it: smoothly, by some 15 % and 0.1 px."""
    shape = (len(radius), 1, 4, 4)
    relative, absolute = torch.randn(2, *shape, device=radius.device)
    size = radius.shape[-2:]
    relative = F.interpolate(relative, size=size, mode="bilinear")
    absolute = F.interpolate(absolute, size=size, mode="bilinear")
    return (radius * (1 + 0.15 * relative) + 0.1 * absolute).clamp_min(0)


def _cut(values: Tensor, top: int, left: int, side: int) -> Tensor:
    return values[:, :, top : top + side, left : left + side]


def _validation(rendered: RenderedSet, count: int = 64) -> Callable[[nn.Module], Validation]:
    """Gain over the input by radius band, and the map's error, on the first `count` pairs."""

    def validate(network: nn.Module) -> Validation:
        gains: dict[str, list[float]] = {f"gain_{low:g}_{high:g}": [] for low, high in BANDS_PX}
        near, far, pictures = [], [], {}
        device = next(network.parameters()).device
        for k in range(min(count, len(rendered))):
            blurred, sharp, signed = rendered[k]
            image, target = _tensor(blurred, device), _tensor(sharp, device)
            truth = np.abs(signed.astype(np.float32))
            with torch.no_grad():
                restored, radius = restore_levels(network, image, LEVELS)[0]
            before = _halved((image - target).square().mean(dim=1))
            after = _halved((restored.float().clamp(0, 1) - target).square().mean(dim=1))
            for (low, high), name in zip(BANDS_PX, gains, strict=True):
                inside = (truth >= low) & (truth < high)
                if inside.mean() > 0.02:
                    floor = 1e-6  # 60 dB: a pair that is exact already counts as no gain
                    ratio = (before[inside].mean() + floor) / (after[inside].mean() + floor)
                    gains[name].append(10 * float(np.log10(ratio)))
            error = np.abs(_halved(radius.float()[:, 0]) - truth)
            near.append(error[truth < 8].mean() if (truth < 8).any() else np.nan)
            strong = truth >= 8
            far.append((error[strong] / truth[strong]).mean() if strong.any() else np.nan)
            if k < 12:
                shown = np.clip(restored[0].float().permute(1, 2, 0).cpu().numpy(), 0, 1)
                row = [blurred, np.round(shown * 255).astype(np.uint8), sharp]
                pictures[f"pair_{k:02d}"] = np.hstack(row)
        metrics = {name: float(np.mean(values)) for name, values in gains.items() if values}
        metrics["radius_mae_px"] = float(np.nanmean(near))
        metrics["radius_relative_error"] = float(np.nanmean(far))
        return Validation(metrics, pictures)

    return validate


def _tensor(image: np.ndarray, device: torch.device) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(image / np.float32(255)).permute(2, 0, 1)[None].to(device)


def _halved(values: Tensor) -> np.ndarray:
    """(1, H, W) -> (H/2, W/2) averages."""
    return F.avg_pool2d(values[None], 2)[0, 0].cpu().numpy()
