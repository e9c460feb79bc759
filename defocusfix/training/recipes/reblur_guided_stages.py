"""The stages of the reblurring-guided recipe: what each computes, lowers and moves."""

from __future__ import annotations

import math
from collections.abc import Callable

from defocusfix.networks.deblurrer import Deblurrer
from defocusfix.training.deformation import FlowMethod, warp
from defocusfix.training.guidance import (
    Reblurring,
    guided,
    kernels_alone,
    reblur_turn,
    reblurred_image,
)
from defocusfix.training.losses import charbonnier
from defocusfix.training.pair_data import PairSource
from defocusfix.training.recipe import Moves, Progress, Stage, Tensors, Turn
from defocusfix.training.recipes.reblur_guided_config import Config
from defocusfix.training.schedule import Schedule, cosine, halving, part_of

Batches = Callable[[int, int, int], Tensors]

SMALLEST_SEED_FACTOR = 0.001  # where the warm-up of the seeds begins
FADES = 15  # steps in which it rises; epochs, in the reference


def seed_factor(progress: Progress) -> float:
    """How much of its seeds the network reads during the warm-up; from there on all of them.

    f(e) = 0.001 + (e + 1) / 15 * 0.999 for e = 0..14, as in the authors' code.
    """
    epoch = min(math.floor(progress.fraction * FADES + 1e-9), FADES - 1)
    return SMALLEST_SEED_FACTOR + (epoch + 1) / FADES * (1 - SMALLEST_SEED_FACTOR)


def reblur_stage(
    config: Config, source: PairSource, deblurrer: Deblurrer, reblur: Reblurring
) -> Stage:
    """The reblurring module learns, the deblurrer rests."""
    moves = kernels_alone(config, deblurrer, reblur)
    return _stage("reblur", config, source, moves, 0, config.reblur_epochs)


def warm_up_stage(
    config: Config,
    source: PairSource,
    deblurrer: Deblurrer,
    flow: FlowMethod,
    trains: tuple[str, ...],
    reblur: Reblurring | None,
) -> Stage:
    """One plain loss, while the seeds fade in.

    trains: the modules that it moves. reblur: learns beside them, without teaching; None if not.
    """
    deformation = config.deformation
    plain = _batches(config, source)

    def with_aligned(batch: Tensors) -> Tensors:
        if not deformation.warm_up:
            return batch | {"aligned": batch["all_in_focus"]}
        found = flow(batch["all_in_focus"], batch["blurred"])
        aligned = warp(batch["all_in_focus"], found, deformation.interpolation, deformation.grid)
        return batch | {"aligned": aligned}

    def ahead(step: int, rank: int, world: int) -> Tensors:
        return with_aligned(plain(step, rank, world))

    # The input is known beforehand: what the processor computes, it computes ahead of the step.
    is_ahead = deformation.flow != "raft"

    def forward(batch: Tensors, progress: Progress) -> Tensors:
        aligned = (batch if is_ahead else with_aligned(batch))["aligned"]
        restored = deblurrer.deblur(batch["blurred"], seed_factor(progress)).restored
        outputs = {"restored": restored, "aligned": aligned}
        if reblur is not None:
            sharp = restored.detach() if config.kernels_from == "output" else aligned
            outputs["reblurred"] = reblurred_image(reblur(sharp, batch["blurred"]))
        return outputs

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        return {"to_input": charbonnier(outputs["restored"], outputs["aligned"])}

    turns = [Turn(trains=trains, weights={"to_input": 1.0}, terms=terms)]
    if reblur is not None:
        turns.append(reblur_turn())
    return _stage(
        "warm_up",
        config,
        source,
        Moves(forward, tuple(turns)),
        config.reblur_epochs,
        config.warm_up_epochs,
        ahead if is_ahead else plain,
    )


def full_stage(
    config: Config,
    source: PairSource,
    deblurrer: Deblurrer,
    reblur: Reblurring | None,
    flow: FlowMethod,
) -> Stage:
    """All losses; those with weight 0 are left out."""
    earlier = config.reblur_epochs + config.warm_up_epochs
    moves = guided(config, deblurrer, reblur, flow)
    return _stage("full", config, source, moves, earlier, config.full_epochs)


def _stage(
    name: str,
    config: Config,
    source: PairSource,
    moves: Moves,
    earlier_epochs: float,
    epochs: float,
    batches: Batches | None = None,
) -> Stage:
    """A stage of so many epochs, after so many; batches: those of `source` if None."""
    return Stage(
        name=name,
        steps=_steps(config, source, epochs),
        batch=batches or _batches(config, source),
        forward=moves.forward,
        turns=moves.turns,
        learning_rate=_learning_rate(config, earlier_epochs, epochs),
        clip=config.clip,
    )


def _batches(config: Config, source: PairSource) -> Batches:
    return lambda step, rank, world: source.batch(step, config.batch_size, rank, world)


def _steps(config: Config, source: PairSource, epochs: float) -> int:
    per_epoch = (config.samples_per_epoch or len(source)) / config.batch_size
    return max(1, round(epochs * per_epoch))


def _learning_rate(config: Config, earlier_epochs: float, epochs: float) -> Schedule:
    """What a stage sees of the run's learning rate."""
    total = config.total_epochs
    whole = cosine(config.learning_rate, final=0.02)
    if config.decay == "halving":
        whole = halving(config.learning_rate, config.halve_every, total)
    return part_of(whole, earlier_epochs / total, min(1.0, (earlier_epochs + epochs) / total))
