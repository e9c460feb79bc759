"""Light-field pairs first, real ones after: the two steps of DRBNet (CVPR 2022, arXiv 2204.00367).

Pairs that are made from a light field, or rendered, match to the pixel, but their blur is not that
of a real lens. Two shots of a real camera have real blur, but do not lie over each other. So the
network learns from the first by a loss on pixels, and then from the second by a loss that forgives
small shifts: on features of VGG-19, or that of reblurring-guided learning (arXiv 2409.17792).

Stages: light_field, kernels (only with real_loss = "reblur": the reblurring module learns alone),
real; any of them can be left out. Any network can be trained: it is called in one place,
`Deblurrer.deblur`; one that compares dual-pixel views is handed those of the batch there. The
authors published neither their training code nor most of its settings: the preset `paper` is our
reading of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from defocusfix.errors import UsageError
from defocusfix.networks.build import BUILDERS
from defocusfix.networks.deblurrer import Deblurrer, as_deblurrer, crop_multiple
from defocusfix.networks.described import described
from defocusfix.pairs.crops import PairSettings
from defocusfix.pairs.find import PairFiles
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.dual_pixel_data import AnyPairSource, pair_source
from defocusfix.training.feature_loss import FeatureLoss, FeatureSettings, feature_loss
from defocusfix.training.guidance import Guidance, guided, kernels_alone, reblurring_module
from defocusfix.training.losses import l1, radius_error
from defocusfix.training.pair_data import PairChoice, chosen_pairs
from defocusfix.training.pair_validation import pair_validation
from defocusfix.training.recipe import (
    Moves,
    OptimiserConfig,
    Progress,
    Recipe,
    Stage,
    Tensors,
    Turn,
    Validation,
)
from defocusfix.training.rendered_data import RenderedChoice, RenderedSource, rendered_source
from defocusfix.training.rendered_validation import rendered_validation
from defocusfix.training.schedule import Schedule, constant, cosine, halved_at
from defocusfix.training.start import network_to_train, require_crop, require_map

HALVINGS = (0.6, 0.8)  # shares of the light-field stage; our reading, methods 2.4
MATCHING_PAIRS = PairSettings(alignment="none", matches_exposure=False)


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of the light-field recipe; the defaults are what we recommend."""

    rendered: RenderedChoice = field(default_factory=RenderedChoice)
    """For the first stage: pairs that `defocusfix render` makes."""
    light_field: PairChoice = field(
        default_factory=lambda: PairChoice(layout="lfdof", data=MATCHING_PAIRS)
    )
    """Instead of rendered pairs: pairs that match to the pixel, as those made from light fields."""
    real: PairChoice = field(default_factory=lambda: PairChoice(layout="dpdd"))
    """For the second stage: pairs of real photos, which need not line up."""
    crop_px: int = 256
    """Side of crops of rendered pairs on disk; light_field.data and real.data have their own."""
    validation: Path | None = None
    """A rendered set to look at in mid-training; None takes pairs that are held out, real ones if
    there are some."""
    network: str = "focusnet-s2"
    """Any; see networks/build.py."""
    start_from: Path | None = None
    """Weights (.safetensors) to go on from; None starts from scratch."""
    training_data: str = ""
    """What the weights say they were trained on."""
    licence: str = ""
    """Licence that the weights carry; that of the data and of `start_from` decides."""
    light_field_steps: int = 300_000
    """Steps of the first stage; 0 leaves it out."""
    light_field_batch_size: int = 8
    """Crops per step, over all processes."""
    light_field_rate: float = 1e-4
    """Learning rate of the first stage, at its peak."""
    scale_weights: tuple[float, ...] = ()
    """Weights of the first stage's loss at full size, half, a quarter, ..., against targets of that
    size, for networks that restore coarse to fine: [1, 0.5, 0.25, 0.125] for DRBNet. Empty for the
    full size alone."""
    radius_weight: float = 0.1
    """Of the loss on the radius map in the first stage, for a network that makes one and rendered
    pairs, whose radius is known; nothing else teaches the map of a FocusNet."""
    real_steps: int = 60_000
    """Steps of the second stage; 0 leaves it out."""
    real_batch_size: int = 4
    """Crops per step, over all processes."""
    real_rate: float = 1e-5
    """Learning rate of the second stage, at its peak."""
    real_loss: Literal["feature", "reblur", "pixel"] = "feature"
    """feature: on features of VGG-19. reblur: that of reblurring-guided learning. pixel: L1."""
    pixel_weight: float = 0.1
    """Of L1 beside the feature loss, against a drift of colours; 0 leaves it out."""
    feature: FeatureSettings = field(default_factory=FeatureSettings)
    """Which features are compared."""
    guidance: Guidance = field(default_factory=lambda: Guidance(map_weight=0.0))
    """Losses of real_loss = "reblur"."""
    kernel_steps: int = 0
    """Steps before the second stage in which only the reblurring module learns, for real_loss =
    "reblur"."""
    decay: Literal["cosine", "halvings"] = "cosine"
    """How learning rates fall. cosine: over each stage, to 2 %. halvings: in the first stage at 60
    and 80 % of it; the second stage keeps its rate."""
    clip: float = 1.0
    """Largest gradient norm; inf for none."""
    seed: int = 0
    """Of the order of crops, their places and variations."""

    def __post_init__(self) -> None:
        if self.network not in BUILDERS:
            raise ValueError(f"network is one of {', '.join(BUILDERS)}, not {self.network!r}")
        if min(self.light_field_steps, self.real_steps, self.kernel_steps) < 0:
            raise ValueError("steps are not negative")
        if self.light_field_steps + self.real_steps == 0:
            raise ValueError("both stages have 0 steps: nothing would be trained")
        if self.light_field_steps and self.rendered.is_named == self.light_field.is_named:
            raise ValueError(
                "name the pairs of the first stage, either rendered or light_field; or "
                "light_field_steps = 0"
            )
        if self.real_steps and not self.real.is_named:
            raise ValueError("name the pairs of the second stage, real; or real_steps = 0")
        if self.kernel_steps and not (self.real_loss == "reblur" and self.guidance.reblurs):
            raise ValueError("kernel_steps need real_loss = 'reblur' and a weight on reblurring")
        if self.scale_weights and (min(self.scale_weights) < 0 or self.scale_weights[0] <= 0):
            raise ValueError("scale_weights begin above 0, and none is negative")
        if min(self.radius_weight, self.pixel_weight) < 0:
            raise ValueError("weights are not negative")


def build(config: Config) -> Recipe:
    """The recipe as data for the trainer."""
    network = network_to_train(config.network, config.start_from)
    deblurrer = as_deblurrer(network)
    takes_views = deblurrer.takes_views
    modules: dict[str, nn.Module] = {"deblurrer": network}
    stages: list[Stage] = []
    validate = None
    if config.light_field_steps and config.light_field.is_named:
        learnt, looked_at = chosen_pairs(config.light_field, "recipe.light_field")
        pairs = pair_source(learnt, config.light_field.data, config.seed, takes_views)
        side, setting = config.light_field.data.crop_px, "recipe.light_field.data.crop_px"
        require_crop(deblurrer, config.network, side, setting)
        stages.append(_light_field_stage(config, deblurrer, pairs))
        validate = _validation(config.light_field, looked_at, config.seed, takes_views)
    elif config.light_field_steps:
        _require_no_views(config, deblurrer)
        crop_px, live_px = config.crop_px, config.rendered.live_size_px
        side, setting = crop_px, "recipe.crop_px"
        if config.rendered.is_live:
            side, setting = live_px, "recipe.rendered.live_size_px"
        require_crop(deblurrer, config.network, side, setting)
        rendered = rendered_source(config.rendered, config.seed, network, crop_px=crop_px)
        stages.append(_light_field_stage(config, deblurrer, rendered))
    if config.real_steps:
        side, setting = config.real.data.crop_px, "recipe.real.data.crop_px"
        require_crop(deblurrer, config.network, side, setting)
        learnt, looked_at = chosen_pairs(config.real, "recipe.real")
        pairs = pair_source(learnt, config.real.data, config.seed, takes_views)
        if config.real_loss == "reblur":
            stages += _guided_stages(config, deblurrer, modules, pairs)
        else:
            loss = feature_loss(config.feature) if config.real_loss == "feature" else None
            moves = plain_moves(deblurrer, loss, config.pixel_weight)
            stages.append(_real("real", config, pairs, moves, config.real_steps))
        validate = _validation(config.real, looked_at, config.seed, takes_views) or validate
    if config.validation is not None:
        _require_no_views(config, deblurrer)
        validate = rendered_validation(RenderedSet(config.validation))
    return Recipe(
        name="light-field",
        modules=modules,
        stages=tuple(stages),
        inference="deblurrer",
        spec=described(
            network, config.network, licence=config.licence, training_data=config.training_data
        ),
        validate=validate,
        optimisers={"reblur": OptimiserConfig(learning_rate=config.guidance.reblur_rate)}
        if "reblur" in modules
        else {},
    )


def plain_moves(deblurrer: Deblurrer, loss: FeatureLoss | None, pixel_weight: float) -> Moves:
    """The second stage with a plain loss on the output: of features and pixels, or pixels alone.

    pixel_weight: of L1 beside the feature loss. loss: None for L1 alone, with weight 1.
    """
    weights = {"pixel": 1.0} if loss is None else {"feature": 1.0, "pixel": pixel_weight}

    def forward(batch: Tensors, progress: Progress) -> Tensors:
        return {"restored": deblurrer.deblur(batch["blurred"], views=batch.get("views")).restored}

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        restored, target = outputs["restored"], batch["all_in_focus"]
        found = {"pixel": l1(restored, target)}
        if loss is not None:
            found["feature"] = loss(restored, target)
        return found

    return Moves(forward, (Turn(trains=("deblurrer",), weights=weights, terms=terms),))


def _light_field_stage(
    config: Config,
    deblurrer: Deblurrer,
    source: AnyPairSource | RenderedSource,
) -> Stage:
    """L1 against targets that match to the pixel, at one size or several."""
    _require_sizes(config, deblurrer)
    size = config.light_field_batch_size
    weights = {"pixel": config.scale_weights[0] if config.scale_weights else 1.0}
    weights |= {f"pixel_{2**n}": weight for n, weight in enumerate(config.scale_weights) if n}
    learns_map = (
        config.rendered.is_named and deblurrer.believes_in == "radius" and config.radius_weight > 0
    )
    if learns_map:
        weights["radius"] = config.radius_weight

    def forward(batch: Tensors, progress: Progress) -> Tensors:
        restored, belief, coarser = deblurrer.deblur(batch["blurred"], views=batch.get("views"))
        outputs = {"restored": restored}
        if learns_map and belief is not None:
            outputs["radius_px"] = F.avg_pool2d(belief, 2)  # rendered maps are of half the size
        for n, _ in enumerate(config.scale_weights[1:]):
            outputs[f"restored_{2 ** (n + 1)}"] = coarser[n]
        return outputs

    def terms(outputs: Tensors, batch: Tensors, progress: Progress) -> Tensors:
        target = batch["all_in_focus"]
        found = {"pixel": l1(outputs["restored"], target)}
        for n, _ in enumerate(config.scale_weights[1:]):
            factor = 2 ** (n + 1)
            wanted = F.avg_pool2d(target, factor)
            found[f"pixel_{factor}"] = l1(outputs[f"restored_{factor}"], wanted)
        if learns_map:
            found["radius"] = radius_error(outputs["radius_px"], batch["radius_px"])
        return found

    rate: Schedule = cosine(config.light_field_rate, final=0.02)
    if config.decay == "halvings":
        rate = halved_at(config.light_field_rate, HALVINGS)
    return Stage(
        name="light_field",
        steps=config.light_field_steps,
        batch=lambda step, rank, world: source.batch(step, size, rank, world),
        forward=forward,
        turns=(Turn(trains=("deblurrer",), weights=weights, terms=terms),),
        learning_rate=rate,
        clip=config.clip,
    )


def _require_no_views(config: Config, deblurrer: Deblurrer) -> None:
    """Raise UsageError where a network wants what rendered pairs do not have."""
    if deblurrer.takes_views:
        raise UsageError(
            f"{config.network} takes the views of dual-pixel photos, and rendered pairs have none",
            fix="name pairs with views as recipe.light_field, or --set recipe.light_field_steps=0",
        )


def _require_sizes(config: Config, deblurrer: Deblurrer) -> None:
    """Raise UsageError where the network restores at fewer sizes than have a weight."""
    if len(config.scale_weights) < 2:
        return
    side = crop_multiple(deblurrer)
    with torch.no_grad():
        black, views = torch.zeros(1, 3, side, side), torch.zeros(1, 6, side, side)
        sizes = 1 + len(deblurrer.deblur(black, views=views).coarser)
    if sizes < len(config.scale_weights):
        raise UsageError(
            f"recipe.scale_weights has {len(config.scale_weights)} weights",
            why=f"{config.network} restores at {sizes} {'size' if sizes == 1 else 'sizes'}",
            fix="--set recipe.scale_weights=[]",
        )


def _guided_stages(
    config: Config, deblurrer: Deblurrer, modules: dict[str, nn.Module], source: AnyPairSource
) -> list[Stage]:
    """The second stage by reblurring-guided learning; its module is added to `modules`."""
    guidance = config.guidance
    require_map(deblurrer, config.network, guidance.map_weight, "recipe.guidance.map_weight")
    stages: list[Stage] = []
    reblur = reblurring_module(guidance)
    if reblur is not None:
        modules["reblur"] = reblur
        if config.kernel_steps:
            alone = kernels_alone(guidance, deblurrer, reblur)
            stages.append(_real("kernels", config, source, alone, config.kernel_steps))
    moves = guided(guidance, deblurrer, reblur, guidance.deformation.method())
    return [*stages, _real("real", config, source, moves, config.real_steps)]


def _real(name: str, config: Config, source: AnyPairSource, moves: Moves, steps: int) -> Stage:
    """A stage on real pairs."""
    is_constant = config.decay == "halvings"
    size = config.real_batch_size
    return Stage(
        name=name,
        steps=steps,
        batch=lambda step, rank, world: source.batch(step, size, rank, world),
        forward=moves.forward,
        turns=moves.turns,
        learning_rate=(constant if is_constant else _falling)(config.real_rate),
        clip=config.clip,
    )


def _falling(rate: float) -> Schedule:
    return cosine(rate, final=0.02)


def _validation(
    choice: PairChoice, looked_at: list[PairFiles], seed: int, takes_views: bool
) -> Callable[[nn.Module], Validation] | None:
    """By pairs that are not learnt from; the same in both stages, so that scores compare."""
    if not looked_at:
        return None
    # As they were taken: the scores say by which alignment they come about.
    as_taken = replace(choice.data, alignment="none", matches_exposure=False)
    return pair_validation(pair_source(looked_at, as_taken, seed, takes_views))
