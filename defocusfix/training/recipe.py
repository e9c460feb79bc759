"""A training recipe as data: what differs between methods, and nothing else.

A `Recipe` names its modules and lists its stages. A `Stage` has a length, a stream of batches, one
forward pass per step and its turns. A `Turn` says which modules may change, which loss terms it
lowers with which weights, and how often. The trainer plays recipes without knowing their names.

Three rules a recipe keeps:

- `Stage.forward` runs once per step. A turn that trains a module used by `forward` must be the
  last of the step (PyTorch raises otherwise); earlier turns detach what they take from `outputs`.
- Batch k depends on its number only, never on a global generator, so that a resumed run and a run
  on several processes see the same data. Dropout may use torch's generator: it is seeded per step
  and process. What all processes must share is drawn from (seed, step, repetition).
- Schedules are functions of `Progress`; a network holds no counter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from defocusfix.network_spec import NetworkSpec

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where in its stage a step stands."""

    stage: str
    step: int
    """Steps of this stage already done; 0 at its first step."""
    steps: int
    """Length of the stage in steps; with a schedule by time, only its share of the run."""
    time_fraction: float | None = None
    """Share of the stage's time that is over; None where the schedule follows the steps."""
    repetition: int = 0
    """How often the present turn was already made in this step; see `Turn.repeat`."""

    @property
    def fraction(self) -> float:
        """Share of the stage that is over, 0 at its start and 1 at its end."""
        if self.time_fraction is not None:
            return self.time_fraction
        return self.step / self.steps


@dataclass(frozen=True, slots=True)
class Turn:
    """One optimiser move inside a step: what may change, and what it lowers."""

    trains: tuple[str, ...]
    """Modules that this turn changes; no other module receives a gradient."""
    weights: Mapping[str, float]
    """Weight of every term; its keys are exactly those that `terms` returns."""
    terms: Callable[[Tensors, Tensors, Progress], Tensors]
    """(outputs, batch, progress) -> scalar loss terms, unweighted, by name."""
    repeat: int = 1
    """How often the move is made in one step; `terms` is computed anew each time."""

    def __post_init__(self) -> None:
        if not self.trains or not self.weights:
            raise ValueError("a turn trains at least one module by at least one term")
        if self.repeat < 1:
            raise ValueError(f"a turn is played at least once, got repeat={self.repeat}")


@dataclass(frozen=True, slots=True)
class Moves:
    """What a step computes and moves, apart from the stage that it belongs to."""

    forward: Callable[[Tensors, Progress], Tensors]
    """As of `Stage`."""
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run with one kind of data, one forward pass and fixed turns."""

    name: str
    steps: int
    batch: Callable[[int, int, int], Tensors]
    """(step, rank, world) -> this process's slice of the joint batch of that step.

    Called in background threads, ahead of its use; the first axis of every tensor is the batch.
    """
    forward: Callable[[Tensors, Progress], Tensors]
    """(batch, progress) -> outputs, kept for all turns of the step."""
    turns: tuple[Turn, ...]
    learning_rate: Callable[[Progress], float]
    clip: float = 1.0
    """Largest gradient norm of a turn; longer gradients are shortened to it."""

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.turns:
            raise ValueError(f"stage {self.name!r} needs at least one step and one turn")
        terms = [name for turn in self.turns for name in turn.weights]
        if len(terms) != len(set(terms)):
            raise ValueError(f"stage {self.name!r} uses a term's name in two turns: {terms}")


@dataclass(frozen=True, slots=True)
class OptimiserConfig:
    """How one module is optimised."""

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 1.0
    """Factor on the stage's learning rate."""
    weight_decay: float = 0.0
    """Decoupled: each step takes this share, times the learning rate, off every weight."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of AdamW's two averages; Muon uses AdamW for vectors and for `adamw_only`."""
    momentum: float = 0.95
    """Muon only: decay of the (Nesterov) momentum."""
    adamw_only: tuple[str, ...] = ()
    """Muon only: prefixes of parameter names left to AdamW, such as first and last layers."""

    def __post_init__(self) -> None:
        if self.name not in ("adamw", "muon"):
            raise ValueError(f"optimisers are adamw and muon, not {self.name!r}")


@dataclass(frozen=True, slots=True)
class Validation:
    """What a look at the network in mid-training found."""

    metrics: dict[str, float]
    score: float
    """How good the network is, the higher the better; the best one seen is kept."""
    pictures: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    """(H, W, 3) RGB by file-name stem."""
    each: tuple[Mapping[str, str | float], ...] = ()
    """Figures of each photo, where there are some; kept beside the metrics."""
    told: str = ""
    """What is said of it; empty for the metrics as they are."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole training method."""

    name: str
    modules: dict[str, nn.Module]
    stages: tuple[Stage, ...]
    inference: str
    """The module that is averaged over the steps, validated and exported."""
    spec: NetworkSpec
    """Facts about the inference module."""
    validate: Callable[[nn.Module], Validation] | None = None
    """Looks at the averaged inference module, in eval mode and without gradients."""
    optimisers: Mapping[str, OptimiserConfig] = field(default_factory=dict)
    """By module name; modules that are not named get AdamW with its defaults."""
    looked_at: tuple[str, ...] = ()
    """Modules of which `validate` tells something; none for the inference module alone."""

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError(f"recipe {self.name!r} has no stages")
        names = [stage.name for stage in self.stages]
        if len(names) != len(set(names)):
            raise ValueError(f"recipe {self.name!r} uses a stage's name twice: {names}")
        named = {self.inference, *self.optimisers, *self.looked_at}
        named |= {name for stage in self.stages for turn in stage.turns for name in turn.trains}
        if unknown := sorted(named - self.modules.keys()):
            raise ValueError(f"recipe {self.name!r} has no modules {unknown}")
