"""Reblurring-guided deblurring from pairs that do not line up (arXiv 2409.17792; IJCV 2025).

Two photos of a scene, one blurred and one sharp, never match to the pixel. The target is therefore
deformed onto the output, and the output onto the target, by optical flow; and since that alone
would let the output drift along with the target, a reblurring module blurs the output again, which
must then equal the input, at the input's places. The kernels found on the way serve as the truth
that nobody measured: they teach the network's estimate of the blur.

Stages: reblur (optional; the deblurrer rests), warm_up (target aligned to the input, the estimate
of the blur fades in), full. Besides the loss terms, `flow_px` and `trusted_share` are logged, with
weight 0: the mean length of the flow, and the share of pixels whose flow is trusted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from defocusfix.errors import ModelError, UsageError
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks.build import build_network
from defocusfix.networks.deblurrer import Deblurrer, SeededDeblurrer, SeededFocusNet, as_deblurrer
from defocusfix.networks.reblur import (
    FreeKernelReblur,
    ReblurModule,
    Reblurred,
    pseudo_truth,
)
from defocusfix.pairs.find import PairFiles, pairs_of_folders
from defocusfix.pairs.layouts import LAYOUTS, pairs_of_layout
from defocusfix.registration.flow import dis_flow
from defocusfix.training.deformation import (
    CpuFlow,
    FlowMethod,
    RaftFlow,
    both_ways,
    no_flow,
    warp,
)
from defocusfix.training.losses import charbonnier
from defocusfix.training.pair_data import PairSource
from defocusfix.training.pair_validation import pair_validation
from defocusfix.training.recipe import (
    OptimiserConfig,
    Progress,
    Recipe,
    Stage,
    Tensors,
    Turn,
)
from defocusfix.training.recipes.reblur_guided_config import Config, DeformationConfig
from defocusfix.training.schedule import Schedule, cosine, halving, part_of
from defocusfix.training.weights import read_weights

SMALLEST_SEED_FACTOR = 0.001  # where the warm-up of the seeds begins
FADES = 15  # steps in which it rises; epochs, in the reference


def build(config: Config) -> Recipe:
    """The recipe as data for the trainer."""
    network = build_network(config.network)
    deblurrer = _deblurrer(config, network)
    if config.start_from is not None:
        _load(network, config.network, config.start_from)
    modules: dict[str, nn.Module] = {"deblurrer": network}
    reblur: ReblurModule | FreeKernelReblur | None = None
    if config.reblurs:
        is_free = config.reblur_kernels == "free"
        reblur = FreeKernelReblur(config.reblur) if is_free else ReblurModule(config.reblur)
        modules["reblur"] = reblur
    warmed: tuple[str, ...] = ("deblurrer",)
    if config.warm_up_trains == "fusion":
        if not isinstance(network, SeededDeblurrer | SeededFocusNet):
            raise UsageError(f"{config.network} has no fusion of its own to warm up alone")
        modules |= {"estimator": network.estimator, "fusion": network.fusion}
        warmed = ("estimator", "fusion")

    learnt, looked_at = _pairs(config)
    source = PairSource(learnt, config.data, config.seed)
    flow = _flow_method(config.deformation)
    stages = []
    if reblur is not None and config.reblur_epochs > 0:
        stages.append(_reblur_stage(config, source, deblurrer, reblur))
    if config.warm_up_epochs > 0:
        stages.append(_warm_up_stage(config, source, deblurrer, flow, warmed))
    if config.full_epochs > 0:
        stages.append(_full_stage(config, source, deblurrer, reblur, flow))
    validate = None
    if looked_at:
        # As they were taken: the scores say by which alignment they come about.
        as_taken = replace(config.data, alignment="none", matches_exposure=False)
        validate = pair_validation(PairSource(looked_at, as_taken, config.seed))
    return Recipe(
        name="reblur-guided",
        modules=modules,
        stages=tuple(stages),
        inference="deblurrer",
        spec=NetworkSpec(
            name=config.network,
            architecture=config.network,
            size_multiple=deblurrer.size_multiple,
            halo=deblurrer.halo,
            levels=deblurrer.levels,
            licence=config.licence,
            training_data=config.training_data,
        ),
        validate=validate,
        optimisers={"reblur": OptimiserConfig(learning_rate=config.reblur_rate)} if reblur else {},
    )


def seed_factor(progress: Progress) -> float:
    """How much of its seeds the network reads during the warm-up; from there on all of them.

    f(e) = 0.001 + (e + 1) / 15 * 0.999 for e = 0..14, as in the authors' code.
    """
    epoch = min(math.floor(progress.fraction * FADES + 1e-9), FADES - 1)
    return SMALLEST_SEED_FACTOR + (epoch + 1) / FADES * (1 - SMALLEST_SEED_FACTOR)


def _reblur_stage(
    config: Config,
    source: PairSource,
    deblurrer: Deblurrer,
    reblur: ReblurModule | FreeKernelReblur,
) -> Stage:
    def forward(batch: Tensors, progress: Progress) -> Tensors:
        with torch.no_grad():
            restored = deblurrer.deblur(batch["blurred"]).restored
        return {"reblurred": _image(reblur(restored, batch["blurred"]))}

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        return {"reblur": charbonnier(outputs["reblurred"], batch["blurred"])}

    return Stage(
        name="reblur",
        steps=_steps(config, source, config.reblur_epochs),
        batch=_batches(config, source),
        forward=forward,
        turns=(Turn(trains=("reblur",), weights={"reblur": 1.0}, terms=terms),),
        learning_rate=_learning_rate(config, 0, config.reblur_epochs),
        clip=config.clip,
    )


def _warm_up_stage(
    config: Config,
    source: PairSource,
    deblurrer: Deblurrer,
    flow: FlowMethod,
    trains: tuple[str, ...],
) -> Stage:
    deformation = config.deformation
    plain = _batches(config, source)

    def with_aligned(batch: Tensors) -> Tensors:
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
        return {"restored": restored, "aligned": aligned}

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        return {"to_input": charbonnier(outputs["restored"], outputs["aligned"])}

    return Stage(
        name="warm_up",
        steps=_steps(config, source, config.warm_up_epochs),
        batch=ahead if is_ahead else plain,
        forward=forward,
        turns=(Turn(trains=trains, weights={"to_input": 1.0}, terms=terms),),
        learning_rate=_learning_rate(config, config.reblur_epochs, config.warm_up_epochs),
        clip=config.clip,
    )


def _full_stage(
    config: Config,
    source: PairSource,
    deblurrer: Deblurrer,
    reblur: ReblurModule | FreeKernelReblur | None,
    flow: FlowMethod,
) -> Stage:
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
        restored, belief = deblurrer.deblur(batch["blurred"])
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
            if isinstance(reblur, ReblurModule):
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

    trains = ("deblurrer",) if reblur is None else ("deblurrer", "reblur")
    return Stage(
        name="full",
        steps=_steps(config, source, config.full_epochs),
        batch=_batches(config, source),
        forward=forward,
        turns=(Turn(trains=trains, weights=weights | shown, terms=terms),),
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


def _flow_method(config: DeformationConfig) -> FlowMethod:
    if config.flow == "raft" and config.raft_weights is not None:
        return RaftFlow(config.raft_weights)
    return CpuFlow(dis_flow) if config.flow == "dis" else no_flow


def _deblurrer(config: Config, network: nn.Module) -> Deblurrer:
    try:
        deblurrer = as_deblurrer(network)
    except TypeError as error:
        raise UsageError(
            f"the reblur-guided recipe cannot train {config.network!r}",
            why=str(error),
            fix=f"--set recipe.network=seeded-{config.network}",
        ) from error
    multiple = deblurrer.size_multiple * 2 ** (deblurrer.levels - 1)
    if config.data.crop_px % multiple:
        raise UsageError(
            f"recipe.data.crop_px = {config.data.crop_px} does not fit {config.network}",
            why=f"its crops are multiples of {multiple} px",
        )
    return deblurrer


def _load(network: nn.Module, name: str, path: Path) -> None:
    """Weights of the network itself, or of the backbone it is built around."""
    weights, spec = read_weights(path)
    try:
        if spec.architecture == name or not isinstance(network, SeededDeblurrer | SeededFocusNet):
            network.load_state_dict(weights)
        else:
            network.load_backbone(weights)
    except RuntimeError as error:
        raise ModelError(f"the weights {path} do not fit {name}", why=str(error)) from error


def _pairs(config: Config) -> tuple[list[PairFiles], list[PairFiles]]:
    """Pairs to learn from, and pairs to look at in mid-training."""
    looked_at: list[PairFiles] = []
    if config.blurry is not None and config.sharp is not None:
        found = pairs_of_folders(config.blurry, config.sharp, config.matching)
    else:
        root = config.data_set or Path()
        found = pairs_of_layout(root, config.layout, "train")
        if "validation" in LAYOUTS[config.layout].folders and not config.held_out:
            looked_at = pairs_of_layout(root, config.layout, "validation")
    if unknown := sorted(set(config.held_out) - {pair.name for pair in found}):
        raise UsageError(
            f"recipe.held_out names {len(unknown)} pairs that are not there",
            why=f"no pair is called {unknown[0]}",
        )
    looked_at += [pair for pair in found if pair.name in config.held_out]
    return [pair for pair in found if pair.name not in config.held_out], looked_at
