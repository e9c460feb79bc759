"""A whole picture through a network that works level by level, in torch.

The same rule as the restorer's, which runs exported networks in tiles: pyramid by 2x2 averages,
coarsest level first, each level handed the coarser one's restored image and radius map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defocusfix.network_spec import RADIUS_UNKNOWN


def image_pyramid(image: Tensor, levels: int) -> list[Tensor]:
    """`image` (B, C, H, W) and its 2x2 averages, finest first; sides divide by 2**(levels-1)."""
    pyramid = [image]
    for _ in range(levels - 1):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    return pyramid


def nothing_known(image: Tensor) -> Tensor:
    """What the coarsest level gets as `coarse` (B, 4, H/2, W/2) for `image` (B, 3, H, W)."""
    below = F.avg_pool2d(image, 2)
    return torch.cat([below, torch.full_like(below[:, :1], RADIUS_UNKNOWN)], dim=1)


def restore_levels(network: nn.Module, image: Tensor, levels: int) -> list[tuple[Tensor, Tensor]]:
    """(restored, radius_px) of every level, finest first, for `image` (B, 3, H, W) in [0, 1].

    H and W are multiples of the network's size multiple times 2**(levels-1).
    """
    found: list[tuple[Tensor, Tensor]] = []
    coarse: Tensor | None = None
    for view in reversed(image_pyramid(image, levels)):
        restored, radius = network(view, nothing_known(view) if coarse is None else coarse)
        coarse = torch.cat([restored, radius], dim=1)
        found.insert(0, (restored, radius))
    return found
