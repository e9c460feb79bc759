"""DRBNet: dynamic residual blocks from coarse to fine (Ruan et al., CVPR 2022, arXiv 2204.00367).

image (B, 3, H, W) in [-1, 1], H and W multiples of 8  ->  restored (B, 3, H, W) in [-1, 1].
The variant for dual-pixel photos also takes the right and the left view, each like the image.
11,689,616 parameters, 11,690,480 with views.

An encoder goes down to an eighth of the size. From there the image itself is rebuilt in four
estimates, each twice as large as the one before: every estimate is filtered by a kernel of 7x7 of
its own for each pixel, and gets a residual besides. Encoder and decoder only say which.

Parameters have the names and shapes of the published weights, so that those load as they are. That
is proven with a list of names and shapes, not with the published files themselves: that this
network computes with them what the authors' does remains to be shown.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.1  # of every LeakyReLU
TAPS = 7  # side of the kernels


class DynamicResidualNetwork(nn.Module):
    """What both variants share.

    inputs: channels of what the encoder sees. width: channels at full size, twice as many after
    each halving.
    """

    size_multiple = 8
    value_range = (-1.0, 1.0)
    views: tuple[str, ...] = ()
    # A result depends on pixels up to 144 px away. With random weights as torch draws them nothing
    # of that beyond 64 px reaches a step of 1/255, with far stronger ones (He et al.) nothing
    # beyond 96 to 112 px, so tiles agree; of trained weights this is not known.
    halo = 96
    tile = 768
    overlap = 16

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        full, half, quarter, eighth = (width * 2**level for level in range(4))
        self.conv1_1, self.conv1_2, self.conv1_3 = _three(inputs, full)
        self.conv2_1, self.conv2_2, self.conv2_3 = _three(full, half, stride=2)
        self.conv3_1, self.conv3_2, self.conv3_3 = _three(half, quarter, stride=2)
        self.conv4_1, self.conv4_2, self.conv4_3 = _three(quarter, eighth, stride=2)
        self.conv4_4 = nn.Sequential(
            _convolution(eighth, eighth),
            Residual(eighth),
            Residual(eighth),
            _convolution(eighth, eighth),
        )
        # The published names count the three steps up to full size as 3, 2, 1, and the estimate at
        # an eighth of the size as the first of four, 3, 2, 1, 0.
        self.upconv3_u, self.upconv3_1, self.upconv3_2 = _doubling(eighth, quarter)
        self.upconv2_u, self.upconv2_1, self.upconv2_2 = _doubling(quarter, half)
        self.upconv1_u, self.upconv1_1, self.upconv1_2 = _doubling(half, full)
        self.img_d8_feature = _image_features(half, quarter, eighth)
        self.img_d4_feature = _image_features(half, quarter, quarter)
        self.img_d2_feature = _image_features(half, half, half)
        self.img_d1_feature = _image_features(half, half, full)
        self.upconv3_kernel = _kernel_head(2 * eighth, eighth, quarter)
        self.upconv2_kernel = _kernel_head(2 * quarter, quarter, quarter)
        self.upconv1_kernel = _kernel_head(2 * half, half, half)
        self.upconv0_kernel = _kernel_head(2 * full, half, half)
        self.upconv3_res = _residual_head(2 * eighth, eighth, half)
        self.upconv2_res = _residual_head(2 * quarter, quarter, half)
        self.upconv1_res = _residual_head(2 * half, half, half)
        self.upconv0_res = _residual_head(2 * full, half, half)

    def estimates_of(self, image: Tensor, seen: Tensor) -> list[Tensor]:
        """The image rebuilt at 1/8, 1/4, 1/2 and full size, coarse to fine, not clamped.

        image: (B, 3, H, W), from which the first estimate starts. seen: (B, inputs, H, W), from
        which the encoder reads what to do.
        """
        features = self._decoded(seen)
        eighth = F.avg_pool2d(image, 8)
        eighth = self._estimate(
            eighth, next(features), self.img_d8_feature, self.upconv3_kernel, self.upconv3_res
        )
        quarter = self._estimate(
            _doubled(eighth),
            next(features),
            self.img_d4_feature,
            self.upconv2_kernel,
            self.upconv2_res,
        )
        half = self._estimate(
            _doubled(quarter),
            next(features),
            self.img_d2_feature,
            self.upconv1_kernel,
            self.upconv1_res,
        )
        full = self._estimate(
            _doubled(half),
            next(features),
            self.img_d1_feature,
            self.upconv0_kernel,
            self.upconv0_res,
        )
        return [eighth, quarter, half, full]

    def _decoded(self, seen: Tensor) -> Iterator[Tensor]:
        """Features at 1/8, 1/4, 1/2 and full size, each made when it is asked for."""
        at_full = self.conv1_3(self.conv1_2(self.conv1_1(seen)))  # (B, width, H, W)
        at_half = self.conv2_3(self.conv2_2(self.conv2_1(at_full)))  # (B, 2 width, H/2, W/2)
        at_quarter = self.conv3_3(self.conv3_2(self.conv3_1(at_half)))  # (B, 4 width, H/4, W/4)
        at_eighth = self.conv4_3(self.conv4_2(self.conv4_1(at_quarter)))
        features = self.conv4_4(at_eighth)  # (B, 8 width, H/8, W/8)
        yield features
        features = self.upconv3_2(self.upconv3_1(self.upconv3_u(features) + at_quarter))
        yield features
        features = self.upconv2_2(self.upconv2_1(self.upconv2_u(features) + at_half))
        yield features
        yield self.upconv1_2(self.upconv1_1(self.upconv1_u(features) + at_full))

    @staticmethod
    def _estimate(
        image: Tensor,
        features: Tensor,
        image_features: nn.Module,
        kernel_head: nn.Module,
        residual_head: nn.Module,
    ) -> Tensor:
        """`image` rebuilt at its own size, from it and the decoder's features of that size."""
        joined = torch.cat([features, image_features(image)], dim=1)
        return image + filtered(image, kernel_head(joined)) + residual_head(joined)


class DRBNet(DynamicResidualNetwork):
    """image -> restored image; see the description of this file."""

    def __init__(self, *, width: int = 32) -> None:
        super().__init__(3, width)

    def forward(self, image: Tensor) -> Tensor:
        return self.estimates(image)[-1].clamp(-1, 1)

    def estimates(self, image: Tensor) -> list[Tensor]:
        """What training on all scales compares with the target: 1/8, 1/4, 1/2 and full size.

        Each (B, 3, H/n, W/n), not clamped; `forward` gives the last one, clamped.
        """
        return self.estimates_of(image, image)


class DualPixelDRBNet(DynamicResidualNetwork):
    """image, right and left view -> restored image; see the description of this file.

    The image is the photo as usual, in which both views are one. The encoder sees the views alone.
    """

    views = ("right", "left")

    def __init__(self, *, width: int = 32) -> None:
        super().__init__(6, width)

    def forward(self, image: Tensor, right: Tensor, left: Tensor) -> Tensor:
        return self.estimates(image, right, left)[-1].clamp(-1, 1)

    def estimates(self, image: Tensor, right: Tensor, left: Tensor) -> list[Tensor]:
        """As `DRBNet.estimates`."""
        return self.estimates_of(image, torch.cat([right, left], dim=1))


def filtered(image: Tensor, kernels: Tensor) -> Tensor:
    """`image` (B, C, H, W), each pixel filtered with a kernel of its own; edges are repeated.

    kernels: (B, n * n, H, W) for an odd n, row by row, shared by all channels, of any sign and sum.
    It is correlation: the first weight belongs to the neighbour above and to the left.

    The images shifted along the rows are made once, n of them, and one row of the kernels after the
    other looks at them. All neighbours at once would be n * n images; one at a time, each would be
    some steps of its own, for which the export to ONNX takes many times as long.
    """
    B, C, height, width = image.shape
    side = round(kernels.shape[1] ** 0.5)
    padded = F.pad(image, (side // 2,) * 4, mode="replicate")
    columns = torch.cat([padded[..., column : column + width] for column in range(side)], dim=1)
    columns = columns.view(B, side, C, height + side - 1, width)
    total = torch.zeros_like(image)
    for row, weights in enumerate(kernels.split(side, dim=1)):  # (B, n, H, W)
        seen = columns[..., row : row + height, :]  # (B, n, C, H, W)
        total = total + (weights[:, :, None] * seen).sum(dim=1)
    return total


class Residual(nn.Module):
    """x + conv(leaky(conv(x))), 3x3, at constant width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        convolutions = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.stem = nn.ModuleList([convolutions])  # a list of one: the published names count it

    def forward(self, features: Tensor) -> Tensor:
        return features + self.stem[0](features)


def _convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2), nn.LeakyReLU(SLOPE)
    )


def _three(inputs: int, outputs: int, stride: int = 1) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Convolutions of which the first one changes width, and size if it has a stride."""
    return (
        _convolution(inputs, outputs, stride=stride),
        _convolution(outputs, outputs),
        _convolution(outputs, outputs),
    )


def _doubling(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    """To twice the size, and what follows once the encoder's features have been added."""
    wider = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    return nn.Sequential(wider, nn.LeakyReLU(SLOPE)), Residual(outputs), Residual(outputs)


def _image_features(first: int, second: int, third: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(3, first), _convolution(first, second), _convolution(second, third)
    )


def _kernel_head(inputs: int, first: int, second: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(inputs, first),
        _convolution(first, second),
        nn.Conv2d(second, TAPS**2, 1),
    )


def _residual_head(inputs: int, first: int, second: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(inputs, first),
        _convolution(first, second),
        _convolution(second, 3, size=1),  # with its LeakyReLU, as in the reference
    )


def _doubled(image: Tensor) -> Tensor:
    return F.interpolate(image, scale_factor=2.0, mode="nearest")
