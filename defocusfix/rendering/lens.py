"""Layered defocus, correct at occlusions, in linear light.

Each layer is scattered: a point spreads its own light by its own point spread function before
layers are put together, so that a blurred foreground bleeds over a sharp background and not the
other way round. Radius varying within a layer is interpolated between a few levels. Convolutions
run as products of Fourier transforms; the transform wraps around, into the margin that is cut away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from defocusfix.optics import Aperture, channel_radii

LEVEL_SPACING = 0.15  # of the radius, between levels of one layer
LEAST_SPACING_PX = 0.4
MOST_LEVELS = 8


@dataclass(frozen=True)
class LinearLayer:
    """One surface in linear light."""

    light: Tensor  # (3, S, S), >= 0, above 1 in restored highlights
    alpha: Tensor | None  # (1, S, S) in [0, 1]; None is opaque everywhere
    radius_px: Tensor  # (S, S), signed, positive behind the plane of focus


@dataclass(frozen=True)
class LensBlur:
    """What the lens does to every layer."""

    aperture: Aperture
    colour_shift_px: float = 0.0
    diffraction_px: float = 0.0

    def point_spread_functions(self, signed_radius_px: float) -> list[np.ndarray]:
        """One PSF per channel (R, G, B). `aperture` is the shape behind the plane of focus."""
        aperture = self.aperture if signed_radius_px >= 0 else self.aperture.across_focus()
        return [
            aperture.point_spread_function(radius, diffraction_px=self.diffraction_px)
            for radius in channel_radii(signed_radius_px, self.colour_shift_px)
        ]


def blur_layers(layers: list[LinearLayer], lens: LensBlur) -> Tensor:
    """The photo (3, S, S) in linear light that `lens` takes of `layers`, given back to front."""
    photo = torch.zeros_like(layers[0].light)
    for layer in layers:
        light, alpha = _blur_layer(layer, lens)
        photo = light if alpha is None else photo * (1 - alpha) + light
    return photo


def all_in_focus(layers: list[LinearLayer]) -> tuple[Tensor, Tensor]:
    """The photo (3, S, S) a pinhole would take, and the signed radius (S, S) of what it shows."""
    photo, radius = layers[0].light, layers[0].radius_px
    for layer in layers[1:]:
        assert layer.alpha is not None
        photo = photo * (1 - layer.alpha) + layer.light * layer.alpha
        radius = torch.where(layer.alpha[0] > 0.5, layer.radius_px, radius)
    return photo, radius


def _blur_layer(layer: LinearLayer, lens: LensBlur) -> tuple[Tensor, Tensor | None]:
    """Light (3, S, S), already weighted by coverage, and coverage (3, S, S) or None if opaque."""
    levels = _levels(float(layer.radius_px.min()), float(layer.radius_px.max()))
    if layer.alpha is None and len(levels) == 1 and levels[0] == 0:
        return layer.light, None
    kernels = _transfer_functions(levels, lens, layer.light)  # (n, 3, S, S/2 + 1)
    shares = _hat_weights(layer.radius_px, levels)  # (n, 1, S, S), sums to 1 over n
    cover = torch.ones_like(shares[:1]) if layer.alpha is None else layer.alpha[None]
    light = _scatter(shares * (layer.light * cover[0]), kernels)
    if len(levels) == 1:  # every point has the same PSF: nothing to normalise
        return light, None if layer.alpha is None else _scatter(shares * cover, kernels)
    # Where the radius changes, neighbours give and take unequal amounts; a flat wall stays flat.
    received = _scatter(shares, kernels).clamp_min(1e-4)
    if layer.alpha is None:
        return light / received, None
    return light / received, (_scatter(shares * cover, kernels) / received).clamp(0, 1)


def _levels(low: float, high: float) -> list[float]:
    """Signed radii at which a layer is blurred, from `low` to `high`."""
    if high - low < 1e-3:
        return [(low + high) / 2]
    spacing = max(LEAST_SPACING_PX, LEVEL_SPACING * max(abs(low), abs(high)))
    count = min(MOST_LEVELS, 1 + math.ceil((high - low) / spacing))
    return np.linspace(low, high, max(count, 2)).tolist()


def _hat_weights(radius_px: Tensor, levels: list[float]) -> Tensor:
    """Share (n, 1, S, S) of every level at every point; linear between neighbouring levels."""
    if len(levels) == 1:
        return torch.ones_like(radius_px)[None, None]
    step = levels[1] - levels[0]
    position = (radius_px - levels[0]) / step
    index = torch.arange(len(levels), device=radius_px.device).view(-1, 1, 1)
    return (1 - (position - index).abs()).clamp_min(0)[:, None]


def _transfer_functions(levels: list[float], lens: LensBlur, like: Tensor) -> Tensor:
    """Fourier transforms (n, 3, S, S/2 + 1) of the PSFs, centred on pixel (0, 0)."""
    side = like.shape[-1]
    kernels = np.zeros((len(levels), 3, side, side), np.float32)
    for level, radius in enumerate(levels):
        for channel, psf in enumerate(lens.point_spread_functions(radius)):
            reach = psf.shape[0] // 2
            index = np.arange(-reach, reach + 1)
            kernels[level, channel][np.ix_(index, index)] = psf
    return torch.fft.rfft2(torch.from_numpy(kernels).to(like.device))


def _scatter(points: Tensor, kernels: Tensor) -> Tensor:
    """Sum over n of points (n, 1 or 3, S, S) spread by kernels (n, 3, ...): (3, S, S)."""
    spread = (torch.fft.rfft2(points) * kernels).sum(dim=0)
    return torch.fft.irfft2(spread, s=points.shape[-2:])
