"""What the learnable blur kernel learns from, and what it is looked at with in mid-training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from torch import nn

from defocusfix.networks.blur_map import BlurMapEstimator
from defocusfix.pairs.find import PairFiles
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.registration.warp import FloatImage
from defocusfix.training.data import CropSource
from defocusfix.training.dual_pixel_data import DualPixelSource
from defocusfix.training.map_validation import photo_validation, rendered_validation
from defocusfix.training.pair_data import PairChoice, PairSource, chosen_pairs
from defocusfix.training.recipe import Tensors, Validation
from defocusfix.training.recipes.learnable_kernel_config import Config

LEARNT_VIEWS = ("train_l/source", "train_r/source")  # of DPDD
LOOKED_AT_VIEWS = ("val_l/source", "val_r/source")
LOOK_PX = 512

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
        validate = rendered_validation(RenderedSet(config.validation))
    if config.crops:
        sets = [RenderedSet(folder) for folder in config.crops]
        return CropSource(sets, config.seed, crop=config.data.crop_px), validate
    choice = PairChoice(
        blurry=config.blurry,
        sharp=config.sharp,
        matching=config.matching,
        data_set=config.data_set,
        layout=config.layout,
        held_out=config.held_out,
        left_out=config.left_out,
    )
    learnt, looked_at = chosen_pairs(choice, "recipe")
    if validate is None and looked_at:
        photos = _photos(config, looked_at, is_learnt=bool(config.held_out))
        validate = photo_validation(len(looked_at), partial(_middle, photos))
    return _photos(config, learnt, is_learnt=True), validate


def _middle(photos: PairSource | DualPixelSource, number: int) -> Mapping[str, FloatImage]:
    found = photos.centre(number, LOOK_PX, BlurMapEstimator.size_multiple)
    if isinstance(found, tuple):
        return dict(zip(("blurred", "all_in_focus"), found, strict=True))
    return found


def _photos(
    config: Config, pairs: list[PairFiles], *, is_learnt: bool
) -> PairSource | DualPixelSource:
    left, right = config.left, config.right
    if config.uses_views and config.data_set is not None:
        folders = LEARNT_VIEWS if is_learnt else LOOKED_AT_VIEWS
        left, right = (config.data_set / folder for folder in folders)
    if left is None or right is None:
        return PairSource(pairs, config.data, config.seed)
    return DualPixelSource(pairs, left, right, config.data, config.seed, config.matching)
