"""Generator of DefocusGAN (AAAI 2023, arXiv 2211.14017).

image (B, 3, H, W) in [0, 1], H and W multiples of 16  ->  restored (B, 3, H, W) in (0, 1).
4,860,675 parameters. Channel attention takes means over the whole picture: tiles of one photo agree
only roughly, whatever their halo.

Four branches of growing depth read the same features. While the network learns, each can be kept to
the places whose blur suits it: a map of the blur masks what the branches give, and `masking` says
how far. Without a map, and at test time there is none, their sum is taken as it is. The same layers
run three times: at full size, at a quarter of it on what the first pass gave, and at an eighth on
what the second gave.

Departures from the authors' code: that counts its own steps, here `masking` comes from outside; it
makes two 3x3 convolutions of 36,928 parameters that it never uses, which are left out (with them
it has 4,934,531). `own_names` gives its published weights the names used here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defocusfix.networks.rcab import BranchLayer

MASK_BORDERS_PX = (0.0, 1.9, 4.2, 6.2)
"""Blur radius from which on a branch is the one that suits; each up to the next one's border."""

Value = TypeVar("Value")


class DefocusGenerator(nn.Module):
    """image -> restored image; see the description of this file.

    width: channels throughout. blocks: attention blocks in each layer of the four branches; 0 for
    a branch of 1x1 convolutions at full size.
    """

    size_multiple = 16
    # With random weights 96 % of what a pixel depends on lies within 48 px, 99 % within the 64 px
    # at which tiles meet; the rest is the means of its attention, which no halo brings back. A tile
    # of this size, as large as the pictures it is trained on, takes 1.1 GB in ONNX Runtime; one of
    # 768 px 2.3 GB.
    halo = 48
    tile = 512
    overlap = 32

    def __init__(
        self, *, width: int = 64, blocks: tuple[int, int, int, int] = (0, 1, 2, 3)
    ) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.branches = nn.ModuleList(Branch(width, count) for count in blocks)
        self.to_quarter = _two_convolutions(width, width)
        self.to_eighth = _two_convolutions(width, width)
        self.fusion = _two_convolutions(2 * width, width)
        self.rise = nn.Sequential(
            nn.ConvTranspose2d(width, width, 2, stride=2),
            _two_convolutions(width, width),
            nn.ConvTranspose2d(width, width, 2, stride=2),
        )
        self.tail = nn.Conv2d(width, 3, 3, padding=1)

    def forward(
        self, image: Tensor, radius_px: Tensor | None = None, masking: float = 0.0
    ) -> Tensor:
        """radius_px: (B, 1, H, W) >= 0, blur in pixels of the photo; None masks nothing.

        masking: how far, from 0 (not at all) to 1 (each pixel is the work of one branch).
        """
        shares = _shares(radius_px, masking)
        features = F.relu(self.head(image))  # (B, width, H, W)
        views = _halved(features, 4)
        full = _mixed((branch(views) for branch in self.branches), shares, 1)

        quarter = self.to_quarter(F.max_pool2d(full, 4))  # (B, width, H/4, W/4)
        views = _halved(quarter, 2)
        deep = _mixed((branch(views) for branch in self.branches), shares, 4)

        eighth = self.to_eighth(F.max_pool2d(deep, 2))  # (B, width, H/8, W/8)
        views = _halved(eighth, 1)
        deepest = _mixed((branch(views) for branch in self.branches), shares, 8)

        # As in the reference, the corners of the small picture lie on those of the large one.
        wide = F.interpolate(
            deepest + eighth, scale_factor=2.0, mode="bilinear", align_corners=True
        )
        fused = self.fusion(torch.cat([quarter, wide], dim=1))  # (B, width, H/4, W/4)
        return self.tail(features + self.rise(deep + fused) + full).sigmoid()


class Branch(nn.Module):
    """Eight layers, four that halve and four that double; shorter passes skip the inner ones.

    blocks: as of DefocusGenerator.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.keeps_size = blocks == 0
        self.down = nn.ModuleList(BranchLayer(width, blocks, "halve") for _ in range(4))
        self.up = nn.ModuleList(BranchLayer(width, blocks, "double") for _ in range(4))

    def forward(self, views: list[Tensor]) -> Tensor:
        """(B, width, h, w) of what the pass makes.

        views: what it begins with, (B, width, h, w), and the 2x2, 4x4, ... averages of that, one
        for each layer that halves: four, two or one. Every layer but the first sees one of them.
        """
        if self.keeps_size:
            views = [views[0]] * len(views)
        if len(views) == 5:
            return self._by_four(*views)
        return self._by_two(*views) if len(views) == 3 else self._by_one(*views)

    def _by_four(
        self, whole: Tensor, half: Tensor, quarter: Tensor, eighth: Tensor, sixteenth: Tensor
    ) -> Tensor:
        at_half = self.down[0](whole)
        at_quarter = self.down[1](at_half + half)
        at_eighth = self.down[2](at_quarter + quarter)
        at_sixteenth = self.down[3](at_eighth + eighth)
        rising = self.up[0](at_sixteenth + sixteenth)  # (B, width, h/8, w/8)
        rising = self.up[1](rising + eighth)  # the reference has no skip from `at_eighth`
        rising = self.up[2](rising + at_quarter + quarter)
        return self.up[3](rising + at_half + half)

    def _by_two(self, whole: Tensor, half: Tensor, quarter: Tensor) -> Tensor:
        at_half = self.down[0](whole)
        at_quarter = self.down[1](at_half + half)
        rising = self.up[2](at_quarter + quarter)
        return self.up[3](rising + at_half + half)

    def _by_one(self, whole: Tensor, half: Tensor) -> Tensor:
        return self.up[2](self.down[0](whole) + half)


def defocusgan_small() -> DefocusGenerator:
    """A quarter as wide and as deep as the second branch throughout: to try things."""
    return DefocusGenerator(width=16, blocks=(0, 1, 1, 1))


def branch_masks(radius_px: Tensor) -> Tensor:
    """(B, 1, H, W) >= 0 -> (B, 4, H, W): 1 for the branch that suits a pixel's blur, else 0."""
    borders = torch.tensor(MASK_BORDERS_PX, device=radius_px.device).view(1, -1, 1, 1)
    passed = (radius_px >= borders).to(
        radius_px.dtype
    )  # (B, 4, H, W): all up to the one that suits
    return passed - F.pad(passed[:, 1:], (0, 0, 0, 0, 0, 1))


UNUSED = ("connect.", "connect2.")
"""Convolutions that the authors' network holds and nothing passes through."""
RENAMINGS = (
    (r"^(head|tail)(_hard)?\.0\.", r"\1."),
    (r"^unetdown4\.maxpool_conv\.1\.double_conv\.", "to_quarter."),
    (r"^unetdown2\.maxpool_conv\.1\.double_conv\.", "to_eighth."),
    (r"^unetup2\.conv\.double_conv\.", "fusion."),
    (r"^unetup4\.up\.(\d\.)(double_conv\.)?", r"rise.\1"),
    *((rf"^layer{n + 1}\.(\d)\.0\.", rf"branches.\1.down.{n}.body.") for n in range(4)),
    *((rf"^layer{n + 5}\.(\d)\.0\.", rf"branches.\1.up.{n}.body.") for n in range(4)),
    (r"\.body\.(weight|bias)$", r".body.0.\1"),
    (r"\.body\.body\.(\d)\.body\.0\.", r".body.blocks.\1.expand."),
    (r"\.body\.body\.(\d)\.body\.2\.", r".body.blocks.\1.project."),
    (r"\.body\.body\.(\d)\.body\.3\.conv_du\.0\.", r".body.blocks.\1.attention.squeeze."),
    (r"\.body\.body\.(\d)\.body\.3\.conv_du\.2\.", r".body.blocks.\1.attention.excite."),
    (r"\.body\.body\.\d\.(weight|bias)$", r".body.project.\1"),
)
"""Patterns of published names and what takes their place, one after the other."""


def own_names(published: Mapping[str, Value]) -> dict[str, Value]:
    """Weights of the authors' code by the names of this file; other names stay as they are.

    What their network holds and does not use is left out.
    """
    used = {name: value for name, value in published.items() if not name.startswith(UNUSED)}
    return {_own_name(name): value for name, value in used.items()}


def _own_name(name: str) -> str:
    for pattern, own in RENAMINGS:
        name = re.sub(pattern, own, name)
    return name


def _shares(radius_px: Tensor | None, masking: float) -> Tensor | None:
    """(B, 4, H, W) in [0, 1]: how much of each branch a pixel gets; None for all of all."""
    if radius_px is None or masking == 0:
        return None
    return 1 - masking + masking * branch_masks(radius_px)


def _mixed(outputs: Iterator[Tensor], shares: Tensor | None, reduction: int) -> Tensor:
    """The sum of what the branches give, at 1 / reduction of the photo's size."""
    if shares is not None:
        # Every pixel's nearest neighbour, as the reference takes it from the map.
        small = shares[:, :, ::reduction, ::reduction].split(1, dim=1)
        outputs = (output * share for output, share in zip(outputs, small, strict=True))
    return reduce(torch.add, outputs)


def _halved(features: Tensor, times: int) -> list[Tensor]:
    """`features` and its averages over 2x2, 4x4 and so on pixels."""
    views = [features]
    for _ in range(times):
        views.append(F.avg_pool2d(views[-1], 2))
    return views


def _two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.ReLU(),
    )
