"""FocusNet: defocus map and restoration of one pyramid level (our own architecture).

image  (B, 3, H, W) in [0, 1], H and W multiples of 16
coarse (B, 4, H/2, W/2): the restored image of the next coarser level and its radius map in
       pixels of that level; at the coarsest level the 2x2-averaged image and radius -1
->  restored (B, 3, H, W), unclamped; radius_px (B, 1, H, W) >= 0, in pixels of this level

The same weights serve every level: blur of radius 16 at full size is blur of radius 4 at quarter
size, where a small network can undo it for a sixteenth of the cost. Each level starts from the
correction found one level below, so strong blur is undone coarse to fine (in the manner of
scale-recurrent networks, Tao et al., CVPR 2018), and the map too is read coarse first.

The map has a branch of its own, since a head on the shared trunk stalls the trunk. Its radius
enters the trunk as one more input (the fusion of reblurring-guided learning, arXiv 2409.17792,
with a scalar radius) and, through a fixed ramp, gates the correction: regions that are in focus
come out exactly as they went in. Plain 3x3 convolutions with ReLU, no normalisation and no global
pooling: tiles of one photo agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defocusfix.networks.blocks import (
    ResidualBlock,
    after_unshuffle,
    enlarged_unshuffled,
    halved,
    in_short_numbers,
    number_by_number,
    shuffled,
    twice_as_large,
)

GATE_CLOSED_PX = 0.25  # radius up to which a region counts as in focus
GATE_OPEN_PX = 0.65  # radius from which it is restored in full
RADIUS_UNIT_PX = 4.0  # networks see the radius in units of the blur they undo best


@dataclass(frozen=True, slots=True)
class Shape:
    """How wide and how deep a `ResidualUNet` is."""

    widths: tuple[int, ...]
    """Channels by size, the largest first; the last is that of the middle."""
    encoder_blocks: tuple[int, ...]
    """Residual blocks on the way down, by size."""
    decoder_blocks: tuple[int, ...]
    """Residual blocks on the way up, the largest size first as well."""
    middle: int
    """Residual blocks at the smallest size."""
    middle_hidden: int | None = None
    """Channels inside the blocks of the middle; None for as many as its width."""


class ResidualUNet(nn.Module):
    """Features in, features out, at one size; halves the size once per further width."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        *widths, deepest = shape.widths
        pairs = list(pairwise(shape.widths))
        self.encoders = nn.ModuleList(map(_blocks, widths, shape.encoder_blocks))
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.middle = _blocks(deepest, shape.middle, shape.middle_hidden)
        self.ups = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairs)
        self.decoders = nn.ModuleList(map(_blocks, widths, shape.decoder_blocks))

    def forward(self, features: Tensor) -> Tensor:
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            features = encoder(features)
            skips.append(features)
            features = down(features)  # (B, wider, H/2, W/2)
        features = self.middle(features)
        for decoder, up, skip in reversed(list(zip(self.decoders, self.ups, skips, strict=True))):
            features = decoder(
                twice_as_large(features, cast(nn.Conv2d, up)) + skip
            )  # (B, narrower, 2H, 2W)
        return features


class MapBranch(nn.Module):
    """Reads the blur radius from the photo and what the coarser level thought of it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.head = nn.Conv2d(3 * 16 + 2, shape.widths[0], 3, padding=1)
        self.body = ResidualUNet(shape)
        self.tail = nn.Conv2d(shape.widths[0], 4, 3, padding=1)

    def forward(self, image: Tensor, coarse_radius: Tensor) -> Tensor:
        """Radius (B, 1, H/2, W/2) >= 0 in pixels; `coarse_radius` (B, 1, H/2, W/2), -1 unknown."""
        known = number_by_number(lambda r: (r >= 0).to(image.dtype), coarse_radius)
        prior = number_by_number(lambda r: r.clamp_min(0) * (2 / RADIUS_UNIT_PX), coarse_radius)
        hints = F.avg_pool2d(torch.cat([prior, known], dim=1), 2)  # (B, 2, H/4, W/4)
        features = self.body(after_unshuffle(image - 0.5, hints, self.head, 4))  # at H/4, W/4
        change = F.pixel_shuffle(self.tail(features), 2)  # (B, 1, H/2, W/2)
        return number_by_number(_radius, change, prior)


class FocusNet(nn.Module):
    """Map branch, gate and restoring trunk; see the description of this file."""

    size_multiple = 16
    # A result depends on 337 px around it at most; from beyond this the bundled weights bring less
    # than a step of 1/255 (benchmarks/halo.py).
    halo = 80
    outputs = ("restored", "radius_px")

    def __init__(self, trunk: Shape, branch: Shape, *, levels: int) -> None:
        """levels: how many levels of a photo it is trained for and restores."""
        super().__init__()
        self.levels = levels
        self.map = MapBranch(branch)
        self.head = nn.Conv2d(4 * 6 + 1, trunk.widths[0], 3, padding=1)
        self.body = ResidualUNet(trunk)
        self.tail = nn.Conv2d(trunk.widths[0], 12, 3, padding=1)
        self.apply(_start_at_unit_gain)

    def forward(self, image: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        radius = self.map(image, coarse[:, 3:])  # (B, 1, H/2, W/2)
        restored = self.restore(image, coarse[:, :3], radius.detach())
        return restored, shuffled(enlarged_unshuffled(radius))

    def restore(self, image: Tensor, coarse_restored: Tensor, radius: Tensor) -> Tensor:
        """The restored image, given the radius map (B, 1, H/2, W/2) in pixels of this level."""
        correction = enlarged_unshuffled(coarse_restored - halved(image))  # (B, 12, H/2, W/2)
        others = torch.cat([correction, radius / RADIUS_UNIT_PX], dim=1)
        features = after_unshuffle(image - 0.5, others, self.head, 2)
        refined = self.tail(self.body(features))  # (B, 12, H/2, W/2)
        openness = enlarged_unshuffled(number_by_number(gate, radius), copies=3)
        change = shuffled(in_short_numbers(openness * (correction + refined)))  # (B, 3, H, W)
        return number_by_number(torch.add, image, change)


def gate(radius_px: Tensor) -> Tensor:
    """How much of the correction a region gets: 0 in focus, 1 clearly out of focus."""
    ramp = ((radius_px - GATE_CLOSED_PX) / (GATE_OPEN_PX - GATE_CLOSED_PX)).clamp(0, 1)
    return ramp * ramp * (3 - 2 * ramp)


MAP_S = Shape(widths=(32, 64, 96), encoder_blocks=(1, 1), decoder_blocks=(1, 1), middle=3)


def focusnet_s() -> FocusNet:
    """The network of the bundled weights up to 0.6.0, of a size for a laptop's processor."""
    trunk = Shape((32, 64, 128, 256), encoder_blocks=(1, 2, 2), decoder_blocks=(1, 2, 2), middle=4)
    return FocusNet(trunk, MAP_S, levels=3)


def focusnet_s2() -> FocusNet:
    """The network of the bundled weights: focusnet-s without what is silent in its weights.

    In all of them, the ReLUs of the middle let nothing through but in some 40 of 1024 channels, and
    none in a block above it (`benchmarks/silent_channels.py`), at more than a quarter of the work.
    """
    trunk = Shape(
        (32, 64, 128, 256),
        encoder_blocks=(1, 2, 1),
        decoder_blocks=(1, 2, 2),
        middle=2,
        middle_hidden=48,
    )
    return FocusNet(trunk, MAP_S, levels=3)


def _start_at_unit_gain(module: nn.Module) -> None:
    """First weights under which features keep their size from end to end.

    PyTorch's own (gain 1/sqrt(3) per convolution) starve a deep network without normalisation.
    Residual branches start at half gain, so that ten of them do not blow up the trunk.
    """
    gains: dict[nn.Module, float] = {}
    if isinstance(module, ResidualBlock):
        gains = {module.expand: math.sqrt(2), module.project: 0.5}
    elif isinstance(module, ResidualUNet):
        gains = dict.fromkeys([*module.downs, *module.ups], 1.0)
    elif isinstance(module, MapBranch | FocusNet):
        gains = {module.head: 1.0, module.tail: 0.1}
    for convolution, gain in gains.items():
        weight, bias = convolution.parameters()
        nn.init.normal_(weight, std=gain / math.sqrt(weight[0].numel()))
        nn.init.zeros_(bias)


def _blocks(width: int, count: int, hidden: int | None = None) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width, hidden) for _ in range(count)))


def _radius(change: Tensor, prior: Tensor) -> Tensor:
    """In pixels, of what the map branch found and what the coarser level had told it."""
    return F.softplus(2 * (change + prior)) * (RADIUS_UNIT_PX / 2)
