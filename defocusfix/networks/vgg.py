"""The convolutions of VGG-19 (Simonyan and Zisserman, ICLR 2015), whose features losses compare.

image (B, 3, H, W) in [0, 1], sides of at least 16 px for the deepest layers  ->  features by name.
20,024,384 parameters. Five blocks of 3x3 convolutions with ReLU, a 2x2 maximum between blocks.

Layers are named by block and number: `conv3_3` is what the third convolution of the third block
gives, `relu3_3` the same without its negative part. The parameters carry the names of torchvision's
vgg19, so that the `features.*` part of its published weights loads strictly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

BLOCKS: Final = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and number of convolutions."""
LAYER: Final = re.compile(r"(conv|relu)([1-5])_([1-4])")
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)  # of R, G and B, as torchvision's weights expect
IMAGENET_DEVIATION: Final = (0.229, 0.224, 0.225)


class Vgg19Features(nn.Module):
    """Features of the named layers; frozen, while gradients pass through to the image.

    layers: names such as relu2_2 or conv3_3.
    normalises: whether the image is given ImageNet's mean and deviation first, as the published
    weights expect; DefocusGAN (arXiv 2211.14017) compares features without it.
    Raises ValueError for a layer that VGG-19 lacks.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, layers: Sequence[str], *, normalises: bool = True) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.normalises = normalises
        self._wanted = {layer_index(name): name for name in self.layers}
        parts: list[nn.Module] = []
        inputs = 3
        for width, convolutions in BLOCKS:
            for _ in range(convolutions):
                # Not in place: a convolution's features are handed out before their ReLU.
                parts += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
                inputs = width
            parts.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*parts)
        for name, values in (("mean", IMAGENET_MEAN), ("deviation", IMAGENET_DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        for part in parts:
            if isinstance(part, nn.Conv2d):  # as torchvision starts it
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(part.bias)  # type: ignore[arg-type]
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(B, C, H / 2**(block - 1), W / 2**(block - 1)) of each layer; deeper ones do not run."""
        values = (image - self.mean) / self.deviation if self.normalises else image
        found: dict[str, Tensor] = {}
        for index, part in enumerate(self.features.children()):
            values = part(values)
            if index in self._wanted:
                found[self._wanted[index]] = values
            if len(found) == len(self._wanted):
                break
        return {name: found[name] for name in self.layers}


def layer_index(name: str) -> int:
    """Place of a layer among `features`: conv3_3 is 14. Raises ValueError for unknown names."""
    match = LAYER.fullmatch(name)
    if match is not None:
        kind, block, number = match[1], int(match[2]), int(match[3])
        if number <= BLOCKS[block - 1][1]:
            before = sum(2 * convolutions + 1 for _, convolutions in BLOCKS[: block - 1])
            return before + 2 * (number - 1) + (kind == "relu")
    raise ValueError(f"VGG-19 has no layer {name!r}; it has conv1_1, relu1_1, ..., relu5_4")
