"""Teachers: trained networks whose mean over mirrored and turned views another network learns.

A network restores a photo a little differently when it is mirrored or turned, and two networks
restore it differently; the mean over all of it errs less than each (what `restore --best` is for).
A network that is trained on what they restore learns that mean, and keeps the cost of one pass.
Every step asks one teacher about one view, drawn at random: the mean over steps is the mean over
views, for an eighth of the cost. Source: distillation of ensembles, Hinton et al.,
arXiv 1503.02531; over views of one network, Radosavovic et al., Data Distillation, CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from defocusfix.errors import UsageError
from defocusfix.networks.build import build_network
from defocusfix.networks.focusnet import FocusNet
from defocusfix.training.weights import read_weights


@dataclass(frozen=True, slots=True)
class Question:
    """Which teacher is asked, and how the picture is shown to it."""

    teacher: int
    quarter_turns: int
    """0 to 3, counter-clockwise."""
    is_mirrored: bool
    """Left and right swapped, before it is turned."""

    def shown(self, values: Tensor) -> Tensor:
        """`values` (B, C, H, W), as the teacher sees them; H and W swap at odd turns."""
        mirrored = values.flip(-1) if self.is_mirrored else values
        return torch.rot90(mirrored, self.quarter_turns, (-2, -1))

    def answered(self, values: Tensor) -> Tensor:
        """What the teacher made of it (B, C, H, W), the way the picture lies."""
        upright = torch.rot90(values, -self.quarter_turns, (-2, -1))
        return upright.flip(-1) if self.is_mirrored else upright


class Teachers:
    """Networks that only answer; safe to use from one thread at a time."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Read the weights (.safetensors) of one or more FocusNets.

        Raises ModelError where a file cannot be read, UsageError where it is of another kind.
        """
        self._networks = [_teacher(file) for file in files]

    def __len__(self) -> int:
        return len(self._networks)

    def question(self, rng: np.random.Generator) -> Question:
        """A teacher and a view, drawn at random, each as likely as any other."""
        teacher = int(rng.integers(len(self)))
        return Question(teacher, int(rng.integers(4)), bool(rng.integers(2)))

    @torch.no_grad()
    def answer(self, question: Question, image: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        """(restored, radius_px) of one level, as FocusNet returns them for `image` and `below`."""
        network = self._networks[question.teacher]
        network.to(image.device)
        restored, radius = network(question.shown(image), question.shown(below))
        return question.answered(restored), question.answered(radius)


def _teacher(file: Path) -> FocusNet:
    weights, spec = read_weights(file)
    network = build_network(spec.architecture)
    if not isinstance(network, FocusNet):
        raise UsageError(
            f"{file} cannot teach", why=f"it is {spec.architecture!r}, and only FocusNets are asked"
        )
    network.load_state_dict(weights)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval()
