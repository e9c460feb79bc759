"""A recipe small enough for tests: a two-layer network learns to undo a fixed darkening."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defocusfix.network_spec import NetworkSpec
from defocusfix.training.losses import charbonnier
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

SIDE = 8


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of the toy."""

    steps: int = 6
    batch_size: int = 4
    optimiser: str = "adamw"
    dropout: float = 0.0
    seed: int = 0
    poisoned_step: int = -1
    """Step whose batch holds a NaN; -1 for none."""
    critic: bool = False
    """Whether a second stage with a critic follows."""


class Network(nn.Module):
    """(B, 3, H, W) -> (B, 3, H, W)."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 6, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.tail = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return image + self.tail(self.dropout(F.relu(self.head(image))))


def build(config: Config) -> Recipe:
    """One supervised stage, or two with a critic in the second."""
    network = Network(config.dropout)
    modules: dict[str, nn.Module] = {"network": network}

    def forward(batch: Tensors, progress: Progress) -> Tensors:
        return {"restored": network(batch["blurred"])}

    pixel = Turn(trains=("network",), weights={"pixel": 2.0}, terms=_pixel)
    stages = [_stage("pixels", config, forward, (pixel,))]
    if config.critic:
        critic = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 1, 3))
        modules["critic"] = critic
        stages.append(_stage("adversarial", config, forward, _adversarial_turns(critic)))
    return Recipe(
        name="toy",
        modules=modules,
        stages=tuple(stages),
        inference="network",
        spec=NetworkSpec(
            name="toy",
            architecture="toy",
            size_multiple=1,
            halo=2,
            levels=1,
            outputs=("restored",),
        ),
        validate=_validate,
        optimisers={
            "network": OptimiserConfig(name=config.optimiser, adamw_only=("tail",))  # type: ignore[arg-type]
        },
    )


def _stage(
    name: str,
    config: Config,
    forward: Callable[[Tensors, Progress], Tensors],
    turns: tuple[Turn, ...],
) -> Stage:
    def batch(step: int, rank: int, world: int) -> Tensors:
        share = config.batch_size // world
        first = step * config.batch_size + rank * share
        sharp = np.stack([_picture(config.seed, k) for k in range(first, first + share)])
        if step == config.poisoned_step:
            sharp[0, 0, 0, 0] = np.nan
        target = torch.from_numpy(sharp)
        return {"blurred": 0.5 * target, "all_in_focus": target}

    return Stage(name, config.steps, batch, forward, turns, cosine(1e-2, warm_up=0.1))


def _picture(seed: int, k: int) -> np.ndarray:
    return np.random.default_rng((seed, k)).random((3, SIDE, SIDE), dtype=np.float32)


def _pixel(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
    return {"pixel": charbonnier(outputs["restored"], batch["all_in_focus"])}


def _adversarial_turns(critic: nn.Module) -> tuple[Turn, ...]:
    def distance(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        restored = outputs["restored"].detach()
        return {"wasserstein": critic(restored).mean() - critic(batch["all_in_focus"]).mean()}

    def lowered(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        adversarial = -critic(outputs["restored"]).mean()
        return _pixel(outputs, batch, progress) | {"adversarial": adversarial}

    return (
        Turn(trains=("critic",), weights={"wasserstein": 1.0}, terms=distance, repeat=2),
        Turn(trains=("network",), weights={"pixel": 1.0, "adversarial": 0.01}, terms=lowered),
    )


def _validate(network: nn.Module) -> Validation:
    target = torch.from_numpy(_picture(99, 0))[None]
    restored = network(0.5 * target)
    picture = (restored[0].clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
    error = float((restored - target).abs().mean())
    return Validation({"error": error}, score=-error, pictures={"toy": picture})
