"""One training pair on the processor, ready to be stored or sent: arrays, no tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from defocusfix.rendering.photos import PhotoLibrary
from defocusfix.rendering.render import render
from defocusfix.rendering.workers import draw

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class RenderedPair:
    """A photo out of focus, the same in focus, and the exact blur radius."""

    blurred: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    all_in_focus: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    radius_px: NDArray[np.float16]
    """(H/2, W/2), signed, in pixels of the full-size pair."""


def rendered_pair(library: PhotoLibrary | None, seed: int, size: int, number: int) -> RenderedPair:
    """Pair `number` of a seed, (size, size); whoever calls it decides on torch's threads."""
    # One at a time: on a processor, padding to the largest of a batch only costs.
    batch = render([draw(library, seed, size, number)], CPU)
    return RenderedPair(
        batch.blurred[0].numpy(), batch.all_in_focus[0].numpy(), batch.radius_px[0].half().numpy()
    )
