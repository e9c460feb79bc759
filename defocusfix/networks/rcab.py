"""Residual blocks with channel attention, and the layers of branches that are made of them.

Source: Zhang et al., Image Super-Resolution Using Very Deep Residual Channel Attention Networks
(ECCV 2018), in the sizes of the learnable blur kernel (AAAI 2023, arXiv 2211.14017).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

REDUCTION = 16
Resize = Literal["halve", "double", "none"]


class ChannelAttention(nn.Module):
    """Every channel times a factor in (0, 1) that the means of all channels decide.

    The means are taken over the whole picture, so tiles of one photo agree only roughly. Unlike
    `blocks.SqueezeExcite` it has biases.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = max(1, width // REDUCTION)
        self.squeeze = nn.Conv2d(width, narrow, 1)
        self.excite = nn.Conv2d(narrow, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        means = features.mean(dim=(2, 3), keepdim=True)  # (B, width, 1, 1)
        return features * self.excite(F.relu(self.squeeze(means))).sigmoid()


class ResidualAttentionBlock(nn.Module):
    """x + attention(conv(relu(conv(x)))), 3x3, at constant width: an "RCAB"."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, width, 3, padding=1)
        self.project = nn.Conv2d(width, width, 3, padding=1)
        self.attention = ChannelAttention(width)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.attention(self.project(F.relu(self.expand(features))))


class ResidualAttentionGroup(nn.Module):
    """`blocks` residual attention blocks and a 3x3 convolution, with a skip around them all."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualAttentionBlock(width) for _ in range(blocks)))
        self.project = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.project(self.blocks(features))


class BranchLayer(nn.Module):
    """One layer of a branch: (B, width, H, W) -> the same, at half, twice or the same size.

    blocks: residual attention blocks of its group. With 0 the layer is a 1x1 convolution with ReLU
    instead, and never changes the size, whatever `resize` says: such a branch stays at full size.
    resize: what follows the group: halve (the largest of 2x2), double (nearest neighbour) or none.
    Raises ValueError for other words.
    """

    def __init__(self, width: int, blocks: int, resize: Resize) -> None:
        super().__init__()
        if resize not in get_args(Resize):
            raise ValueError(f"resize is one of {get_args(Resize)}, not {resize!r}")
        self.resize = resize if blocks else "none"
        self.body: nn.Module
        if blocks:
            self.body = ResidualAttentionGroup(width, blocks)
        else:
            self.body = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        features = self.body(features)
        if self.resize == "halve":
            return F.max_pool2d(features, 2)
        if self.resize == "double":
            return F.interpolate(features, scale_factor=2.0, mode="nearest")
        return features
