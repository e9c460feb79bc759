"""Reblurring-guided deblurring from pairs that do not line up (arXiv 2409.17792; IJCV 2025).

Two photos of a scene, one blurred and one sharp, never match to the pixel. The target is therefore
deformed onto the output, and the output onto the target, by optical flow; and since that alone
would let the output drift along with the target, a reblurring module blurs the output again, which
must then equal the input, at the input's places. The kernels found on the way serve as the truth
that nobody measured: they teach the network's estimate of the blur.

Stages (reblur_guided_stages.py): reblur (optional; the deblurrer rests), warm_up (a plain loss; the
estimate of the blur fades in), full. Besides the loss terms, `flow_px` and `trusted_share` are
logged, with weight 0: the mean length of the flow, and the share of pixels whose flow is trusted.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from defocusfix.errors import ModelError, UsageError
from defocusfix.networks.build import build_network
from defocusfix.networks.deblurrer import (
    Deblurrer,
    SeededDeblurrer,
    SeededFocusNet,
    as_deblurrer,
    crop_multiple,
)
from defocusfix.networks.described import described
from defocusfix.networks.reblur import FreeKernelReblur, ReblurModule
from defocusfix.registration.flow import dis_flow
from defocusfix.training.deformation import CpuFlow, FlowMethod, RaftFlow, SmoothFlow, no_flow
from defocusfix.training.pair_choice import chosen_pairs
from defocusfix.training.pair_data import PairSource
from defocusfix.training.pair_validation import pair_validation
from defocusfix.training.recipe import OptimiserConfig, Recipe
from defocusfix.training.recipes.reblur_guided_config import Config, DeformationConfig
from defocusfix.training.recipes.reblur_guided_stages import full_stage, reblur_stage, warm_up_stage
from defocusfix.training.weights import read_weights


def build(config: Config) -> Recipe:
    """The recipe as data for the trainer."""
    network = build_network(config.network)
    deblurrer = _deblurrer(config, network)
    if config.start_from is not None:
        _load(network, config.network, config.start_from)
    if config.trains:
        _freeze_all_but(network, config.trains)
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

    learnt, looked_at = chosen_pairs(
        blurry=config.blurry,
        sharp=config.sharp,
        matching=config.matching,
        data_set=config.data_set,
        layout=config.layout,
        held_out=config.held_out,
        left_out=config.left_out,
    )
    source = PairSource(learnt, config.data, config.seed)
    flow = _flow_method(config.deformation)
    stages = []
    if reblur is not None and config.reblur_epochs > 0:
        stages.append(reblur_stage(config, source, deblurrer, reblur))
    if config.warm_up_epochs > 0:
        beside = reblur if config.warm_up_reblurs else None
        stages.append(warm_up_stage(config, source, deblurrer, flow, warmed, beside))
    if config.full_epochs > 0:
        stages.append(full_stage(config, source, deblurrer, reblur, flow))
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
        spec=described(
            network, config.network, licence=config.licence, training_data=config.training_data
        ),
        validate=validate,
        optimisers={"reblur": OptimiserConfig(learning_rate=config.reblur_rate)} if reblur else {},
    )


def _flow_method(config: DeformationConfig) -> FlowMethod:
    if config.flow == "none":
        return no_flow
    flow: FlowMethod = CpuFlow(dis_flow)
    if config.raft_weights is not None:
        flow = RaftFlow(config.raft_weights)
    return SmoothFlow(flow, config.smoothing_px) if config.smoothing_px else flow


def _deblurrer(config: Config, network: nn.Module) -> Deblurrer:
    deblurrer = as_deblurrer(network)
    if deblurrer.believes_in == "nothing" and config.map_weight > 0:
        raise UsageError(
            f"{config.network!r} says nothing of the blur, so its map cannot be trained",
            why=f"recipe.map_weight = {config.map_weight:g}",
            fix=f"--set recipe.network=seeded-{config.network}, or --set recipe.map_weight=0",
        )
    multiple = crop_multiple(deblurrer)
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


def _freeze_all_but(network: nn.Module, trains: tuple[str, ...]) -> None:
    parts = dict(network.named_children())
    if unknown := sorted(set(trains) - parts.keys()):
        raise UsageError(
            f"recipe.trains names {unknown[0]!r}, which is no part of the network",
            why=f"its parts are: {', '.join(parts)}",
        )
    for name, part in parts.items():
        part.requires_grad_(name in trains)
