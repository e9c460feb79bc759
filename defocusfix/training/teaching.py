"""Teachers: trained networks whose mean over mirrored and turned views another network learns.

A network restores a photo a little differently when it is mirrored or turned, and two networks
restore it differently; the mean over all of it errs less than each (what `restore --best` is for).
A network that is trained on what they restore learns that mean, and keeps the cost of one pass.
The mean is taken before training: what a single answer has of its own is larger than what is left
to learn (`benchmarks/teachers.py`), so a network that is shown one answer at a time learns mostly
noise. Source: distillation of ensembles, Hinton et al.,
arXiv 1503.02531; over views of one network, Radosavovic et al., Data Distillation, CVPR 2018.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from defocusfix.catalogue.verify import sha256_of
from defocusfix.errors import UsageError
from defocusfix.networks.build import build_network
from defocusfix.networks.focusnet import FocusNet
from defocusfix.networks.pyramid import restore_levels
from defocusfix.training.losses import mean_square
from defocusfix.training.weights import read_weights


@dataclass(frozen=True, slots=True)
class View:
    """How a picture is shown to a network."""

    quarter_turns: int
    """0 to 3, counter-clockwise."""
    is_mirrored: bool
    """Left and right swapped, before it is turned."""

    def shown(self, values: Tensor) -> Tensor:
        """`values` (B, C, H, W), as the network sees them; H and W swap at odd turns."""
        mirrored = values.flip(-1) if self.is_mirrored else values
        return torch.rot90(mirrored, self.quarter_turns, (-2, -1))

    def answered(self, values: Tensor) -> Tensor:
        """What the network made of it (B, C, H, W), the way the picture lies."""
        upright = torch.rot90(values, -self.quarter_turns, (-2, -1))
        return upright.flip(-1) if self.is_mirrored else upright


ERROR_PER_CHANGE, LEAST_ERROR = 4.0, 1e-4
VIEWS = tuple(View(turns, mirrored) for turns in range(4) for mirrored in (False, True))


class Teachers:
    """Networks that only answer."""

    def __init__(self, files: Sequence[Path], *, views: int, device: torch.device) -> None:
        """Read the weights (.safetensors) of FocusNets; one that is named twice counts twice.

        views: how many views are asked about for each time that one is named.
        Raises ModelError where a file cannot be read, UsageError where it is of another kind or
        named more often than there are views for.
        """
        self._device = device
        self._asked: list[tuple[FocusNet, int]] = []  # each, and about how many views
        for file, times in Counter(files).items():
            if times * views > len(VIEWS):
                raise UsageError(
                    f"{file} would be asked about {times * views} views",
                    why=f"there are {len(VIEWS)}, and asking twice about one brings nothing",
                    fix="fewer views, or naming it fewer times",
                )
            self._asked.append((_teacher(file).to(device), times * views))
        self.facts = [f"{sha256_of(file)}, views {views}" for file in files]
        """What tells them from others, a line each."""

    @property
    def passes(self) -> int:
        """How many answers there are to one picture."""
        return sum(count for _, count in self._asked)

    @property
    def size_multiple(self) -> int:
        """What the sides of pictures must divide by."""
        return max(t.size_multiple * 2 ** (t.levels - 1) for t, _ in self._asked)

    @torch.no_grad()
    def answer(self, image: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Mean of what they make of `image` (B, 3, H, W) in [0, 1], each in views drawn from `rng`.

        Returns restored (B, 3, H, W), not clamped, and radius_px (B, 1, H, W), float32, on the CPU.
        On every device it is computed in bf16, whose errors the mean evens out.
        """
        image = image.to(self._device).contiguous(memory_format=torch.channels_last)
        total = torch.zeros(len(image), 4, *image.shape[-2:], device=self._device)
        for network, count in self._asked:
            for number in rng.permutation(len(VIEWS))[:count]:
                view = VIEWS[number]
                with torch.autocast(self._device.type, torch.bfloat16):
                    answer = restore_levels(network, view.shown(image), network.levels)[0]
                total += view.answered(torch.cat([part.float() for part in answer], dim=1))
        mean = (total / self.passes).cpu()
        return mean[:, :3], mean[:, 3:]


def _teacher(file: Path) -> FocusNet:
    weights, spec = read_weights(file)
    network = build_network(spec.architecture)
    if not isinstance(network, FocusNet):
        raise UsageError(
            f"{file} cannot teach", why=f"it is {spec.architecture!r}, and only FocusNets are asked"
        )
    network.load_state_dict(weights)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval()


def expected_error(image: Tensor, answer: Tensor) -> Tensor:
    """Mean square error (B,) that teachers' `answer` to `image`, both (B, C, H, W), has itself.

    What they change tells: of 400 rendered pairs, the four teachers of the bundled weights miss the
    truth by 3.8 times that (median where they change anything; 4.9 times in the sum). Where they
    change nothing there is still noise, softness and what they took for sharp, 1e-4 and more.
    """
    return ERROR_PER_CHANGE * mean_square(answer, image) + LEAST_ERROR
