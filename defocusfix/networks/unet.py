"""U-Net with five levels, a backbone of reblurring-guided deblurring (arXiv 2409.17792; IJCV 2025).

features (B, inputs, H, W), H and W multiples of 16  ->  restored (B, 3, H, W) in (0, 1).
31,053,571 parameters with 38 inputs, the photo in [0, 1] and 35 kernel seeds; a result depends on
pixels up to 123 px away. After the network of DPDNet (Abuolaim and Brown, ECCV 2020): plain
convolutions, no normalisation, nearest-neighbour upsampling, and no skip from photo to result.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512, 1024)
DROPOUT = 0.4  # after the two coarsest encoders


class UNet(nn.Module):
    """features -> restored image; see the description of this file.

    widths: channels of the levels, full size first; the reference has 64 to 1024.
    """

    size_multiple = 16
    halo = 123  # up and left only 108: the 2x2 convolutions look one way

    def __init__(self, *, inputs: int = 3, widths: tuple[int, int, int, int, int] = WIDTHS) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.encoders = nn.ModuleList(
            _two_convolutions(before, after) for before, after in pairwise((inputs, *widths))
        )
        self.ups = nn.ModuleList(_UpConvolution(coarse, fine) for fine, coarse in pairs)
        self.decoders = nn.ModuleList(_two_convolutions(2 * fine, fine) for fine, _ in pairs)
        self.tail = nn.Conv2d(widths[0], 3, 3, padding=1)
        self.apply(_start_convolution)

    def forward(self, features: Tensor) -> Tensor:
        skips: list[Tensor] = []
        coarsest = len(self.encoders) - 1
        for level, encoder in enumerate(self.encoders):
            features = encoder(F.max_pool2d(features, 2) if level else features)
            if level >= coarsest - 1:
                features = F.dropout(features, DROPOUT, self.training)
            skips.append(features)  # (B, widths[level], H / 2**level, W / 2**level)
        features = skips.pop()
        for up, decoder, skip in reversed(list(zip(self.ups, self.decoders, skips, strict=True))):
            features = decoder(torch.cat([up(features), skip], dim=1))
        return self.tail(features).sigmoid()  # (B, 3, H, W)


class _UpConvolution(nn.Module):
    """Twice the size by repeating pixels, then a 2x2 convolution without activation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 2)

    def forward(self, features: Tensor) -> Tensor:
        wide = F.interpolate(features, scale_factor=2.0, mode="nearest")
        return self.convolution(F.pad(wide, (0, 1, 0, 1)))  # one row and column, right and bottom


def _two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ReLU(),
    )


def _start_convolution(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
