"""The stages of the reblurring-guided recipe: what each computes, lowers and moves."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from defocusfix.networks.deblurrer import Deblurrer
from defocusfix.networks.reblur import FreeKernelReblur, ReblurModule, Reblurred, pseudo_truth
from defocusfix.training.deformation import FlowMethod, both_ways, warp
from defocusfix.training.losses import charbonnier
from defocusfix.training.pair_data import PairSource
from defocusfix.training.recipe import Progress, Stage, Tensors, Turn
from defocusfix.training.recipes.reblur_guided_config import Config
from defocusfix.training.schedule import Schedule, cosine, halving, part_of

SMALLEST_SEED_FACTOR = 0.001  # where the warm-up of the seeds begins
FADES = 15  # steps in which it rises; epochs, in the reference


def seed_factor(progress: Progress) -> float:
    """How much of its seeds the network reads during the warm-up; from there on all of them.

    f(e) = 0.001 + (e + 1) / 15 * 0.999 for e = 0..14, as in the authors' code.
    """
    epoch = min(math.floor(progress.fraction * FADES + 1e-9), FADES - 1)
    return SMALLEST_SEED_FACTOR + (epoch + 1) / FADES * (1 - SMALLEST_SEED_FACTOR)


def reblur_stage(
    config: Config,
    source: PairSource,
    deblurrer: Deblurrer,
    reblur: ReblurModule | FreeKernelReblur,
) -> Stage:
    """The reblurring module learns, the deblurrer rests."""

    def forward(batch: Tensors, progress: Progress) -> Tensors:
        sharp = batch["all_in_focus"]
        if config.kernels_from == "output":
            with torch.no_grad():
                sharp = deblurrer.deblur(batch["blurred"]).restored
        return {"reblurred": _image(reblur(sharp, batch["blurred"]))}

    return Stage(
        name="reblur",
        steps=_steps(config, source, config.reblur_epochs),
        batch=_batches(config, source),
        forward=forward,
        turns=(_reblur_turn(),),
        learning_rate=_learning_rate(config, 0, config.reblur_epochs),
        clip=config.clip,
    )


def _reblur_turn() -> Turn:
    """The reblurring module learns alone."""

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        return {"reblur": charbonnier(outputs["reblurred"], batch["blurred"])}

    return Turn(trains=("reblur",), weights={"reblur": 1.0}, terms=terms)


def warm_up_stage(
    config: Config,
    source: PairSource,
    deblurrer: Deblurrer,
    flow: FlowMethod,
    trains: tuple[str, ...],
    reblur: ReblurModule | FreeKernelReblur | None,
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
            outputs["reblurred"] = _image(reblur(sharp, batch["blurred"]))
        return outputs

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        return {"to_input": charbonnier(outputs["restored"], outputs["aligned"])}

    turns = [Turn(trains=trains, weights={"to_input": 1.0}, terms=terms)]
    if reblur is not None:
        turns.append(_reblur_turn())
    return Stage(
        name="warm_up",
        steps=_steps(config, source, config.warm_up_epochs),
        batch=ahead if is_ahead else plain,
        forward=forward,
        turns=tuple(turns),
        learning_rate=_learning_rate(config, config.reblur_epochs, config.warm_up_epochs),
        clip=config.clip,
    )


def full_stage(
    config: Config,
    source: PairSource,
    deblurrer: Deblurrer,
    reblur: ReblurModule | FreeKernelReblur | None,
    flow: FlowMethod,
) -> Stage:
    """All losses; those with weight 0 are left out."""
    deformation = config.deformation
    wanted = {
        "to_output": config.to_output_weight,
        "to_target": config.to_target_weight,
        "reblur": config.reblur_weight,
        "map": config.map_weight,
    }
    weights = {name: weight for name, weight in wanted.items() if weight > 0}
    shown = {"flow_px": 0.0, "trusted_share": 0.0}

    def forward(batch: Tensors, progress: Progress) -> Tensors:
        restored, belief, *_ = deblurrer.deblur(batch["blurred"])
        ways = both_ways(flow, restored, batch["all_in_focus"], deformation.mask)
        outputs = {
            "restored": restored,
            "to_restored": ways.to_restored,
            "to_target": ways.to_target,
            "restored_mask": ways.restored_mask,
            "target_mask": ways.target_mask,
        }
        if reblur is not None:
            found = reblur(restored, batch["blurred"])
            outputs["reblurred"] = _image(found)
            if isinstance(reblur, ReblurModule) and belief is not None:
                outputs |= {"belief": belief, "truth": _truth(config, deblurrer, reblur, found)}
        return outputs

    def deformed(image: Tensor, by: Tensor) -> Tensor:
        return warp(image, by, deformation.interpolation, deformation.grid)

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        restored, target = outputs["restored"].float(), batch["all_in_focus"]
        found = {
            "flow_px": outputs["to_restored"].norm(dim=1).mean(),
            "trusted_share": outputs["restored_mask"].mean(),
        }
        if "to_output" in weights:
            mask = outputs["restored_mask"]
            moved = deformed(target, outputs["to_restored"])
            found["to_output"] = charbonnier(mask * restored, mask * moved)
        if "to_target" in weights:
            mask = outputs["target_mask"]
            moved = deformed(restored, outputs["to_target"])
            found["to_target"] = charbonnier(mask * target, mask * moved)
        if "reblur" in weights:
            found["reblur"] = charbonnier(outputs["reblurred"], batch["blurred"])
        if "map" in weights:
            found["map"] = charbonnier(outputs["belief"], outputs["truth"])
        return found

    def kernel_terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        assert reblur is not None
        with torch.no_grad():
            sharp = deformed(batch["all_in_focus"], outputs["to_restored"])
        found = reblur(sharp, batch["blurred"])
        return {"kernels": charbonnier(_image(found), batch["blurred"])}

    own_turn = reblur is not None and config.kernels_from == "target"
    trains = ("deblurrer",) if reblur is None or own_turn else ("deblurrer", "reblur")
    turns = [Turn(trains=trains, weights=weights | shown, terms=terms)]
    if own_turn:
        turns.append(Turn(trains=("reblur",), weights={"kernels": 1.0}, terms=kernel_terms))
    return Stage(
        name="full",
        steps=_steps(config, source, config.full_epochs),
        batch=_batches(config, source),
        forward=forward,
        turns=tuple(turns),
        learning_rate=_learning_rate(
            config, config.reblur_epochs + config.warm_up_epochs, config.full_epochs
        ),
        clip=config.clip,
    )


def _image(found: Reblurred | Tensor) -> Tensor:
    return found.image if isinstance(found, Reblurred) else found


def _truth(config: Config, deblurrer: Deblurrer, reblur: ReblurModule, found: Reblurred) -> Tensor:
    """What the network's estimate of the blur should have been: seeds, or a radius in pixels."""
    if deblurrer.believes_in == "seeds":
        return pseudo_truth(found, config.pseudo_truth)
    radius = reblur.radius_px(found)
    return radius.detach() if config.pseudo_truth.is_detached else radius


def _batches(config: Config, source: PairSource) -> Callable[[int, int, int], Tensors]:
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
