"""FocusNet from rendered pairs, whose all-in-focus image and blur radius are known exactly.

Every sample trains all levels: the coarsest on the whole crop, the finer ones on windows of it, so
that no level eats the others' time, and each on what the network itself made of the level below,
detached. The map comes first: it decides what the trunk may change, learns slowly, and alone costs
a tenth. Then both learn side by side; if the map had no stage of its own, the trunk is told the
true radius, jittered, until the map can be trusted. In place of rendered pairs it takes sets whose
truth is what trained networks restored; see training/taught_set.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from defocusfix.errors import UsageError
from defocusfix.networks.build import build_network
from defocusfix.networks.described import described
from defocusfix.networks.focusnet import FocusNet
from defocusfix.networks.pyramid import image_pyramid, nothing_known
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.data import sample_numbers
from defocusfix.training.losses import charbonnier, log_error, radius_error, spectral_l1
from defocusfix.training.recipe import OptimiserConfig, Progress, Recipe, Stage, Tensors, Turn
from defocusfix.training.rendered_data import RenderedChoice, rendered_source
from defocusfix.training.rendered_validation import rendered_validation
from defocusfix.training.schedule import cosine
from defocusfix.training.teaching import expected_error
from defocusfix.training.weights import read_weights

GRID = FocusNet.size_multiple  # on which windows start


@dataclass(frozen=True, slots=True)
class Config(RenderedChoice):
    """Settings of the supervised recipe, beside its rendered pairs."""

    validation: Path | None = None
    """A rendered set from other photos, looked at in mid-training."""
    training_data: str = "pairs rendered by defocusfix"
    """What the weights say they were trained on."""
    network: str = "focusnet-s2"
    """Which network is trained; see networks/build.py."""
    start_from: Path | None = None
    """Weights (.safetensors) to go on from; None starts from scratch."""
    batch_size: int = 16
    """Crops per step, over all processes."""
    map_steps: int = 0
    """Steps of the first stage, in which the map learns alone; 0 leaves it out."""
    map_batch_size: int = 16
    """Crops per step of that stage."""
    steps: int = 6000
    """Steps of the stage in which map and restoration learn together; 0 leaves it out."""
    levels: int | None = None
    """Levels that it learns to work on; None for those of the network as it is built."""
    windows_px: tuple[int, ...] = (128, 96, 64)
    """Side of the window trained at full, half and quarter size, in pixels of that level; of the
    smallest level that there is, all is trained."""
    level_weights: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125)
    """Weight of the restoration losses at full, half, quarter and eighth size."""
    spectral_weight: float = 0.05
    """Weight of the spectral loss beside the Charbonnier loss."""
    log_error_weight: float = 0.0
    """Weight of the logarithm of each picture's mean square error beside the Charbonnier loss."""
    radius_weight: float = 0.1
    """Weight of the radius map's loss."""
    known_radius_share: float = 0.3
    """Share of the second stage in which the trunk is told the true radius."""
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
        RenderedChoice.__post_init__(self)
        if not self.is_named:
            raise ValueError("crops is empty: name a rendered set, or photos to render from")
        if self.levels is not None and self.levels < 2:
            raise ValueError(f"levels is at least 2, got {self.levels}")
        if self.map_steps + self.steps < 1:
            raise ValueError("map_steps and steps are both 0: nothing would be trained")
        if any(side % GRID for side in self.windows_px):
            raise ValueError(f"windows_px must be multiples of {GRID}, got {self.windows_px}")


def build(config: Config) -> Recipe:
    """The recipe as data for the trainer."""
    network = build_network(config.network)
    if not isinstance(network, FocusNet):
        raise UsageError(f"the supervised recipe trains FocusNets, not {config.network!r}")
    if config.levels is not None:
        network.levels = config.levels
    levels = network.levels
    _check_sizes(config, levels)
    if config.start_from is not None:
        network.load_state_dict(read_weights(config.start_from)[0])
    source = rendered_source(config, config.seed, network)

    def batches(size: int) -> Callable[[int, int, int], Tensors]:
        def batch(step: int, rank: int, world: int) -> Tensors:
            tensors = source.batch(step, size, rank, world)
            rng = np.random.default_rng((config.seed, step, 1))
            windows = _windows(rng, tensors["blurred"], config.windows_px[: levels - 1])
            jitter = _jitter(config.seed, sample_numbers(step, size, rank, world), levels)
            return tensors | {
                "windows": torch.from_numpy(windows),
                "jitter": torch.from_numpy(jitter),
            }

        return batch

    rate = cosine(config.learning_rate, warm_up=config.warm_up, final=0.02)
    map_stage = Stage(
        name="map",
        steps=max(1, config.map_steps),
        batch=batches(config.map_batch_size),
        forward=_forward(network, config, restores=False),
        turns=(Turn(trains=("map",), weights={"radius": 1.0}, terms=_radius_terms),),
        learning_rate=rate,
    )
    losses = {
        "pixel": 1.0,
        "spectral": config.spectral_weight,
        "log_error": config.log_error_weight,
    }
    weights = {
        f"{name}_{level}": weight * level_weight
        for name, weight in losses.items()
        for level, level_weight in enumerate(config.level_weights[:levels])
    }
    weights["radius"] = config.radius_weight
    joint_stage = Stage(
        name="joint",
        steps=max(1, config.steps),
        batch=batches(config.batch_size),
        forward=_forward(network, config, restores=True),
        turns=(Turn(trains=("network",), weights=weights, terms=_terms),),
        learning_rate=rate,
    )
    wanted = ((map_stage, config.map_steps), (joint_stage, config.steps))
    validate = None
    if config.validation is not None:
        validate = rendered_validation(RenderedSet(config.validation))
    return Recipe(
        name="supervised",
        modules={"network": network, "map": network.map},
        stages=tuple(stage for stage, steps in wanted if steps),
        inference="network",
        spec=described(
            network, config.network, licence="Apache-2.0", training_data=config.training_data
        ),
        validate=validate,
        optimisers={
            name: OptimiserConfig(
                name=config.optimiser,  # type: ignore[arg-type]
                weight_decay=config.weight_decay,
                adamw_only=("head", "tail", "map.head", "map.tail"),
            )
            for name in ("network", "map")
        },
    )


def _check_sizes(config: Config, levels: int) -> None:
    """Raise UsageError where the levels of a network do not go with windows, weights or pairs."""
    if len(config.windows_px) < levels - 1 or len(config.level_weights) < levels:
        raise UsageError(
            f"for {levels} levels, windows_px needs {levels - 1} sides and level_weights {levels} "
            "weights"
        )
    side, multiple = config.pair_px(), GRID * 2 ** (levels - 1)
    if side % multiple:
        raise UsageError(
            f"pairs of {side} px do not suit {levels} levels",
            why=f"their sides must be multiples of {multiple} px",
            fix="render them with such a --size",
        )
    sides = (*config.windows_px[: levels - 1], side // 2 ** (levels - 1))
    for inner, outer in pairwise(sides):
        if inner > 2 * outer:
            raise UsageError(
                f"windows_px: {inner} px do not fit into {2 * outer} px, what the next smaller "
                "level shows of them"
            )


def _windows(rng: np.random.Generator, blurred: Tensor, sides: Sequence[int]) -> np.ndarray:
    """(levels, 2) top and left of the windows, full size first, each inside the next one.

    Those of the smallest level, which is trained whole, are 0.
    """
    corner, outer = np.zeros(2, np.int64), blurred.shape[-1] // 2 ** len(sides)
    corners = [corner]
    for side in reversed(sides):
        corner = 2 * corner + rng.integers(0, (2 * outer - side) // GRID + 1, 2) * GRID
        corners.insert(0, corner)
        outer = side
    return np.stack(corners)


def _jitter(seed: int, numbers: Sequence[int], levels: int) -> np.ndarray:
    """(B, levels, 2, 4, 4) float32, by how much the true radius is missed: see `_jittered`.

    numbers: of the B samples. Each has its own draw, however many processes share the batch.
    """
    rngs = [np.random.default_rng((seed, number, 4)) for number in numbers]
    return np.stack([rng.standard_normal((levels, 2, 4, 4), np.float32) for rng in rngs])


def _forward(
    network: FocusNet, config: Config, *, restores: bool
) -> Callable[[Tensors, Progress], Tensors]:
    def forward(batch: Tensors, progress: Progress) -> Tensors:
        levels = network.levels
        images = image_pyramid(batch["blurred"], levels)
        targets = image_pyramid(batch["all_in_focus"], levels)
        radii = [r / 2**n for n, r in enumerate(image_pyramid(batch["radius_px"], levels))]
        corners = batch["windows"].tolist()
        sides = (*config.windows_px[: levels - 1], images[-1].shape[-1])
        is_told = progress.fraction < config.known_radius_share
        outputs: Tensors = {}
        coarse: Tensor | None = None  # of the window last trained, (B, 4, side, side)
        for level in reversed(range(levels)):
            (top, left), side = corners[level], sides[level]
            image = _cut(images[level], top, left, side)
            truth = _cut(radii[level], top // 2, left // 2, side // 2)
            below = _below(coarse, image, corners, level)
            radius = network.map(image, below[:, 3:])
            outputs[f"radius_{level}"] = radius
            outputs[f"radius_truth_{level}"] = truth
            restored = image  # where only the map learns, which never looks at it
            if restores:
                jitter = batch["jitter"][:, level]
                known = _jittered(truth, jitter) if is_told else radius.detach()
                restored = network.restore(image, below[:, :3], known)
                target = _cut(targets[level], top, left, side)
                outputs[f"restored_{level}"], outputs[f"target_{level}"] = restored, target
                if "is_taught" in batch:
                    error = expected_error(image, target) * batch["is_taught"]
                    outputs[f"target_error_{level}"] = error
            wide = F.interpolate(radius.detach(), scale_factor=2.0, mode="bilinear")
            coarse = torch.cat([restored.detach(), wide], dim=1)
        return outputs

    return forward


def _terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
    terms: Tensors = {}
    for level in range(_levels(outputs)):
        restored, target = outputs[f"restored_{level}"], outputs[f"target_{level}"]
        terms[f"pixel_{level}"] = charbonnier(restored, target)
        terms[f"spectral_{level}"] = spectral_l1(restored, target)
        terms[f"log_error_{level}"] = log_error(
            restored, target, outputs.get(f"target_error_{level}", 0.0)
        )
    return terms | _radius_terms(outputs, batch, progress)


def _radius_terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
    losses = [
        radius_error(outputs[f"radius_{n}"], outputs[f"radius_truth_{n}"])
        for n in range(_levels(outputs))
    ]
    return {"radius": torch.stack(losses).mean()}


def _levels(outputs: Tensors) -> int:
    return sum(name.startswith("radius_truth_") for name in outputs)


def _jittered(radius: Tensor, jitter: Tensor) -> Tensor:
    """The truth as a good map would miss it: smoothly, by some 15 % and 0.1 px.

    radius: (B, 1, H, W) in px. jitter: (B, 2, 4, 4), normally distributed.
    """
    smooth = F.interpolate(jitter, size=radius.shape[-2:], mode="bilinear")
    relative, absolute = smooth.split(1, dim=1)  # each (B, 1, H, W)
    return (radius * (1 + 0.15 * relative) + 0.1 * absolute).clamp_min(0)


def _below(
    coarse: Tensor | None, image: Tensor, corners: Sequence[Sequence[int]], level: int
) -> Tensor:
    """What a window (B, 3, side, side) of `level` is told of the coarser one, if there is any."""
    if coarse is None:
        return nothing_known(image)
    (top, left), (below_top, below_left) = corners[level], corners[level + 1]
    return _cut(coarse, top // 2 - below_top, left // 2 - below_left, image.shape[-1] // 2)


def _cut(values: Tensor, top: int, left: int, side: int) -> Tensor:
    return values[:, :, top : top + side, left : left + side]
