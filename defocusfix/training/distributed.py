"""Several processes as one: ranks, and gradients averaged by hand.

No wrapper around the networks: a recipe may freeze them, use them twice or differentiate them
twice. The price is that communication does not overlap with the backward pass.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that train together."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the run folder and talks."""
        return self.rank == 0


def local_rank() -> int:
    """Number of this process on its own machine, 0 where it is alone."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def process_number() -> int:
    """Number of this process among all of them, 0 where it is alone."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes torchrun started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined_processes(device_type: str) -> Iterator[Processes]:
    """Join the processes that torchrun started, as its environment variables say; or be alone.

    device_type: `cuda` talks through NCCL, everything else through Gloo.
    """
    if world_size() == 1:
        yield Processes()
        return
    distributed.init_process_group("nccl" if device_type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace every gradient by its mean over all processes; nothing to do for one process.

    The mean over equal slices is the gradient of the joint batch's mean loss. Every process must
    have gradients for the same parameters, which holds since all run the same recipe.
    """
    if not _many():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    joint = torch.cat([gradient.reshape(-1).float() for gradient in gradients])
    distributed.all_reduce(joint)
    joint /= distributed.get_world_size()
    start = 0
    for gradient in gradients:
        part = joint[start : start + gradient.numel()]
        gradient.copy_(part.view(gradient.shape))
        start += gradient.numel()


def average(values: Tensor) -> Tensor:
    """The mean of `values` over all processes, the same on each."""
    if _many():
        distributed.all_reduce(values)
        values = values / distributed.get_world_size()
    return values


def from_first(values: list[float], device: torch.device) -> list[float]:
    """What process 0 passed, on every process: clocks and signals differ, decisions must not."""
    if not _many():
        return values
    shared = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.broadcast(shared, src=0)
    return [float(value) for value in shared.tolist()]


def _many() -> bool:
    return distributed.is_available() and distributed.is_initialized()
