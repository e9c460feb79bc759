"""Single steps of the reblurring-guided recipe."""

from __future__ import annotations

from pathlib import Path

import torch

from defocusfix.networks.reblur import ReblurConfig
from defocusfix.pairs.crops import PairSettings
from defocusfix.training.optimiser import ModuleOptimiser
from defocusfix.training.recipe import OptimiserConfig, Progress
from defocusfix.training.recipes.reblur_guided import build
from defocusfix.training.recipes.reblur_guided_config import Config
from defocusfix.training.step import train_step


def small_config(blurry: Path, sharp: Path) -> Config:
    """Small enough for a test: two steps per stage."""
    return Config(
        blurry=blurry,
        sharp=sharp,
        network="seeded-unet-small",
        data=PairSettings(crop_px=64, alignment="none"),
        reblur=ReblurConfig(width=8),
        kernels_from="output",
        reblur_weight=0.5,
        reblur_epochs=1,
        warm_up_epochs=1,
        full_epochs=1,
        samples_per_epoch=4,
        batch_size=2,
        learning_rate=1e-3,
    )


def built(config: Config):
    torch.manual_seed(0)
    return build(config)


def stage_of(recipe, name: str):
    return next(stage for stage in recipe.stages if stage.name == name)


def step_of(recipe, name: str) -> tuple[dict[str, float], set[str]]:
    """Terms of a stage's first step, and the modules that it moved."""
    stage = stage_of(recipe, name)
    before = {n: [p.detach().clone() for p in m.parameters()] for n, m in recipe.modules.items()}
    optimisers = {
        n: ModuleOptimiser(m, recipe.optimisers.get(n, OptimiserConfig()))
        for n, m in recipe.modules.items()
    }
    terms = train_step(
        recipe, stage, stage.batch(0, 0, 1), Progress(stage.name, 0, stage.steps), optimisers,
        torch.autocast("cpu", torch.bfloat16, enabled=False),
    )  # fmt: skip
    after = {n: list(m.parameters()) for n, m in recipe.modules.items()}
    return terms, {n for n in before if not all(map(torch.equal, before[n], after[n]))}
