"""Settings of the reblurring-guided recipe. Each names the reference's value where ours differs.

The preset `paper` takes the reference throughout, `recommended` is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from defocusfix.networks.build import BUILDERS
from defocusfix.training.guidance import Guidance
from defocusfix.training.pair_data import PairChoice


@dataclass(frozen=True, slots=True)
class Config(PairChoice, Guidance):
    """Settings of the reblurring-guided recipe, beside its pairs and its losses.

    The defaults are what we recommend.
    """

    training_data: str = ""
    """What the weights say they were trained on."""
    licence: str = ""
    """Licence that the weights carry; that of the data and of `start_from` decides."""
    network: str = "focusnet-s2"
    """seeded-unet, seeded-restormer, seeded-focusnet-s2, or focusnet-s2, whose own radius map takes
    the place of the seeds; with map_weight = 0 any other too; see networks/build.py."""
    start_from: Path | None = None
    """Weights (.safetensors) of the network, or of its backbone alone, to go on from."""
    trains: tuple[str, ...] = ()
    """Parts of the network that learn, by name, as head, body, tail and map of focusnet-s2; empty
    for all of them."""
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
    decay: Literal["cosine", "halving"] = "cosine"
    """How the learning rate falls over the run. Reference: halving."""
    halve_every: float = 70.0
    """Epochs until the learning rate is halved, for decay = "halving"."""
    clip: float = 1.0
    """Largest gradient norm; inf for none. Reference: none."""
    seed: int = 0
    """Of the order of crops, their places and variations."""

    def __post_init__(self) -> None:
        PairChoice.__post_init__(self)
        Guidance.__post_init__(self)
        if not self.is_named:
            raise ValueError("name the data: either blurry and sharp, or data_set")
        if self.network not in BUILDERS:
            raise ValueError(f"network is one of {', '.join(BUILDERS)}, not {self.network!r}")
        if (self.reblur_epochs or self.warm_up_reblurs) and not self.reblurs:
            raise ValueError(
                "reblur_epochs and warm_up_reblurs need reblur_weight or map_weight above 0"
            )
        if self.total_epochs <= 0:
            raise ValueError("all stages have 0 epochs: nothing would be trained")

    @property
    def total_epochs(self) -> float:
        """Of all stages."""
        return self.reblur_epochs + self.warm_up_epochs + self.full_epochs
