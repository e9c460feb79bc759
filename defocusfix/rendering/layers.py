"""Layered defocus, correct at occlusions, in linear light, for batches of scenes.

Each layer is scattered: a point spreads its own light by its own point spread function before
layers are put together, so that a blurred foreground bleeds over a sharp background and not the
other way round. Radius varying within a layer is interpolated between a few levels. Convolutions
run as products of Fourier transforms; the transform wraps around, into the margin that is cut away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from defocusfix.rendering.lens import Spread

Inside = tuple[slice, slice]  # rows and columns to keep


@dataclass(frozen=True)
class LinearLayer:
    """One surface each of N scenes of a batch, all at the same place in the order of layers."""

    light: Tensor  # (N, 3, H, W), >= 0, above 1 in restored highlights
    alpha: Tensor | None  # (N, 1, H, W) in [0, 1]; None is opaque everywhere
    radius_px: Tensor  # (N, H, W), signed, positive behind the plane of focus
    spreads: tuple[Spread, ...]  # N; their radii cover those of the surface
    scenes: tuple[int, ...]  # N, numbers in the batch; the others have no layer at this place


def blur_layers(layers: Sequence[LinearLayer], inside: Inside) -> Tensor:
    """What lenses make of `layers`, back to front: the insides of B photos in linear light.

    (B, 3, rows, columns). The first layer holds all B scenes. The result is right where no point
    spread function reaches from there beyond the layers' borders.
    """
    light = layers[0].light[(..., *inside)]
    photo = torch.empty_like(light, memory_format=torch.contiguous_format)
    for layer in layers:
        for part in _parts(layer):
            seen, cover = _blurred(part, inside)
            where = torch.tensor(part.scenes, device=photo.device)
            photo[where] = seen if cover is None else photo[where] * (1 - cover) + seen
    return photo


def all_in_focus(layers: Sequence[LinearLayer], inside: Inside) -> tuple[Tensor, Tensor]:
    """What a pinhole makes of `layers`, and the signed radius of what it shows.

    (B, 3, rows, columns) and (B, rows, columns).
    """
    photo = layers[0].light[(..., *inside)].clone()
    radius = layers[0].radius_px[(..., *inside)].clone()
    for layer in layers[1:]:
        assert layer.alpha is not None
        where = torch.tensor(layer.scenes, device=photo.device)
        alpha = layer.alpha[(..., *inside)]
        photo[where] = torch.lerp(photo[where], layer.light[(..., *inside)], alpha)
        front = layer.radius_px[(..., *inside)]
        radius[where] = torch.where(alpha[:, 0] > 0.5, front, radius[where])
    return photo, radius


def _parts(layer: LinearLayer) -> Iterator[LinearLayer]:
    """The layer's surfaces by the work they make: none, one convolution, or several levels.

    Within a part, surfaces of more levels come first.
    """
    kinds: dict[int, list[int]] = {}
    levels = [len(spread.radii_px) for spread in layer.spreads]
    for index in sorted(range(len(levels)), key=lambda index: -levels[index]):
        kind = 0 if layer.spreads[index].is_identity else min(levels[index], 2)
        kinds.setdefault(kind, []).append(index)
    if len(kinds) == 1 and next(iter(kinds.values())) == list(range(len(levels))):
        yield layer  # nothing to sort out, nothing to copy
        return
    for indices in kinds.values():
        where = torch.tensor(indices, device=layer.light.device)
        yield replace(
            layer,
            light=layer.light[where],
            alpha=None if layer.alpha is None else layer.alpha[where],
            radius_px=layer.radius_px[where],
            spreads=tuple(layer.spreads[index] for index in indices),
            scenes=tuple(layer.scenes[index] for index in indices),
        )


def _blurred(part: LinearLayer, inside: Inside) -> tuple[Tensor, Tensor | None]:
    """The inside of blurred surfaces: light, already weighted by coverage, and coverage.

    part: surfaces of one kind, see `_parts`. Coverage has 1 or 3 channels, or is None if opaque.
    """
    covered = part.light if part.alpha is None else part.light * part.alpha
    if part.spreads[0].is_identity:
        cover = None if part.alpha is None else part.alpha[(..., *inside)]
        return covered[(..., *inside)], cover
    sources = [covered] if part.alpha is None else [covered, part.alpha]
    has_one_radius = len(part.spreads[0].radii_px) == 1
    if not has_one_radius:
        sources.append(torch.ones_like(covered[:, :1]))
    arrived = [
        torch.fft.irfft2(spectrum, s=covered.shape[-2:])[(..., *inside)]
        for spectrum in _scattered(part, sources)
    ]
    if not has_one_radius:
        # Neighbours of other radius give and take unequal amounts; a flat wall stays flat.
        received = arrived.pop().clamp_min(1e-4)
        arrived = [image / received for image in arrived]
    light, *covers = arrived
    return light, covers[0].clamp(0, 1) if covers else None


def _scattered(part: LinearLayer, sources: list[Tensor]) -> list[Tensor]:
    """Spectra of what arrives from each of `sources` (N, 1 or 3, H, W)."""
    levels = [len(spread.radii_px) for spread in part.spreads]
    position = _positions(part) if levels[0] > 1 else None
    arrived: list[Tensor] = []
    for level in range(levels[0]):
        count = sum(of_surface > level for of_surface in levels)  # the first ones have the most
        sent = [source[:count] for source in sources]
        if position is not None:
            shares = (1 - (position[:count] - level).abs()).clamp_min(0)
            sent = [source * shares for source in sent]
        psfs = [spread.psfs[level] for spread in part.spreads[:count]]
        kernels = _transfer_functions(psfs, part.light)
        spectra = [torch.fft.rfft2(source) * kernels for source in sent]
        for total, spectrum in zip(arrived, spectra, strict=False):
            total[:count] += spectrum
        arrived = arrived or spectra
    return arrived


def _positions(part: LinearLayer) -> Tensor:
    """Where each point's radius lies among its surface's levels, (N, 1, H, W), counted from 0.

    At -1 or less, or beyond the last level by 1 or more, are points that are not on the surface.
    """
    found = []
    for spread, radius_px in zip(part.spreads, part.radius_px, strict=True):
        levels = torch.tensor(spread.radii_px, device=radius_px.device)
        above = torch.bucketize(radius_px.contiguous(), levels).clamp(1, len(levels) - 1)
        low, high = levels[above - 1], levels[above]
        found.append(above - 1 + (radius_px - low) / (high - low))
    return torch.stack(found)[:, None]  # (N, 1, H, W)


def _transfer_functions(psfs: list[np.ndarray], like: Tensor) -> Tensor:
    """Fourier transforms (N, C, H, W/2 + 1) of N PSFs (C, K, K), centred on pixel (0, 0).

    C is 1 or 3; all of one batch have the larger number.
    """
    channels = max(len(psf) for psf in psfs)
    half = max(psf.shape[-1] // 2 for psf in psfs)
    joined = np.zeros((len(psfs), channels, 2 * half + 1, 2 * half + 1), np.float32)
    for index, psf in enumerate(psfs):
        rim = half - psf.shape[-1] // 2
        joined[index, :, rim : rim + psf.shape[-1], rim : rim + psf.shape[-1]] = psf
    kernels = like.new_zeros(len(psfs), channels, *like.shape[-2:])
    drawn = torch.from_numpy(joined).to(like.device)
    centre, before = slice(None, half + 1), slice(-half, None)
    kernels[..., centre, centre] = drawn[..., half:, half:]
    if half:
        kernels[..., centre, before] = drawn[..., half:, :half]
        kernels[..., before, centre] = drawn[..., :half, half:]
        kernels[..., before, before] = drawn[..., :half, :half]
    return torch.fft.rfft2(kernels)
