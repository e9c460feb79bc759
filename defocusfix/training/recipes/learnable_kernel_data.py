"""What the learnable blur kernel learns from, and what it is looked at with in mid-training."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from torch import nn

from defocusfix.networks.blur_map import BlurMapEstimator
from defocusfix.pairs.find import PairFiles
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.data import CropSource
from defocusfix.training.dual_pixel_data import AnyPairSource, middle, pair_source, with_views
from defocusfix.training.map_validation import photo_validation, rendered_map_validation
from defocusfix.training.pair_data import chosen_pairs
from defocusfix.training.recipe import Tensors, Validation
from defocusfix.training.recipes.learnable_kernel_config import Config

LOOK_PX = 512
MULTIPLE = BlurMapEstimator.size_multiple

Validate = Callable[[nn.Module], Validation]


class Source(Protocol):
    """Where crops come from."""

    def __len__(self) -> int:
        """Samples per epoch."""

    def batch(self, step: int, batch_size: int, rank: int = 0, world: int = 1) -> Tensors:
        """Slice `rank` of `world` of the joint batch of a step.

        "blurred" and "all_in_focus" (B, 3, H, W) in [0, 1] and, of dual-pixel photos, "views"
        (B, 6, H, W), left then right.
        """


def data_of(config: Config) -> tuple[Source, Validate | None]:
    """Crops to learn from, and the look in mid-training where there is something to look at.

    Raises InputError, UsageError or TrainingError where photos are missing or do not fit.
    """
    validate = None
    if config.validation is not None:
        validate = rendered_map_validation(RenderedSet(config.validation))
    if config.crops:
        sets = [RenderedSet(folder) for folder in config.crops]
        return CropSource(sets, config.seed, crop=config.data.crop_px), validate
    learnt, looked_at = chosen_pairs(config, "recipe")
    if validate is None and looked_at:
        photos = _photos(config, looked_at)
        of_photo = partial(middle, photos, largest_px=LOOK_PX, multiple=MULTIPLE)
        validate = photo_validation(len(looked_at), of_photo)
    return _photos(config, learnt), validate


def _photos(config: Config, pairs: list[PairFiles]) -> AnyPairSource:
    uses_views = config.uses_views
    if config.left is not None and config.right is not None:
        pairs, uses_views = with_views(pairs, config.left, config.right, config.matching), True
    return pair_source(pairs, config.data, config.seed, uses_views)
