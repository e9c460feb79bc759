"""Samples to photos, in batches, on a processor or a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from defocusfix.rendering.exposure import develop, expose, to_linear, to_uint8
from defocusfix.rendering.layers import LinearLayer, all_in_focus, blur_layers
from defocusfix.rendering.sample import Sample


@dataclass(frozen=True)
class RenderedBatch:
    """Training pairs with their exact blur radius."""

    blurred: Tensor  # (B, H, W, 3) uint8, RGB
    all_in_focus: Tensor  # (B, H, W, 3) uint8, RGB
    radius_px: Tensor  # (B, H/2, W/2) float32, signed, in pixels of the full-size crop


def render(samples: Sequence[Sample], device: torch.device) -> RenderedBatch:
    """The pairs of `samples`, which are of one even size, computed on `device`.

    A pair is the same to within rounding whatever else is in its batch. Scenes are padded to the
    largest of the batch and surfaces of one place in the order of layers are blurred together; the
    Fourier transforms of a batch are as large as its largest margin asks for.
    """
    size, margin = samples[0].scene.size, max(sample.scene.margin for sample in samples)
    side = _fourier_side(size + 2 * margin)
    deepest = max(len(sample.scene.layers) for sample in samples)
    layers = [_linear_layer(samples, place, margin, side, device) for place in range(deepest)]
    inside = (slice(margin, margin + size), slice(margin, margin + size))
    cameras = [sample.camera for sample in samples]
    blurred = blur_layers(layers, inside)
    sharp, radius = all_in_focus(layers, inside)
    return RenderedBatch(
        blurred=expose(blurred, cameras, [sample.noise_seed for sample in samples]),
        # The sensor clips this photo like the other one, before anything softens it.
        all_in_focus=to_uint8(develop(sharp.clamp(0, 1), cameras)),
        radius_px=F.avg_pool2d(radius, 2),
    )


def _linear_layer(
    samples: Sequence[Sample], place: int, margin: int, side: int, device: torch.device
) -> LinearLayer:
    """The layers at one place, back to front, of the scenes that have one there.

    Scenes lie with their insides upon each other, in black and transparent surroundings.
    """
    scenes = [n for n, sample in enumerate(samples) if len(sample.scene.layers) > place]
    colour = np.zeros((len(scenes), side, side, 3), np.uint8)
    alpha = np.zeros((len(scenes), 1, side, side), np.float32)
    radius = np.zeros((len(scenes), side, side), np.float32)
    for index, number in enumerate(scenes):
        scene = samples[number].scene
        layer = scene.layers[place]
        first, last = margin - scene.margin, margin + scene.size + scene.margin
        colour[index, first:last, first:last] = layer.colour
        radius[index, first:last, first:last] = layer.radius_px
        if layer.alpha is not None:
            alpha[index, 0, first:last, first:last] = layer.alpha
    cameras = [samples[number].camera for number in scenes]
    return LinearLayer(
        light=to_linear(torch.from_numpy(colour).to(device), cameras),
        alpha=torch.from_numpy(alpha).to(device) if place else None,
        radius_px=torch.from_numpy(radius).to(device),
        spreads=tuple(samples[number].scene.layers[place].spread for number in scenes),
        scenes=tuple(scenes),
    )


def _fourier_side(least: int) -> int:
    """The next number of pixels whose Fourier transform is fast: of prime factors up to 7."""
    side = least
    while _without_small_factors(side) > 1:
        side += 1
    return side


def _without_small_factors(number: int) -> int:
    for factor in (2, 3, 5, 7):
        while number % factor == 0:
            number //= factor
    return number
