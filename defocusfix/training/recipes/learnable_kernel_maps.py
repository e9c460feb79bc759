"""The stages in which estimator and kernels of the learnable blur kernel learn in turns."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from defocusfix.networks.blur_map import BlurMap, as_views
from defocusfix.networks.kernel_bank import reblur
from defocusfix.training.losses import total_variation
from defocusfix.training.recipe import Progress, Stage, Tensors, Turn
from defocusfix.training.recipes.learnable_kernel_config import STAGES, Config
from defocusfix.training.schedule import Schedule, constant, cosine, part_of

Batches = Callable[[int, int, int], Tensors]


def map_stages(
    config: Config, network: BlurMap, batches: Batches, steps_per_epoch: float
) -> list[Stage]:
    """Those that have a length, in their order.

    batches: see `Stage.batch`; tensors "blurred" and "all_in_focus" (B, 3, H, W) in [0, 1] and,
    of dual-pixel photos, "views" (B, 6, H, W).
    """
    stages = []
    for number, (name, epochs) in enumerate(zip(STAGES, config.epochs, strict=True)):
        if epochs == 0:
            continue
        learns_kernels = name.startswith("kernels")
        forward = _kernels_forward if learns_kernels else _map_forward
        turn = _kernel_turn(config, network) if learns_kernels else _map_turn(config)
        stages.append(
            Stage(
                name=name,
                steps=max(1, round(epochs * steps_per_epoch)),
                batch=batches,
                forward=forward(network),
                turns=(turn,),
                learning_rate=_learning_rate(config, number),
                clip=config.clip,
            )
        )
    return stages


def _levels(network: BlurMap, batch: Tensors) -> Tensor:
    """The map that the kernels are chosen by, (B, 3, H, W)."""
    views = batch["views"] if "views" in batch else as_views(batch["blurred"])
    levels: Tensor = network.estimator(views)
    return levels


def _map_forward(network: BlurMap) -> Callable[[Tensors, Progress], Tensors]:
    bank = network.kernels

    def forward(batch: Tensors, progress: Progress) -> Tensors:
        levels = _levels(network, batch)
        kernels = bank.kernels().detach()
        return {
            "levels": levels,
            "reblurred": reblur(batch["all_in_focus"], levels, kernels, bank.padding),
        }

    return forward


def _map_turn(config: Config) -> Turn:
    """The estimator finds the levels at which the sharp photo becomes the blurred one."""

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        levels = outputs["levels"]
        is_early = progress.stage == STAGES[0] and progress.step < config.smooth_after_steps
        return {
            "reblur": _difference(outputs, batch),
            "smoothness": total_variation(levels) * (not is_early),
            "level": levels.abs().mean(),
            "positive_share": (levels > 0).float().mean(),
        }

    weights = {
        "reblur": config.reblur_weight,
        "smoothness": config.smoothness_weight,
        "level": 0.0,
        "positive_share": 0.0,
    }
    return Turn(trains=("estimator",), weights=weights, terms=terms)


def _kernels_forward(network: BlurMap) -> Callable[[Tensors, Progress], Tensors]:
    def forward(batch: Tensors, progress: Progress) -> Tensors:
        with torch.no_grad():
            levels = _levels(network, batch)
        return {"reblurred": network.kernels(batch["all_in_focus"], levels)}

    return forward


def _kernel_turn(config: Config, network: BlurMap) -> Turn:
    """The kernels of the levels found become what the lens does."""

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        kernels = network.kernels.kernels().detach()
        sums = kernels.sum(dim=(2, 3))
        return {
            "reblur": _difference(outputs, batch),
            "smallest_sum": sums.min(),
            "largest_sum": sums.max(),
            "negative_sum": kernels.clamp_max(0).sum(dim=(2, 3)).min(),
        }

    weights = {
        "reblur": config.reblur_weight,
        "smallest_sum": 0.0,
        "largest_sum": 0.0,
        "negative_sum": 0.0,
    }
    return Turn(trains=("kernels",), weights=weights, terms=terms)


def _difference(outputs: Tensors, batch: Tensors) -> Tensor:
    return (outputs["reblurred"] - batch["blurred"].float()).abs().mean()


def _learning_rate(config: Config, number: int) -> Schedule:
    """What a stage sees of the run's learning rate."""
    if config.decay == "none":
        return constant(config.learning_rate)
    earlier, total = sum(config.epochs[:number]), config.total_epochs
    stop = min(1.0, (earlier + config.epochs[number]) / total)
    return part_of(cosine(config.learning_rate, final=0.02), earlier / total, stop)
