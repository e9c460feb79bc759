"""The average of a network's weights over the steps: what is validated and exported."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a module's weights, kept in a copy of the module.

    In its first steps the average is short, min(decay, (1 + n) / (10 + n)) after n updates, so
    that it forgets the random start.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """decay: share of the average that stays, in [0, 1); 0 follows the module exactly."""
        if not 0 <= decay < 1:
            raise ValueError(f"the decay of an average lies in [0, 1), got {decay}")
        self.decay = decay
        self.updates = 0
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self._source = module

    @torch.no_grad()
    def update(self) -> None:
        """Take the module's present weights into the average."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages, weights = _floats(self.module), _floats(self._source)
        torch._foreach_lerp_(averages, weights, 1 - decay)
        for kept, new in zip(_others(self.module), _others(self._source), strict=True):
            kept.copy_(new)


def _floats(module: nn.Module) -> list[Tensor]:
    return [t.detach() for t in module.state_dict().values() if t.is_floating_point()]


def _others(module: nn.Module) -> list[Tensor]:
    return [t for t in module.state_dict().values() if not t.is_floating_point()]
