"""Patch critic of DefocusGAN (AAAI 2023, arXiv 2211.14017).

image (B, 3, H, W) in [0, 1]  ->  scores (B, 1, H/8 + 3, W/8 + 3), unbounded, for multiples of 8.
2,764,737 parameters; a score looks at a patch of 70 px, normalised by the whole photo. It sees the
photo alone and is never told what it was restored from. A higher score means "more like a sharp
photo"; only differences of scores count, so there is no sigmoid (Wasserstein critic, Arjovsky et
al., 2017).

Instance normalisation, each photo by itself: the penalty on the gradient needs samples that do not
see each other. After the discriminator of pix2pix (Isola et al., CVPR 2017).
"""

from __future__ import annotations

from torch import Tensor, nn

SLOPE = 0.2  # of the leaky ReLUs
SIDE, PADDING = 4, 2  # of every convolution
EPSILON = 1e-5  # under which a channel's variance counts as none


class InstanceNorm(nn.Module):
    """Every channel of every photo at mean 0 and variance 1 over its pixels.

    Spelled out, since torch's own has wrong second derivatives (2.13, on a processor) for one photo
    that is laid out channels last, and the penalty on the critic's gradient needs them.
    """

    def forward(self, features: Tensor) -> Tensor:
        centred = features - features.mean(dim=(2, 3), keepdim=True)
        variance = centred.square().mean(dim=(2, 3), keepdim=True)
        return centred * (variance + EPSILON).rsqrt()


class PatchCritic(nn.Module):
    """image -> scores of its patches; see the description of this file.

    width: channels after the first convolution, doubled by each further one but the last.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width, 8 * width)
        self.head = _convolution(3, width, stride=2)
        self.body = nn.ModuleList(
            nn.Sequential(
                _convolution(before, after, stride=stride),
                InstanceNorm(),
                nn.LeakyReLU(SLOPE),
            )
            for before, after, stride in zip(widths[:-1], widths[1:], (2, 2, 1), strict=True)
        )
        self.activation = nn.LeakyReLU(SLOPE)
        self.tail = _convolution(widths[-1], 1, stride=1)

    def forward(self, image: Tensor) -> Tensor:
        features = self.activation(self.head(image))  # (B, width, H/2 + 1, W/2 + 1)
        for block in self.body:
            features = block(features)  # in the end (B, 8 width, H/8 + 2, W/8 + 2)
        return self.tail(features)


def _convolution(inputs: int, outputs: int, *, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, SIDE, stride, PADDING)
