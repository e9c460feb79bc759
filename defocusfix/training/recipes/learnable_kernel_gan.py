"""Second stage of the learnable blur kernel: DefocusGAN (AAAI 2023, arXiv 2211.14017).

A generator restores, a critic learns to tell its photos from sharp ones, the more so where a map of
the blur says that they were out of focus. The map masks the generator's branches too, for as long
as they find their parts; after that, and whenever it restores for itself, it needs none.

Stages: pixels (the generator alone), critic_joins (the critic learns too, without teaching), and
adversarial. The map comes from a frozen network or, of rendered pairs, from their lens. Any other
network may take the generator's place; it has no branches to mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defocusfix.errors import UsageError
from defocusfix.networks.blur_map import BlurMap, as_views
from defocusfix.networks.deblurrer import as_deblurrer
from defocusfix.networks.defocusgan import DefocusGenerator
from defocusfix.training.adversarial import (
    PenaltyNorm,
    critic_terms,
    defocus_l1,
    generator_term,
)
from defocusfix.training.feature_loss import FeatureLoss, FeatureSettings, feature_loss
from defocusfix.training.recipe import Progress, Stage, Tensors, Turn
from defocusfix.training.schedule import Schedule, cosine, halving, part_of

Batches = Callable[[int, int, int], Tensors]
"""(step, rank, world) -> the process's slice of a batch, as `Stage.batch`."""
MIXING_STREAM = 3  # keeps the critic's random numbers apart from those of the data


@dataclass(frozen=True, slots=True)
class GanConfig:
    """Settings of the stages with a critic; the defaults are the reference's."""

    pixel_weight: float = 0.5
    """Of the mean absolute error."""
    defocus_pixel_weight: float = 0.0
    """Of the mean absolute error times the blur radius in pixels, so that what was out of focus
    counts more. Reference: 0; its code has 0.01 in it, switched off."""
    feature_weight: float = 0.006
    """Of the distance between the features of VGG-19, whose weights must be here; 0 leaves it
    out."""
    feature: FeatureSettings = field(
        default_factory=lambda: FeatureSettings(
            layers=("conv3_3",), distance="l2", normalises=False
        )
    )
    """Which features, and how they are compared."""
    feature_colours: Literal["bgr", "rgb"] = "bgr"
    """Order of the colours that VGG-19 sees; it was trained with rgb. Reference: bgr."""
    adversarial_weight: float = 0.001
    """Of what pleases the critic. Reference: 0.001; a comment in its code says 0.01."""
    defocus_weight: float = 0.1
    """Of the critic's scores times the blur radius in pixels, beside the plain ones."""
    penalty_weight: float = 10.0
    """Of the penalty on the critic's gradient."""
    penalty_norm: PenaltyNorm = "pixel"
    """What has length 1: the gradient at each pixel, over its colours, or that of a whole sample,
    as WGAN-GP has it. Reference: pixel."""
    critic_repeats: int = 2
    """Moves of the critic in one step, before that of the generator."""
    pixel_epochs: float = 5.0
    """Length of the stage without a critic."""
    joining_epochs: float = 5.0
    """Length of the stage in which the critic learns and does not teach yet."""
    adversarial_epochs: float = 81.0
    """Length of the stage in which it teaches."""
    fade_after_epochs: float = 9.0
    """Epochs with full masks, counted from the first of the stages."""
    fade_steps: int = 20_000
    """Steps in which the masks fade after that; 0 for no masks at all."""
    batch_size: int = 4
    """Crops per step, over all processes."""
    learning_rate: float = 2e-4
    """At its peak, of generator and critic."""
    critic_rate: float = 1.0
    """Factor on the learning rate of the critic."""
    decay: Literal["halving", "cosine"] = "halving"
    """How the learning rate falls over all these stages."""
    halve_every: float = 30.0
    """Epochs until the learning rate is halved, for decay = "halving"."""
    clip: float = math.inf
    """Largest gradient norm; inf for none."""
    seed: int = 0
    """Of the places between photos at which the critic's gradient is looked at."""

    def __post_init__(self) -> None:
        weights = (
            self.pixel_weight, self.defocus_pixel_weight, self.feature_weight,
            self.adversarial_weight, self.defocus_weight, self.penalty_weight,
        )  # fmt: skip
        if min(weights) < 0:
            raise ValueError("weights of losses must not be negative")
        if max(self.pixel_weight, self.feature_weight) <= 0:
            raise ValueError("pixel_weight or feature_weight must be above 0")
        if min(self.pixel_epochs, self.joining_epochs, self.adversarial_epochs) < 0:
            raise ValueError("epochs must not be negative")
        if self.total_epochs <= 0:
            raise ValueError("all stages have 0 epochs: nothing would be trained")
        if min(self.fade_steps, self.fade_after_epochs) < 0:
            raise ValueError("fade_steps and fade_after_epochs must not be negative")
        if self.critic_repeats < 1:
            raise ValueError(f"critic_repeats is at least 1, got {self.critic_repeats}")

    @property
    def total_epochs(self) -> float:
        """Of all stages."""
        return self.pixel_epochs + self.joining_epochs + self.adversarial_epochs


def gan_stages(
    config: GanConfig, modules: Mapping[str, nn.Module], batch: Batches, samples_per_epoch: int
) -> tuple[Stage, ...]:
    """The stages that are not empty, in order.

    modules: of the recipe, "generator" and "critic"; with an "estimator" the map of the blur comes
    from it, the first stage's BlurMap or a FocusNet, which does not learn here.
    batch: gives "blurred" and "all_in_focus" (B, 3, H, W); without an estimator "radius_px"
    (B, 1, H/2, W/2), the exact map; for a BlurMap perhaps "views" (B, 6, H, W), of a dual-pixel
    sensor. samples_per_epoch: over all processes.
    Raises ModelError where the weights of the feature loss are absent, UsageError for an estimator
    that gives no radius.
    """
    _require_radius(modules)
    features = feature_loss(config.feature) if config.feature_weight > 0 else None
    critic_turn = _critic_turn(config, modules["critic"])
    alone = _generator_turn(config, features, None)
    taught = _generator_turn(config, features, modules["critic"])
    wanted = (
        ("pixels", config.pixel_epochs, (alone,)),
        ("critic_joins", config.joining_epochs, (critic_turn, alone)),
        ("adversarial", config.adversarial_epochs, (critic_turn, taught)),
    )
    steps_per_epoch = samples_per_epoch / config.batch_size
    total, before = config.total_epochs, 0.0
    rate = cosine(config.learning_rate, final=0.02)
    if config.decay == "halving":
        rate = halving(config.learning_rate, config.halve_every, total)
    stages = []
    for name, epochs, turns in wanted:
        if epochs > 0:
            after = before + epochs
            masks = mask_schedule(config, before, epochs, steps_per_epoch)
            stages.append(
                Stage(
                    name=name,
                    steps=max(1, round(epochs * steps_per_epoch)),
                    batch=batch,
                    forward=_forward(modules, masks),
                    turns=turns,
                    learning_rate=part_of(rate, before / total, min(1.0, after / total)),
                    clip=config.clip,
                )
            )
        before += epochs
    return tuple(stages)


def mask_schedule(
    config: GanConfig, epochs_before: float, epochs: float, steps_per_epoch: float
) -> Schedule:
    """How far the branches are masked, 1 to 0, in a stage of `epochs` after `epochs_before`.

    exp(-(2 t / fade_steps)^2) with t the steps since the masks began to fade, 1 before that, and 0
    from fade_steps on, as in the authors' code.
    """

    def masking(progress: Progress) -> float:
        epoch = epochs_before + epochs * progress.fraction
        steps = max(0.0, (epoch - config.fade_after_epochs) * steps_per_epoch)
        if steps >= config.fade_steps:
            return 0.0
        return math.exp(-((2 * steps / config.fade_steps) ** 2))

    return masking


def radius_of(modules: Mapping[str, nn.Module], batch: Tensors) -> Tensor:
    """Blur radius (B, 1, H, W) >= 0 of the blurred photos, in pixels; no gradient passes.

    modules, batch: see `gan_stages`. Of a BlurMap it is the level, the largest of the colours:
    the reference takes it for a radius, and the borders of its masks are made for it.
    """
    if "estimator" not in modules:
        return F.interpolate(batch["radius_px"], scale_factor=2.0, mode="nearest")
    estimator, blurred = modules["estimator"], batch["blurred"]
    with torch.no_grad():
        if isinstance(estimator, BlurMap):
            signed = estimator.estimator(batch.get("views", as_views(blurred)))  # (B, 3, H, W)
            return signed.float().abs().amax(dim=1, keepdim=True)
        belief = as_deblurrer(estimator).deblur(blurred).belief
    assert belief is not None
    return belief.float()


def _require_radius(modules: Mapping[str, nn.Module]) -> None:
    estimator = modules.get("estimator")
    if estimator is None or isinstance(estimator, BlurMap):
        return
    if as_deblurrer(estimator).believes_in != "radius":
        raise UsageError(
            "the estimator says nothing of the radius of a blur",
            fix="give weights of a focusnet-s or a blur-map",
        )


def _forward(
    modules: Mapping[str, nn.Module], masks: Schedule
) -> Callable[[Tensors, Progress], Tensors]:
    generator = modules["generator"]

    def forward(batch: Tensors, progress: Progress) -> Tensors:
        radius = radius_of(modules, batch)
        if isinstance(generator, DefocusGenerator):
            restored = generator(batch["blurred"], radius, masks(progress))
        else:
            restored = as_deblurrer(generator).deblur(batch["blurred"]).restored
        return {"restored": restored, "radius_px": radius}

    return forward


def _critic_turn(config: GanConfig, critic: nn.Module) -> Turn:
    wanted = {
        "wasserstein": 1.0,
        "defocus": config.defocus_weight,
        "penalty": config.penalty_weight,
    }

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        return critic_terms(
            critic,
            batch["all_in_focus"],
            outputs["restored"],
            outputs["radius_px"],
            mixing=_mixing(config.seed, progress),
            norm=config.penalty_norm,
        )

    return Turn(trains=("critic",), weights=wanted, terms=terms, repeat=config.critic_repeats)


def _mixing(seed: int, progress: Progress) -> float:
    """Random in [0, 1), the same in all processes, another one for each move of the critic."""
    stage = int.from_bytes(progress.stage.encode()[:4])
    stream = (seed, MIXING_STREAM, stage, progress.step, progress.repetition)
    return float(np.random.default_rng(stream).random())


def _generator_turn(
    config: GanConfig, features: FeatureLoss | None, critic: nn.Module | None
) -> Turn:
    """critic: the one that teaches; None where none does."""
    wanted = {
        "pixel": config.pixel_weight,
        "defocus_pixel": config.defocus_pixel_weight,
        "feature": config.feature_weight,
        "adversarial": config.adversarial_weight if critic is not None else 0.0,
    }
    weights = {name: weight for name, weight in wanted.items() if weight > 0}
    swaps = config.feature_colours == "bgr"

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        restored, sharp = outputs["restored"], batch["all_in_focus"]
        found: Tensors = {}
        if "pixel" in weights:
            found["pixel"] = F.l1_loss(restored.float(), sharp)
        if "defocus_pixel" in weights:
            found["defocus_pixel"] = defocus_l1(restored, sharp, outputs["radius_px"])
        if features is not None:
            seen = (restored.flip(1), sharp.flip(1)) if swaps else (restored, sharp)
            found["feature"] = features(*seen)
        if critic is not None and "adversarial" in weights:
            found["adversarial"] = generator_term(critic, restored)
        return found

    return Turn(trains=("generator",), weights=weights, terms=terms)
