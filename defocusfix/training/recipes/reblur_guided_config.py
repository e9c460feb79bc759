"""Settings of the reblurring-guided recipe. Each names the reference's value where ours differs.

The preset `paper` takes the reference throughout, `recommended` is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from defocusfix.networks.build import BUILDERS
from defocusfix.networks.reblur import PseudoTruthConfig, ReblurConfig
from defocusfix.pairs.crops import PairSettings
from defocusfix.pairs.find import Matching
from defocusfix.pairs.layouts import LAYOUTS
from defocusfix.training.deformation import Grid, Interpolation, MaskKind


@dataclass(frozen=True, slots=True)
class DeformationConfig:
    """How output and target are laid over each other; the defaults are what we recommend."""

    flow: Literal["dis", "raft", "none"] = "dis"
    """dis: OpenCV's dense inverse search. raft: RAFT-small. none: compared as they are.
    Reference: PWC-Net."""
    raft_weights: Path | None = None
    """Weights of torchvision's raft_small (.pth), for flow = "raft"."""
    warm_up: bool = False
    """Whether in the warm-up too the target is deformed, onto the input. Onto a photo that is out
    of focus, a flow lays it worse than one alignment of the whole photo does. Reference: yes."""
    smoothing_px: float = 8.0
    """Sigma of a Gaussian over the flow, 0 for none: where a photo is out of focus, fine detail of
    a flow is mostly error. Reference: 0."""
    mask: MaskKind = "calibration"
    """Where a flow is trusted. calibration: near the mean motion, by Middlebury's colours.
    consistency: where it leads back. none: everywhere. Reference: calibration."""
    interpolation: Interpolation = "bicubic"
    """Between pixels, when warping; bilinear softens the target. Reference: bilinear."""
    grid: Grid = "centred"
    """centred: a zero flow changes nothing. reference: it stretches by up to half a pixel."""

    def __post_init__(self) -> None:
        if (self.flow == "raft") != (self.raft_weights is not None):
            raise ValueError("flow = 'raft' and raft_weights go together")
        if self.smoothing_px < 0:
            raise ValueError(f"smoothing_px is 0 or more, got {self.smoothing_px}")


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of the reblurring-guided recipe; the defaults are what we recommend."""

    blurry: Path | None = None
    """Folder of the blurred photos; goes with `sharp`."""
    sharp: Path | None = None
    """Folder of the sharp photos."""
    matching: Matching = "auto"
    """How photos of the two folders are paired: by name, by order, or auto."""
    data_set: Path | None = None
    """Instead of two folders: where a known data set lies."""
    layout: str = "sdd"
    """Which one it is: sdd, dpdd, ded, lfdof or pairs."""
    held_out: tuple[str, ...] = ()
    """Names of pairs that are not learnt from, but looked at in mid-training."""
    left_out: tuple[str, ...] = ()
    """Names of pairs that are used for nothing, such as those that `data check` rejects."""
    data: PairSettings = field(default_factory=PairSettings)
    """How crops are taken."""
    training_data: str = ""
    """What the weights say they were trained on."""
    licence: str = ""
    """Licence that the weights carry; that of the data and of `start_from` decides."""
    network: str = "focusnet-s"
    """seeded-unet, seeded-restormer, seeded-focusnet-s, or focusnet-s, whose own radius map takes
    the place of the seeds; with map_weight = 0 any other too; see networks/build.py."""
    start_from: Path | None = None
    """Weights (.safetensors) of the network, or of its backbone alone, to go on from."""
    trains: tuple[str, ...] = ()
    """Parts of the network that learn, by name, as head, body, tail and map of focusnet-s; empty
    for all of them."""
    reblur: ReblurConfig = field(default_factory=ReblurConfig)
    """The reblurring module."""
    reblur_kernels: Literal["radial", "free"] = "radial"
    """radial: isotropic kernels of seven sizes. free: one 15 x 15 kernel of any shape, an ablation;
    no map can be taken from it, so map_weight must be 0."""
    kernels_from: Literal["output", "target"] = "target"
    """What the reblurring module learns to blur: the network's output, or the target, laid onto it.
    From the target it learns the lens whatever the network can do yet, and is not content with a
    soft output, which is easily blurred again. Reference: output."""
    pseudo_truth: PseudoTruthConfig = field(default_factory=PseudoTruthConfig)
    """What of the reblurring module teaches the network's estimate of the blur."""
    deformation: DeformationConfig = field(default_factory=DeformationConfig)
    """Flow, warp and masks."""
    to_output_weight: float = 1.0
    """Of the loss between the output and the target deformed onto it."""
    to_target_weight: float = 1.0
    """Of the loss between the target and the output deformed onto it."""
    reblur_weight: float = 0.1
    """Of the loss between the input and the output blurred again; 0 leaves it out. As long as the
    kernels are not exact, it draws the output to what they can blur. Reference: 0.5."""
    map_weight: float = 0.5
    """Of the loss between the network's estimate of the blur and the kernels, in units of the
    seeds, or in pixels where the estimate is a radius; 0 leaves it out. Recommended: 0 for a
    focusnet-s that is trained already. Reference: 0.5."""
    reblur_epochs: float = 0.0
    """Length of the first stage, in which only the reblurring module learns. Reference: none."""
    warm_up_epochs: float = 15.0
    """Length of the stage in which the target is aligned to the input and the seeds fade in."""
    warm_up_trains: Literal["all", "fusion"] = "all"
    """Whether the warm-up moves the whole network or its estimator and fusion only."""
    warm_up_reblurs: bool = False
    """Whether the reblurring module learns in the warm-up from what the network restores, without
    teaching it, so that it is ready when its losses count. Reference: no."""
    full_epochs: float = 185.0
    """Length of the stage with all losses."""
    samples_per_epoch: int = 0
    """Crops per epoch; 0 for one of each pair."""
    batch_size: int = 4
    """Crops per step, over all processes. Reference: 1."""
    learning_rate: float = 1e-5
    """At its peak. Reference: 1e-5."""
    reblur_rate: float = 1.0
    """Factor on the learning rate of the reblurring module."""
    decay: Literal["cosine", "halving"] = "cosine"
    """How the learning rate falls over the run. Reference: halving."""
    halve_every: float = 70.0
    """Epochs until the learning rate is halved, for decay = "halving"."""
    clip: float = 1.0
    """Largest gradient norm; inf for none. Reference: none."""
    seed: int = 0
    """Of the order of crops, their places and variations."""

    def __post_init__(self) -> None:
        if (self.blurry is None) != (self.sharp is None):
            raise ValueError("blurry and sharp go together")
        if (self.blurry is None) == (self.data_set is None):
            raise ValueError("name the data: either blurry and sharp, or data_set")
        if self.data_set is not None and self.layout not in LAYOUTS:
            raise ValueError(f"layout is one of {', '.join(LAYOUTS)}, not {self.layout!r}")
        if self.network not in BUILDERS:
            raise ValueError(f"network is one of {', '.join(BUILDERS)}, not {self.network!r}")
        if both := sorted(set(self.held_out) & set(self.left_out)):
            raise ValueError(f"held_out and left_out both name {both[0]}")
        if self.reblur_kernels == "free" and self.map_weight:
            raise ValueError("free kernels say nothing of the blur's size: map_weight must be 0")
        if (self.reblur_epochs or self.warm_up_reblurs) and not self.reblurs:
            raise ValueError(
                "reblur_epochs and warm_up_reblurs need reblur_weight or map_weight above 0"
            )
        if max(self.to_output_weight, self.to_target_weight) <= 0:
            raise ValueError("to_output_weight or to_target_weight must be above 0")
        if self.total_epochs <= 0:
            raise ValueError("all stages have 0 epochs: nothing would be trained")

    @property
    def reblurs(self) -> bool:
        """Whether a loss needs the reblurring module."""
        return self.reblur_weight > 0 or self.map_weight > 0

    @property
    def total_epochs(self) -> float:
        """Of all stages."""
        return self.reblur_epochs + self.warm_up_epochs + self.full_epochs
