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

from torch import nn

from defocusfix.errors import UsageError
from defocusfix.networks.deblurrer import SeededDeblurrer, SeededFocusNet, as_deblurrer
from defocusfix.networks.described import described
from defocusfix.training.guidance import reblurring_module
from defocusfix.training.pair_data import PairSource, chosen_pairs
from defocusfix.training.pair_validation import pair_validation
from defocusfix.training.recipe import OptimiserConfig, Recipe
from defocusfix.training.recipes.reblur_guided_config import Config
from defocusfix.training.recipes.reblur_guided_stages import full_stage, reblur_stage, warm_up_stage
from defocusfix.training.start import network_to_train, require_crop, require_map


def build(config: Config) -> Recipe:
    """The recipe as data for the trainer."""
    network = network_to_train(config.network, config.start_from)
    deblurrer = as_deblurrer(network)
    require_map(deblurrer, config.network, config.map_weight, "recipe.map_weight")
    require_crop(deblurrer, config.network, config.data.crop_px, "recipe.data.crop_px")
    if config.trains:
        _freeze_all_but(network, config.trains)
    modules: dict[str, nn.Module] = {"deblurrer": network}
    reblur = reblurring_module(config)
    if reblur is not None:
        modules["reblur"] = reblur
    warmed: tuple[str, ...] = ("deblurrer",)
    if config.warm_up_trains == "fusion":
        if not isinstance(network, SeededDeblurrer | SeededFocusNet):
            raise UsageError(f"{config.network} has no fusion of its own to warm up alone")
        modules |= {"estimator": network.estimator, "fusion": network.fusion}
        warmed = ("estimator", "fusion")

    learnt, looked_at = chosen_pairs(config, "recipe")
    source = PairSource(learnt, config.data, config.seed)
    flow = config.deformation.method()
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


def _freeze_all_but(network: nn.Module, trains: tuple[str, ...]) -> None:
    parts = dict(network.named_children())
    if unknown := sorted(set(trains) - parts.keys()):
        raise UsageError(
            f"recipe.trains names {unknown[0]!r}, which is no part of the network",
            why=f"its parts are: {', '.join(parts)}",
        )
    for name, part in parts.items():
        part.requires_grad_(name in trains)
