"""Defocus maps without supervision by learnable blur kernels (AAAI 2023, arXiv 2211.14017).

From a blurred photo and its sharp counterpart: an estimator names a level of blur for every pixel,
a bank of kernels blurs the sharp photo by it, and the result must equal the blurred photo. Nobody
tells a radius. Estimator and kernels learn in turns, so that neither makes up for the other's
errors while both move: the map by the kernels of a plausible lens, then the kernels of this lens by
the map, and so on (learnable_kernel_maps.py). Then, if a generator is named, it learns to restore,
guided by the maps and judged by a critic (learnable_kernel_gan.py).

The estimator reads the two views of a dual-pixel sensor, as in the paper, or one photo twice.
Besides the loss terms, with weight 0: `level` and `positive_share`, the map's mean size and the
share of it that is positive; `smallest_sum`, `largest_sum` and `negative_sum` of the kernels, which
nothing keeps at 1, 1 and 0 unless `is_normalised`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from defocusfix.errors import ModelError
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks.blur_map import HALO, OVERLAP, SIZES, BlurMap, BlurMapEstimator
from defocusfix.networks.build import build_network
from defocusfix.networks.critic import PatchCritic
from defocusfix.networks.deblurrer import as_deblurrer
from defocusfix.networks.described import described
from defocusfix.optics import butterworth
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.recipe import OptimiserConfig, Recipe, Tensors, Validation
from defocusfix.training.recipes.learnable_kernel_config import Config
from defocusfix.training.recipes.learnable_kernel_data import Source, Validate, data_of
from defocusfix.training.recipes.learnable_kernel_gan import gan_stages
from defocusfix.training.recipes.learnable_kernel_maps import map_stages
from defocusfix.training.rendered_validation import rendered_validation
from defocusfix.training.start import require_crop
from defocusfix.training.weights import read_weights

__all__ = ["Config", "build", "first_kernels"]


def build(config: Config) -> Recipe:
    """The recipe as data for the trainer."""
    network = BlurMap(
        SIZES[config.network],
        has_sides=config.sides == "both",
        is_normalised=config.is_normalised,
        padding=config.padding,
    )
    network.kernels.start_from(first_kernels(network.kernels.levels))
    if config.starts_in_focus:
        network.estimator.start_in_focus()
    if config.start_from is not None:
        _load(network, config.start_from)
    source, validate = data_of(config)

    def batches(step: int, rank: int, world: int) -> Tensors:
        return source.batch(step, config.batch_size, rank, world)

    samples = config.samples_per_epoch or len(source)
    maps = Recipe(
        name="learnable-kernel",
        modules={"map": network, "estimator": network.estimator, "kernels": network.kernels},
        stages=tuple(map_stages(config, network, batches, samples / config.batch_size)),
        inference="map",
        spec=NetworkSpec(
            name=config.network,
            architecture=config.network,
            size_multiple=BlurMapEstimator.size_multiple,
            halo=HALO,
            levels=1,
            licence=config.licence,
            training_data=config.training_data,
            overlap=OVERLAP,
        ),
        validate=validate,
        optimisers={"kernels": OptimiserConfig(learning_rate=config.kernel_rate)},
    )
    return _with_generator(maps, config, network, source, samples) if config.generator else maps


def _with_generator(
    maps: Recipe, config: Config, network: BlurMap, source: Source, samples: int
) -> Recipe:
    """The recipe with its second stage, in which a generator learns to restore by the maps."""
    generator, critic = build_network(config.generator), PatchCritic(config.critic_width)
    require_crop(
        as_deblurrer(generator), config.generator, config.data.crop_px, "recipe.data.crop_px"
    )

    def batch(step: int, rank: int, world: int) -> Tensors:
        return source.batch(step, config.gan.batch_size, rank, world)

    players: dict[str, nn.Module] = {"generator": generator, "critic": critic}
    return replace(
        maps,
        modules=maps.modules | players,
        stages=maps.stages
        + gan_stages(config.gan, players | {"estimator": network}, batch, samples),
        inference="generator",
        looked_at=("map", "generator"),
        spec=described(
            generator,
            config.generator,
            licence=config.licence,
            training_data=config.training_data,
        ),
        validate=_both_looked_at(config, maps.validate, network),
        optimisers={
            **maps.optimisers,
            "critic": OptimiserConfig(learning_rate=config.gan.critic_rate),
        },
    )


def _both_looked_at(
    config: Config, map_validate: Validate | None, network: BlurMap
) -> Validate | None:
    """A look at the generator, whose score counts, and at the maps as they are."""
    if config.validation is None:
        return None if map_validate is None else lambda _: map_validate(network)
    restored_validate = rendered_validation(RenderedSet(config.validation))

    def validate(generator: nn.Module) -> Validation:
        found = restored_validate(generator)
        if map_validate is None:
            return found
        of_map = map_validate(network)
        return replace(
            found,
            metrics=found.metrics
            | {f"map_{name}": value for name, value in of_map.metrics.items()},
            pictures=found.pictures | {f"map_{n}": shown for n, shown in of_map.pictures.items()},
        )

    return validate


def first_kernels(levels: int) -> list[Tensor]:
    """What the kernels begin with: the Butterworth PSF of each whole radius (methods 3.2.3)."""
    return [torch.from_numpy(butterworth(radius_px)) for radius_px in range(levels)]


def _load(network: BlurMap, path: Path) -> None:
    weights, _ = read_weights(path)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"the weights {path} do not fit this blur map", why=str(error)) from error
