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
from defocusfix.pairs.crops import PairSettings
from defocusfix.pairs.find import Matching
from defocusfix.pairs.layouts import LAYOUTS

STAGES = ("map 1", "kernels 1", "map 2", "kernels 2", "map 3")
PAPER_VALUES = 4 * 3 * 512 * 512
"""Of the maps of one batch in the reference, over which its smoothness is summed."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of the learnable blur kernel; the defaults are what we recommend."""

    crops: tuple[Path, ...] = ()
    """Sets of rendered pairs to learn from; see `defocusfix render`."""
    blurry: Path | None = None
    """Instead of crops: folder of the blurred photos; goes with `sharp`."""
    sharp: Path | None = None
    """Folder of the sharp photos."""
    left: Path | None = None
    """Folder of the left dual-pixel views of the blurred photos; goes with `right`."""
    right: Path | None = None
    """Folder of the right views."""
    matching: Matching = "auto"
    """How photos of the folders are paired: by name, by order, or auto."""
    data_set: Path | None = None
    """Instead of folders: where a known data set lies."""
    layout: str = "dpdd"
    """Which one it is: dpdd, sdd, ded, lfdof or pairs."""
    uses_views: bool = False
    """Whether the estimator reads the dual-pixel views of a data set with the layout dpdd, rather
    than each photo twice. Reference: yes."""
    held_out: tuple[str, ...] = ()
    """Names of pairs that are not learnt from, but looked at in mid-training."""
    left_out: tuple[str, ...] = ()
    """Names of pairs that are used for nothing."""
    validation: Path | None = None
    """A rendered set, looked at in mid-training: its blur radius is known."""
    data: PairSettings = field(default_factory=PairSettings)
    """How crops are taken; of rendered crops, parts of `crop_px` are cut out. Reference: 512 px,
    nothing else done to them."""
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
    seed: int = 0
    """Of the order of crops, their places and variations."""

    def __post_init__(self) -> None:
        if (self.blurry is None) != (self.sharp is None):
            raise ValueError("blurry and sharp go together")
        named = [bool(self.crops), self.blurry is not None, self.data_set is not None]
        if sum(named) != 1:
            raise ValueError("name the data: either crops, or blurry and sharp, or data_set")
        if (self.left is None) != (self.right is None):
            raise ValueError("left and right go together")
        if self.left is not None and self.blurry is None:
            raise ValueError("left and right are views of the photos in blurry: name that too")
        if self.uses_views and (self.data_set is None or self.layout != "dpdd"):
            raise ValueError("uses_views is for data_set with the layout dpdd; else left and right")
        if self.data_set is not None and self.layout not in LAYOUTS:
            raise ValueError(f"layout is one of {', '.join(LAYOUTS)}, not {self.layout!r}")
        if self.network not in SIZES:
            raise ValueError(f"network is one of {', '.join(SIZES)}, not {self.network!r}")
        if both := sorted(set(self.held_out) & set(self.left_out)):
            raise ValueError(f"held_out and left_out both name {both[0]}")
        if self.crops and (self.held_out or self.left_out):
            raise ValueError("held_out and left_out are for pairs of photos: take validation")
        if min(self.epochs) < 0 or self.total_epochs <= 0:
            raise ValueError("epochs are 0 or more, and not all 0: nothing would be trained")

    @property
    def total_epochs(self) -> float:
        """Of all stages."""
        return sum(self.epochs)
