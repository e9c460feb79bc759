"""Reblurring module of reblurring-guided deblurring (arXiv 2409.17792; IJCV 2025).

sharp   (B, 3, H, W) in [0, 1]: what a deblurring network made of a photo
blurred (B, 3, H, W) in [0, 1]: that photo
->  the sharp image blurred again, (B, 3, H, W), with the seeds (B, 35, H, W) of the kernels and the
    weights (B, 8, H, W) of the branches it was blurred with.

474,987 parameters (kernel prediction 245,283, weight prediction 229,704). The two networks see
17 x 17 px, the kernels reach 7 px. Serves training only: that its result must equal the photo ties
the restored image to the photo's geometry, and its kernels are what the blur estimator learns from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from defocusfix.networks.blocks import PlainResNet
from defocusfix.networks.radial_kernels import (
    BRANCHES,
    REACHES,
    SEED_COUNTS,
    SEEDS,
    Outside,
    Padding,
    RadialKernels,
    apply_kernels,
)

PseudoTarget = Literal["seeds", "weighted_seeds"]
FREE_CELLS = (2 * REACHES[-1] + 1) ** 2  # 225, of the kernel that may have any shape


@dataclass(frozen=True, slots=True)
class ReblurConfig:
    """How the sharp image is blurred again; the defaults are what we recommend."""

    width: int = 64
    """Channels of both networks. Reference: 64."""
    outside: Outside = "exp0"
    """Logit of kernel cells beyond the kernel's radius: exp0, or zero for a true disc.
    Reference: exp0. Recommended: exp0; compare with zero."""
    padding: Padding = "reflect"
    """How the image goes on beyond its border: reflect, replicate or zeros.
    Reference: zeros, which darkens a frame of 7 px. Recommended: reflect."""


REFERENCE = ReblurConfig(padding="zeros")
"""As in the authors' code."""


@dataclass(frozen=True, slots=True)
class PseudoTruthConfig:
    """What the blur estimator is told to find; the defaults are the reference.

    Raises ValueError for an unknown target.
    """

    target: PseudoTarget = "seeds"
    """seeds, or weighted_seeds: the seeds of each kernel times the weight of its branch, so that
    the map also says how much of each size is used. Reference: seeds. To be compared."""
    is_absolute: bool = False
    """Whether absolute values are the truth, since the kernels do not know the seeds' sign.
    Reference: no. To be compared."""
    is_detached: bool = False
    """Whether the map's loss is kept away from the reblurring module; otherwise it draws the
    kernels towards what can be seen in a blurred photo alone. Reference: no. To be compared."""

    def __post_init__(self) -> None:
        if self.target not in get_args(PseudoTarget):
            raise ValueError(f"target is one of {get_args(PseudoTarget)}, not {self.target!r}")


class Reblurred(NamedTuple):
    """An image blurred again, and with what."""

    image: Tensor
    """(B, 3, H, W), unclamped."""
    seeds: Tensor
    """(B, 35, H, W), unbounded, of either sign."""
    weights: Tensor
    """(B, 8, H, W): of the image as it is and of the kernels from 3 to 15 px; they sum to 1."""


class ReblurModule(nn.Module):
    """Blurs a sharp image as the photo is blurred, with isotropic kernels."""

    def __init__(self, config: ReblurConfig | None = None) -> None:
        super().__init__()
        config = config or ReblurConfig()
        self.kernel_prediction = PlainResNet(6, config.width, SEEDS)
        self.weight_prediction = PlainResNet(6, config.width, BRANCHES)
        self.kernels = RadialKernels(outside=config.outside, padding=config.padding)
        self.apply(_start_module)

    def forward(self, sharp: Tensor, blurred: Tensor) -> Reblurred:
        both = torch.cat([sharp, blurred], dim=1)  # (B, 6, H, W)
        seeds = self.kernel_prediction(both)  # (B, 35, H, W)
        weights = self.weight_prediction(both)  # (B, 8, H, W)
        with torch.autocast(sharp.device.type, enabled=False):  # half precision rounds by 1/256
            seeds, weights = seeds.float(), weights.float().softmax(dim=1)
            image = self.kernels.blur(sharp.float(), seeds, weights)
        return Reblurred(image, seeds, weights)

    def radius_px(self, reblurred: Reblurred) -> Tensor:
        """Pseudo radius map (B, 1, H, W) in pixels: that of a disc which spreads light as far."""
        with torch.autocast(reblurred.seeds.device.type, enabled=False):
            return self.kernels.radius_px(reblurred.seeds, reblurred.weights)


class FreeKernelReblur(nn.Module):
    """The ablation: one 15 x 15 kernel of any shape per pixel, no other branch, no map.

    In the authors' file of this name the kernel is computed and the unblurred image returned; here
    the blurred one is.
    """

    def __init__(self, config: ReblurConfig | None = None) -> None:
        super().__init__()
        config = config or ReblurConfig()
        self.kernel_prediction = PlainResNet(6, config.width, FREE_CELLS)
        self.padding = config.padding
        self.apply(_start_module)

    def forward(self, sharp: Tensor, blurred: Tensor) -> Tensor:
        """The sharp image blurred again, (B, 3, H, W)."""
        logits = self.kernel_prediction(torch.cat([sharp, blurred], dim=1))  # (B, 225, H, W)
        with torch.autocast(sharp.device.type, enabled=False):
            kernels = logits.float().abs().softmax(dim=1)
            return apply_kernels(sharp.float(), kernels, self.padding)


def pseudo_truth(reblurred: Reblurred, config: PseudoTruthConfig) -> Tensor:
    """What the blur estimator should have said of the photo, (B, 35, H, W)."""
    truth = reblurred.seeds
    if config.target == "weighted_seeds":
        shares = reblurred.weights[:, 1:]  # (B, 7, H, W)
        counts = torch.tensor(SEED_COUNTS, device=shares.device)
        truth = truth * shares.repeat_interleave(counts, dim=1, output_size=SEEDS)
    if config.is_absolute:
        truth = truth.abs()
    return truth.detach() if config.is_detached else truth


def _start_module(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_normal_(module.weight)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # it has one
