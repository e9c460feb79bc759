"""Signed defocus maps of the learnable blur kernel (AAAI 2023, arXiv 2211.14017), "KernelEDNet".

views (B, 6, H, W) in [0, 1]  ->  signed blur level (B, 3, H, W) in [-24, 24], one per colour.

The views are the left and the right one of a dual-pixel sensor. Of a single photo, both are the
photo: a first convolution for three channels could learn nothing else, since weights for two equal
views act as their sum. A level is a radius in pixels, as the kernels stand for it; which sign is
in front of the plane of focus and which behind is for the kernels to say.
3,306,755 parameters; H and W are multiples of 16; attention looks at the whole picture, so tiles
of one photo agree only roughly. Source: methods 3.2.2, after the authors' code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defocusfix.networks.kernel_bank import LEVELS, KernelBank
from defocusfix.networks.radial_kernels import Padding
from defocusfix.networks.rcab import BranchLayer

HALVINGS = 4
COLOURS = 3
HALO = 128  # px around a tile that matter; the receptive field is wider, and attention wider still
OVERLAP = 32  # px in which tiles are cross-faded, since they agree only roughly


@dataclass(frozen=True, slots=True)
class BlurMapConfig:
    """Sizes of the estimator and of the bank of kernels; the defaults are the reference's."""

    width: int = 64
    """Channels. Reference: 64."""
    branches: tuple[int, ...] = (0, 1, 1, 2)
    """Residual attention blocks in each layer of each parallel branch; a branch of 0 stays at full
    size. Reference: 0, 1, 1, 2, from "kernel sizes" 1, 4, 4, 7."""
    levels: int = LEVELS
    """Levels of the kernels; the map reaches one less to either side. Reference: 25."""

    def __post_init__(self) -> None:
        if self.width < 1 or not self.branches or self.levels < 2:
            raise ValueError("width is at least 1, levels at least 2, and there is a branch")


SIZES = {
    "blur-map": BlurMapConfig(),
    "blur-map-small": BlurMapConfig(width=16, branches=(0, 1, 1, 1), levels=9),
}
"""By the name a user types; the small one is to try things on a processor (methods 5.4)."""


class BlurMapEstimator(nn.Module):
    """views (B, 6, H, W) -> signed levels (B, 3, H, W) in [-(levels - 1), levels - 1]."""

    size_multiple = 2**HALVINGS

    def __init__(self, config: BlurMapConfig | None = None) -> None:
        super().__init__()
        config = config or BlurMapConfig()
        self.largest = config.levels - 1
        self.head = nn.Conv2d(2 * COLOURS, config.width, 3, padding=1)
        self.branches = nn.ModuleList(Branch(config.width, blocks) for blocks in config.branches)
        self.tail = nn.Conv2d(config.width, COLOURS, 3, padding=1)

    def forward(self, views: Tensor) -> Tensor:
        features = F.relu(self.head(views))  # (B, width, H, W)
        found = torch.stack([branch(features) for branch in self.branches]).sum(dim=0)
        return self.tail(found + features).clamp(-self.largest, self.largest)

    def start_in_focus(self) -> None:
        """Make the map 0 everywhere, to begin with."""
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]  # it has one


class Branch(nn.Module):
    """(B, width, H, W) -> the same, by four layers that halve the size and four that double it.

    Every layer also reads the branch's input, brought to its size by averaging.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.stays = blocks == 0
        self.down = nn.ModuleList(BranchLayer(width, blocks, "halve") for _ in range(HALVINGS))
        self.up = nn.ModuleList(BranchLayer(width, blocks, "double") for _ in range(HALVINGS))

    def forward(self, features: Tensor) -> Tensor:
        kept: list[Tensor] = []  # at 1/2, 1/4, 1/8, 1/16 of the size
        values = features
        for number, layer in enumerate(self.down):
            values = layer(values if number == 0 else values + self._pooled(features, number))
            kept.append(values)
        for number, layer in enumerate(self.up):
            depth = HALVINGS - number
            values = values + self._pooled(features, depth)
            if number > 0:
                values = values + kept[depth - 1]
            values = layer(values)
        return values

    def _pooled(self, features: Tensor, halvings: int) -> Tensor:
        return features if self.stays else F.avg_pool2d(features, 2**halvings)


class BlurMap(nn.Module):
    """Estimator and kernels: image (B, 3, H, W) -> the image as it is, radius_px (B, 1, H, W).

    It restores nothing, so that it can stand where a network that restores is asked for its map.
    The radius is that of the disc which spreads light as far as the kernels at the map's levels
    do, whatever the sign, on average over the colours.
    """

    def __init__(
        self,
        config: BlurMapConfig | None = None,
        *,
        has_sides: bool = True,
        is_normalised: bool = False,
        padding: Padding = "reflect",
    ) -> None:
        """has_sides, is_normalised, padding: see `KernelBank`."""
        super().__init__()
        config = config or BlurMapConfig()
        self.estimator = BlurMapEstimator(config)
        self.kernels = KernelBank(
            config.levels, has_sides=has_sides, is_normalised=is_normalised, padding=padding
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        radius = self.signed_radius_px(as_views(image)).abs()
        return image.clone(), radius.mean(dim=1, keepdim=True)

    def signed_radius_px(self, views: Tensor) -> Tensor:
        """Signed blur radius (B, 3, H, W) in pixels from views (B, 6, H, W)."""
        return self.kernels.radius_px(self.estimator(views))


def as_views(image: Tensor) -> Tensor:
    """One photo (B, 3, H, W) in the place of two views, (B, 6, H, W)."""
    return torch.cat([image, image], dim=1)


def blur_map_small() -> BlurMap:
    """The configuration to try things with."""
    return BlurMap(SIZES["blur-map-small"])
