"""Blocks that several networks share.

Some are written in two ways that give the same but for roundings: as torch trains them, and, in
graphs for other engines, without what these are slow at.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
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


def after_unshuffle(image: Tensor, others: Tensor, convolution: nn.Conv2d, factor: int) -> Tensor:
    """A 3x3 convolution, padded by 1, of `image` (B, C, H, W) unshuffled by `factor`, and `others`.

    others: (B, D, H / factor, W / factor). In graphs it is one convolution of the image in larger
    steps.
    """
    if not torch.compiler.is_exporting():
        return convolution(torch.cat([F.pixel_unshuffle(image, factor), others], dim=1))
    n_shuffled = image.shape[1] * factor**2
    weight = convolution.weight[:, :n_shuffled].unflatten(1, (image.shape[1], factor, factor))
    weight = weight.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)  # (O, C, 3f, 3f)
    of_image = F.conv2d(image, weight, convolution.bias, stride=factor, padding=factor)
    return of_image + F.conv2d(others, convolution.weight[:, n_shuffled:], padding=1)


def twice_as_large(features: Tensor, convolution: nn.Conv2d) -> Tensor:
    """(B, C, H, W) -> (B, D, 2H, 2W): a 1x1 convolution to 4 D channels, shuffled to pixels.

    In graphs a transposed convolution, whose bias, one for each of four pixels, is the weight of
    one more channel of ones.
    """
    if not torch.compiler.is_exporting() or convolution.bias is None:
        return F.pixel_shuffle(convolution(features), 2)
    weight = torch.cat([convolution.weight[:, :, 0, 0], convolution.bias[:, None]], dim=1)
    weight = weight.unflatten(0, (-1, 2, 2)).permute(3, 0, 1, 2)  # (C + 1, D, 2, 2)
    return F.conv_transpose2d(F.pad(features, (0, 0, 0, 0, 0, 1), value=1.0), weight, stride=2)


def shuffled(features: Tensor) -> Tensor:
    """(B, 4 C, H, W) -> (B, C, 2H, 2W), as `pixel_shuffle`; in graphs a transposed convolution."""
    if not torch.compiler.is_exporting():
        return F.pixel_shuffle(features, 2)
    channels = features.shape[1]
    weight = torch.eye(channels).unflatten(1, (channels // 4, 2, 2))  # (4 C, C, 2, 2)
    return F.conv_transpose2d(features, weight, stride=2)


def halved(image: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> (B, 3, H/2, W/2), means of 2x2; in graphs a convolution.

    That is of the image less 0.5, as the networks see it.
    """
    if not torch.compiler.is_exporting():
        return F.avg_pool2d(image, 2)
    weight = (torch.eye(3) / 4)[:, :, None, None].expand(-1, -1, 2, 2)
    return F.conv2d(image - 0.5, weight, torch.full((3,), 0.5), stride=2)


def enlarged_unshuffled(values: Tensor, copies: int = 1) -> Tensor:
    """(B, C, H, W) -> (B, 4 C, H, W): bilinearly twice as large, then unshuffled; `copies` of it.

    In graphs a convolution, which never makes what is twice as large.
    """
    if not torch.compiler.is_exporting():
        large = F.interpolate(values, scale_factor=2.0, mode="bilinear", align_corners=False)
        return F.pixel_unshuffle(large, 2).repeat(1, copies, 1, 1)
    channels = values.shape[1]
    of_axis = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])  # of the first and second pixel
    kernels = torch.einsum("iy,jx->ijyx", of_axis, of_axis).flatten(0, 1)  # (4, 3, 3)
    weight = torch.einsum("oc,kyx->okcyx", torch.eye(channels), kernels).flatten(0, 1)
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, weight.repeat(copies, 1, 1, 1))


def number_by_number(function: Callable[..., Tensor], *values: Tensor) -> Tensor:
    """`function` of tensors of one shape that treats every number by itself.

    Other engines take as many numbers at once as there are channels, which is slow for one or
    three; so in graphs they lie in one line.
    """
    if not torch.compiler.is_exporting():
        return function(*values)
    return function(*(each.flatten(1) for each in values)).reshape(values[0].shape)


def in_short_numbers(features: Tensor) -> Tensor:
    """The same (B, C, H, W); in graphs a 1x1 convolution that changes nothing.

    Told to compute in bf16, OpenVINO stays with float32, at twice the memory, for all that follows
    the last convolution of a graph, transposed ones aside.
    """
    if not torch.compiler.is_exporting():
        return features
    return F.conv2d(features, torch.eye(features.shape[1])[:, :, None, None])


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
