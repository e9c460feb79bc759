"""Defocus blur estimator and fusion block of reblurring-guided deblurring.

arXiv 2409.17792; IJCV 2025.

estimator: image (B, 3, H, W) in [0, 1]  ->  kernel seeds (B, 35, H, W), unbounded; any H and W.
           66,499 parameters, receptive field 17 px.
fusion:    image and seeds  ->  what the deblurring network reads, (B, 3, H, W) or (B, 38, H, W).
           269 or 152 parameters.

The seeds are no map of one radius but 35 numbers from which seven radial kernels are expanded; see
radial_kernels.py. Nothing tells the estimator what to find but the reblurring module (reblur.py),
whose kernels the training takes for the truth.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from defocusfix.networks.blocks import PlainResNet, SqueezeExcite
from defocusfix.networks.radial_kernels import SEEDS

FIRST_BIAS = 0.1  # of every convolution of the estimator, in the authors' code
FUSED_CHANNELS = 3 + SEEDS


class DefocusEstimator(PlainResNet):
    """image (B, 3, H, W) in [0, 1] -> seeds (B, 35, H, W), unbounded; negative ones are allowed.

    width: channels in between; 32 in the reference.
    """

    def __init__(self, *, width: int = 32) -> None:
        super().__init__(3, width, SEEDS)
        self.apply(_start_estimator)


class Fusion(nn.Module):
    """image (B, 3, H, W) and seeds (B, 35, H, W) -> the input of a deblurring network.

    mixes: whether a 1x1 convolution brings the 38 channels down to 3, for a network that was made
    for photos, (B, 3, H, W); without it all of them come out, (B, 38, H, W).
    keeps_image: start as the identity on the image, so that a pretrained network first sees exactly
    what it was trained on. The reference (False) starts at random and spoils its first steps.
    """

    def __init__(self, *, mixes: bool = True, keeps_image: bool = True) -> None:
        super().__init__()
        self.attention = SqueezeExcite(FUSED_CHANNELS)  # 38 -> 2 -> 38
        self.mix = nn.Conv2d(FUSED_CHANNELS, 3, 1) if mixes else nn.Identity()
        if keeps_image:
            nn.init.zeros_(self.attention.excite.weight)  # every factor is sigmoid(0) = 1/2
            if isinstance(self.mix, nn.Conv2d):
                nn.init.zeros_(self.mix.weight)
                nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]  # it has one
                with torch.no_grad():
                    self.mix.weight[:, :3, 0, 0] = 2 * torch.eye(3)  # undoes the half

    def forward(self, image: Tensor, seeds: Tensor) -> Tensor:
        together = torch.cat([image, seeds], dim=1)  # (B, 38, H, W)
        return self.mix(self.attention(together))


def _start_estimator(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.constant_(module.bias, FIRST_BIAS)  # type: ignore[arg-type]  # it has one
