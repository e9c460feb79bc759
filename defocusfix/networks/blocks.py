"""Blocks that several networks share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), 3x3; `hidden` channels between the two, None for as many as x."""

    def __init__(self, width: int, hidden: int | None = None) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, hidden or width, 3, padding=1)
        self.project = nn.Conv2d(hidden or width, width, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.project(F.relu(self.expand(features)))


class PlainResNet(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H, W), unbounded, at full size from end to end.

    A 3x3 convolution, residual blocks of constant width, a 3x3 convolution; no activation at
    either end and no normalisation. Its receptive field is 4 * blocks + 5 px.
    Source: the three small networks of reblurring-guided deblurring (arXiv 2409.17792).
    """

    def __init__(self, inputs: int, width: int, outputs: int, *, blocks: int = 3) -> None:
        super().__init__()
        self.head = nn.Conv2d(inputs, width, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.tail = nn.Conv2d(width, outputs, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        features = self.head(values)  # (B, width, H, W); the reference has no activation here
        features = self.body(features)
        return self.tail(features)  # (B, outputs, H, W)


class SqueezeExcite(nn.Module):
    """Every channel times a factor in (0, 1) that the means of all channels decide.

    The means are taken over the whole picture, so tiles of one photo agree only roughly.
    Source: Hu et al., Squeeze-and-Excitation Networks (CVPR 2018); here without biases.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction, bias=False)
        self.excite = nn.Linear(channels // reduction, channels, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        means = features.mean(dim=(2, 3))  # (B, C)
        factors = self.excite(F.relu(self.squeeze(means))).sigmoid()  # (B, C)
        return features * factors[:, :, None, None]
