"""Training with a critic on rendered pairs: the second stage of the learnable blur kernel alone.

For DefocusGAN from nothing, and for a FocusNet that is trained already and shall look crisper. The
stages and their settings are in learnable_kernel_gan.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from defocusfix.networks.critic import PatchCritic
from defocusfix.networks.deblurrer import as_deblurrer
from defocusfix.networks.described import described
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.data import CropSource
from defocusfix.training.export import load_network
from defocusfix.training.recipe import OptimiserConfig, Recipe, Tensors
from defocusfix.training.recipes.learnable_kernel_gan import GanConfig, gan_stages
from defocusfix.training.rendered_data import RenderedChoice, rendered_source
from defocusfix.training.rendered_validation import rendered_validation
from defocusfix.training.start import network_to_train, require_crop


@dataclass(frozen=True, slots=True)
class Config(RenderedChoice):
    """Settings of the recipe, beside its rendered pairs."""

    crop_px: int | None = None
    """Side of the part of a rendered pair on disk that is learnt from at a time; None takes all of
    it."""
    samples_per_epoch: int = 0
    """Pairs per epoch; 0 for each on disk once."""
    validation: Path | None = None
    """A rendered set from other photos, looked at in mid-training."""
    training_data: str = "pairs rendered by defocusfix"
    """What the weights say they were trained on."""
    licence: str = "Apache-2.0"
    """Licence that the weights carry; that of the data and of `start_from` decides."""
    network: str = "defocusgan"
    """Which network is trained, as defocusgan or focusnet-s2; see networks/build.py."""
    start_from: Path | None = None
    """Weights (.safetensors) to go on from; None starts from scratch."""
    critic_width: int = 64
    """Channels after the critic's first convolution. Reference: 64."""
    estimator: Path | None = None
    """Weights (.safetensors) of the network that says how blurred a pixel is, while training: a
    FocusNet, or the first stage's blur map. None takes the exact radius of the rendered pairs."""
    gan: GanConfig = field(default_factory=GanConfig)
    """The stages."""
    seed: int = 0
    """Of the order of pairs and of their variations."""

    def __post_init__(self) -> None:
        RenderedChoice.__post_init__(self)
        if not self.is_named:
            raise ValueError("crops is empty: name a rendered set, or photos to render from")
        if self.is_live and (self.crop_px is not None or not self.samples_per_epoch):
            raise ValueError(
                "pairs rendered during training are taken whole and without end: "
                "leave crop_px out, and name samples_per_epoch"
            )
        if self.critic_width < 1:
            raise ValueError(f"critic_width is at least 1, got {self.critic_width}")


def build(config: Config) -> Recipe:
    """The recipe as data for the trainer."""
    generator = network_to_train(config.network, config.start_from)
    modules: dict[str, nn.Module] = {
        "generator": generator,
        "critic": PatchCritic(config.critic_width),
    }
    if config.estimator is not None:
        modules["estimator"] = load_network(config.estimator)[0].requires_grad_(False)
    source = rendered_source(config, config.seed, generator, crop_px=config.crop_px)
    samples = config.samples_per_epoch
    side = config.live_size_px
    if isinstance(source, CropSource):
        samples = samples or len(source)
        side = source.sample(0)[0].shape[0]
    require_crop(as_deblurrer(generator), config.network, side, "recipe.crop_px")

    def batch(step: int, rank: int, world: int) -> Tensors:
        return source.batch(step, config.gan.batch_size, rank, world)

    validate = None
    if config.validation is not None:
        validate = rendered_validation(RenderedSet(config.validation))
    return Recipe(
        name="defocus-gan",
        modules=modules,
        stages=gan_stages(config.gan, modules, batch, samples),
        inference="generator",
        spec=described(
            generator, config.network, licence=config.licence, training_data=config.training_data
        ),
        validate=validate,
        optimisers={"critic": OptimiserConfig(learning_rate=config.gan.critic_rate)},
    )
