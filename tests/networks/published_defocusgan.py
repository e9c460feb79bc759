"""DefocusGAN's generator as its authors publish it: names, shapes and wiring, from the description.

Nothing here asks our network. Width 64; branches of 0, 1, 2 and 3 attention blocks; eight layers of
each; the names are those of the tensors in the authors' checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Shape = tuple[int, ...]
BORDERS_PX = (0.0, 1.9, 4.2, 6.2)


def published_shapes(width: int = 64, blocks: Sequence[int] = (0, 1, 2, 3)) -> dict[str, Shape]:
    """Shape of every tensor by its published name, with the two convolutions that nothing uses."""
    shapes: dict[str, Shape] = {}

    def convolution(name: str, inputs: int, outputs: int, side: int = 3) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs, side, side)
        shapes[f"{name}.bias"] = (outputs,)

    def without_bias(name: str, inputs: int) -> None:
        shapes[f"{name}.0.weight"] = (width, inputs, 3, 3)
        shapes[f"{name}.2.weight"] = (width, width, 3, 3)

    convolution("head.0", 3, width)
    convolution("tail_hard.0", width, 3)
    convolution("connect", width, width)
    convolution("connect2", width, width)
    without_bias("unetdown4.maxpool_conv.1.double_conv", width)
    without_bias("unetdown2.maxpool_conv.1.double_conv", width)
    without_bias("unetup2.conv.double_conv", 2 * width)
    convolution("unetup4.up.0", width, width, 2)
    without_bias("unetup4.up.1.double_conv", width)
    convolution("unetup4.up.2", width, width, 2)
    narrow = max(1, width // 16)
    for layer in range(1, 9):
        for branch, count in enumerate(blocks):
            name = f"layer{layer}.{branch}.0"
            if count == 0:
                convolution(name, width, width, 1)
                continue
            for block in range(count):
                convolution(f"{name}.body.{block}.body.0", width, width)
                convolution(f"{name}.body.{block}.body.2", width, width)
                convolution(f"{name}.body.{block}.body.3.conv_du.0", width, narrow, 1)
                convolution(f"{name}.body.{block}.body.3.conv_du.2", narrow, width, 1)
            convolution(f"{name}.body.{count}", width, width)
    return shapes


def random_weights(shapes: Mapping[str, Shape], seed: int = 0) -> dict[str, Tensor]:
    """Random values under which features neither vanish nor blow up."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator)
        * (0.3 / (shape[1] * shape[2] * shape[3]) ** 0.5 if len(shape) == 4 else 0.05)
        for name, shape in shapes.items()
    }


def published_forward(
    weights: Mapping[str, Tensor],
    image: Tensor,
    radius: Tensor,
    share: float,
    blocks: Sequence[int] = (0, 1, 2, 3),
) -> Tensor:
    """The generator, step by step over lists of branches; share: of the masks, 0 for none."""

    def convolved(name: str, values: Tensor) -> Tensor:
        weight = weights[f"{name}.weight"]
        bias = weights.get(f"{name}.bias")
        return F.conv2d(values, weight, bias, padding=weight.shape[-1] // 2)

    def twice(name: str, values: Tensor) -> Tensor:
        return convolved(f"{name}.2", convolved(f"{name}.0", values).relu()).relu()

    def layer(number: int, branch: int, values: Tensor) -> Tensor:
        name = f"layer{number}.{branch}.0"
        if blocks[branch] == 0:
            return convolved(name, values).relu()
        found = values
        for block in range(blocks[branch]):
            inside = f"{name}.body.{block}.body"
            change = convolved(f"{inside}.2", convolved(f"{inside}.0", found).relu())
            means = F.adaptive_avg_pool2d(change, 1)
            squeezed = convolved(f"{inside}.3.conv_du.0", means).relu()
            found = found + change * convolved(f"{inside}.3.conv_du.2", squeezed).sigmoid()
        found = values + convolved(f"{name}.body.{blocks[branch]}", found)
        return (
            F.max_pool2d(found, 2)
            if number <= 4
            else found.repeat_interleave(2, 2).repeat_interleave(2, 3)
        )

    def like(values: Tensor, other: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(values, other.shape[2:])

    def mixed(outputs: list[Tensor], reduction: int) -> Tensor:
        small = F.interpolate(radius, scale_factor=1 / reduction, mode="nearest")
        total = torch.zeros_like(outputs[0])
        for branch, output in enumerate(outputs):
            upper = BORDERS_PX[branch + 1] if branch < 3 else float("inf")
            mask = ((small >= BORDERS_PX[branch]) & (small < upper)).float()
            total = total + share * mask * output + (1 - share) * output
        return total

    branches = range(len(blocks))
    x = convolved("head.0", image).relu()
    outputs = []
    for j in branches:
        o1 = layer(1, j, x)
        o2 = layer(2, j, o1 + like(x, o1))
        o3 = layer(3, j, o2 + like(x, o2))
        o4 = layer(4, j, o3 + like(x, o3))
        o5 = layer(5, j, o4 + like(x, o4))
        o6 = layer(6, j, o5 + like(x, o3))
        o7 = layer(7, j, o6 + o2 + like(x, o6))
        outputs.append(layer(8, j, o7 + o1 + like(x, o7)))
    full = mixed(outputs, 1)
    quarter = twice("unetdown4.maxpool_conv.1.double_conv", F.max_pool2d(full, 4))
    outputs = []
    for j in branches:
        o1 = layer(1, j, quarter)
        o2 = layer(2, j, o1 + like(quarter, o1))
        o7 = layer(7, j, o2 + like(quarter, o2))
        outputs.append(layer(8, j, o7 + o1 + like(quarter, o7)))
    deep = mixed(outputs, 4)
    eighth = twice("unetdown2.maxpool_conv.1.double_conv", F.max_pool2d(deep, 2))
    outputs = []
    for j in branches:
        o1 = layer(1, j, eighth)
        outputs.append(layer(7, j, o1 + like(eighth, o1)))
    deepest = mixed(outputs, 8) + eighth
    wide = F.interpolate(deepest, scale_factor=2, mode="bilinear", align_corners=True)
    fused = deep + twice("unetup2.conv.double_conv", torch.cat([quarter, wide], dim=1))

    def risen(number: int, values: Tensor) -> Tensor:
        name = f"unetup4.up.{number}"
        return F.conv_transpose2d(
            values, weights[f"{name}.weight"], weights[f"{name}.bias"], stride=2
        )

    fused = risen(2, twice("unetup4.up.1.double_conv", risen(0, fused)))
    return convolved("tail_hard.0", x + fused + full).sigmoid()
