"""Training with a critic on rendered pairs: the second stage of the learnable blur kernel alone.

For DefocusGAN from nothing, and for a FocusNet that is trained already and shall look crisper. The
stages and their settings are in learnable_kernel_gan.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from defocusfix.errors import ModelError, UsageError
from defocusfix.networks.build import build_network
from defocusfix.networks.critic import PatchCritic
from defocusfix.networks.deblurrer import as_deblurrer, crop_multiple
from defocusfix.networks.described import described
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.data import CropSource
from defocusfix.training.export import load_network
from defocusfix.training.recipe import OptimiserConfig, Recipe, Tensors
from defocusfix.training.recipes.learnable_kernel_gan import GanConfig, gan_stages
from defocusfix.training.rendered_validation import rendered_validation
from defocusfix.training.weights import read_weights


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of the recipe."""

    crops: tuple[Path, ...] = ()
    """Sets of rendered pairs to learn from; see `defocusfix render`."""
    validation: Path | None = None
    """A rendered set from other photos, looked at in mid-training."""
    training_data: str = "pairs rendered by defocusfix"
    """What the weights say they were trained on."""
    licence: str = "Apache-2.0"
    """Licence that the weights carry; that of the data and of `start_from` decides."""
    network: str = "defocusgan"
    """Which network is trained, as defocusgan or focusnet-s; see networks/build.py."""
    start_from: Path | None = None
    """Weights (.safetensors) to go on from; None starts from scratch."""
    critic_width: int = 64
    """Channels after the critic's first convolution. Reference: 64."""
    estimator: Path | None = None
    """Weights (.safetensors) of the network that says how blurred a pixel is, while training: a
    FocusNet, or the first stage's estimator. None takes the exact radius of the rendered pairs."""
    crop_px: int | None = None
    """Side of the part of a rendered crop that is learnt from at a time; None takes all of it."""
    samples_per_epoch: int = 0
    """Crops per epoch; 0 for each once."""
    gan: GanConfig = field(default_factory=GanConfig)
    """The stages."""
    seed: int = 0
    """Of the order of crops and of their variations."""

    def __post_init__(self) -> None:
        if not self.crops:
            raise ValueError("crops is empty: name a rendered set")
        if self.critic_width < 1:
            raise ValueError(f"critic_width is at least 1, got {self.critic_width}")


def build(config: Config) -> Recipe:
    """The recipe as data for the trainer."""
    generator = build_network(config.network)
    if config.start_from is not None:
        try:
            generator.load_state_dict(read_weights(config.start_from)[0])
        except RuntimeError as error:
            raise ModelError(
                f"the weights {config.start_from} do not fit {config.network}", why=str(error)
            ) from error
    modules: dict[str, nn.Module] = {
        "generator": generator,
        "critic": PatchCritic(config.critic_width),
    }
    if config.estimator is not None:
        modules["estimator"] = load_network(config.estimator)[0].requires_grad_(False)
    sets = [RenderedSet(folder) for folder in config.crops]
    source = CropSource(sets, seed=config.seed, crop=config.crop_px)
    _check_side(source, config, crop_multiple(as_deblurrer(generator)))

    def batch(step: int, rank: int, world: int) -> Tensors:
        return source.batch(step, config.gan.batch_size, rank, world)

    validate = None
    if config.validation is not None:
        validate = rendered_validation(RenderedSet(config.validation))
    return Recipe(
        name="defocus-gan",
        modules=modules,
        stages=gan_stages(config.gan, modules, batch, config.samples_per_epoch or len(source)),
        inference="generator",
        spec=described(
            generator, config.network, licence=config.licence, training_data=config.training_data
        ),
        validate=validate,
        optimisers={"critic": OptimiserConfig(learning_rate=config.gan.critic_rate)},
    )


def _check_side(source: CropSource, config: Config, multiple: int) -> None:
    """Raise UsageError if crops do not fit the generator."""
    side = source.sample(0)[0].shape[0]
    if side % multiple:
        raise UsageError(
            f"crops of {side} px do not fit {config.network}",
            why=f"its crops are multiples of {multiple} px",
            fix="--set recipe.crop_px=...",
        )
