"""Settings of the learnable blur kernel. Each names the reference's value where ours differs.

The preset `paper` takes the reference throughout, `recommended` is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from defocusfix.networks.blur_map import SIZES
from defocusfix.networks.radial_kernels import Padding
from defocusfix.training.pair_data import PairChoice
from defocusfix.training.recipes.learnable_kernel_gan import GanConfig

STAGES = ("map 1", "kernels 1", "map 2", "kernels 2", "map 3")
PAPER_VALUES = 4 * 3 * 512 * 512
"""Of the maps of one batch in the reference, over which its smoothness is summed."""


@dataclass(frozen=True, slots=True)
class Config(PairChoice):
    """Settings of the learnable blur kernel, beside its pairs; defaults are what we recommend.

    Of rendered crops, parts of `data.crop_px` are cut out. Reference: 512 px, nothing else done.
    """

    layout: str = "dpdd"
    """Which data set it is: dpdd, sdd, ded, lfdof or pairs."""
    crops: tuple[Path, ...] = ()
    """Instead of photos: sets of rendered pairs to learn from; see `defocusfix render`."""
    left: Path | None = None
    """Folder of the left dual-pixel views of the blurred photos; goes with `right`."""
    right: Path | None = None
    """Folder of the right views."""
    uses_views: bool = False
    """Whether the estimator reads the dual-pixel views of a data set with the layout dpdd, rather
    than each photo twice. Reference: yes."""
    validation: Path | None = None
    """A rendered set, looked at in mid-training: its blur radius is known."""
    training_data: str = ""
    """What the weights say they were trained on."""
    licence: str = ""
    """Licence that the weights carry; that of the data decides."""
    network: str = "blur-map"
    """blur-map, or blur-map-small to try things."""
    start_from: Path | None = None
    """Weights (.safetensors) of the same network to go on from, kernels and all."""
    starts_in_focus: bool = True
    """Whether the map is 0 everywhere at first, so that it grows from there. Reference: no."""
    sides: Literal["both", "one"] = "one"
    """Whether both sides of the plane of focus have kernels of their own. While these are alike,
    nothing says which side is which, and a place that began on one of them stays there; with one,
    the sign of a map says nothing. Reference: both."""
    is_normalised: bool = True
    """Whether kernels are kept from negative cells and sum to 1. Reference: no."""
    padding: Padding = "reflect"
    """How the sharp photo goes on beyond its border when it is blurred: reflect, replicate or
    zeros. Reference: zeros, which darken up to 28 px."""
    epochs: tuple[float, float, float, float, float] = (10.0, 5.0, 5.0, 5.0, 5.0)
    """Lengths of the stages: map, kernels, map, kernels, map; 0 leaves one out."""
    samples_per_epoch: int = 0
    """Crops per epoch; 0 for one of each photo."""
    batch_size: int = 4
    """Crops per step, over all processes. Reference: 4."""
    learning_rate: float = 2e-4
    """Of the estimator, at its peak. Reference: 2e-5."""
    kernel_rate: float = 0.1
    """Factor on the learning rate for the kernels. Reference: 1."""
    decay: Literal["cosine", "none"] = "cosine"
    """How the learning rate falls over the run. Reference: none."""
    reblur_weight: float = 1000.0
    """Of the mean absolute difference between the blurred and the reblurred photo."""
    smoothness_weight: float = 1e-5 * PAPER_VALUES
    """Of the map's total variation, per value. Reference: 1e-5 on its sum over four crops of
    512 px in three colours, which is 31.46 per value."""
    smooth_after_steps: int = 3000
    """Steps of the first stage in which the map is not smoothed yet. Reference: 3000."""
    clip: float = math.inf
    """Largest gradient norm; inf for none. Reference: none."""
    generator: str = ""
    """The network that learns to restore by the maps in a second stage, as defocusgan; empty for
    maps alone. The weights of the run are then those of this network, which needs no map."""
    critic_width: int = 64
    """Channels after the first convolution of the second stage's critic. Reference: 64."""
    gan: GanConfig = field(default_factory=GanConfig)
    """The second stage; its steps and those of the first follow each other in one run."""
    seed: int = 0
    """Of the order of crops, their places and variations."""

    def __post_init__(self) -> None:
        PairChoice.__post_init__(self)
        if bool(self.crops) == self.is_named:
            raise ValueError("name the data: either crops, or blurry and sharp, or data_set")
        if (self.left is None) != (self.right is None):
            raise ValueError("left and right go together")
        if self.left is not None and self.blurry is None:
            raise ValueError("left and right are views of the photos in blurry: name that too")
        if self.uses_views and (self.data_set is None or self.layout != "dpdd"):
            raise ValueError("uses_views is for data_set with the layout dpdd; else left and right")
        if self.network not in SIZES:
            raise ValueError(f"network is one of {', '.join(SIZES)}, not {self.network!r}")
        if self.crops and (self.held_out or self.left_out):
            raise ValueError("held_out and left_out are for pairs of photos: take validation")
        if min(self.epochs) < 0 or self.total_epochs <= 0:
            raise ValueError("epochs are 0 or more, and not all 0: nothing would be trained")

    @property
    def total_epochs(self) -> float:
        """Of all stages."""
        return sum(self.epochs)
