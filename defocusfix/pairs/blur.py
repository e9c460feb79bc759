"""How blurred the blurred photo of a pair is, read from both photos together.

The sharp photo, blurred by a disc of the right radius, has the blurred one's detail. That radius
is looked for tile by tile, where there is enough detail to tell, by comparing the energies of
slopes: they hardly change when the two photos do not quite line up, which comparing pixels would
take for blur. Energies of all radii come from one transform of a tile: a disc is a factor on each
frequency. The same transforms say, by phase correlation, how far a tile moved and whether the two
photos show the same there.

A large blur is measured on reduced photos, where it is small; a small one at full size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.optics.psf import disc
from defocusfix.pairs.geometry import PairGeometry, matrix_at
from defocusfix.pairs.pixels import as_float, reduced
from defocusfix.photo.pixels import Pixels
from defocusfix.registration.exposure import Gains, with_gains
from defocusfix.registration.global_ecc import LUMINANCE
from defocusfix.registration.warp import FloatImage

TILE_PX: Final = 64
MOST_TILES_PER_SIDE: Final = 14
COARSEST_SIDE_PX: Final = 160  # of the shorter side; the search for the scale begins there
FINE_ENOUGH_PX: Final = 3.0  # a strong blur of at least this is measured well at its scale
ENOUGH_TILES: Final = 20  # fewer say too little to stay at a coarse scale
RADII_PX: Final = np.array([0, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16])
GRAIN_SIGMA_PX: Final = 1.0  # keeps noise and JPEG grain from counting as detail
LEAST_SLOPE: Final = 0.007  # root mean square, in display values per pixel; below, a tile is flat
SLOPE_OVER_NOISE: Final = 3.0
LEAST_RADIUS_PX: Final = 0.75  # below, one photo of a tile is as sharp as the other
LEAST_CORRELATION: Final = 0.55  # of a tile that shows the same in both photos
FITTING_PX: Final = 6.0  # the kernels reach 7 px, and networks do best at 2 to 6
LARGEST_SCALE: Final = 16
LARGEST_STEP_PX: Final = 6  # looked for around where a tile should lie

Floats = npt.NDArray[np.float64]
Spectra = npt.NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class PairBlur:
    """What was measured. Radii are those of a disc, in pixels of the whole photo."""

    median_px: float
    """Half of all tiles are blurred less."""
    high_px: float
    """Nine tenths of all tiles are blurred less."""
    share_blurred: float
    """Of the tiles with detail: where the sharp photo is the sharper one."""
    share_reversed: float
    """Where the blurred photo is the sharper one."""
    share_moved: float
    """Where the two do not show the same: things that moved, shadows, reflections."""
    parallax_px: float
    """How far tiles typically lie from where one shift, turn and zoom would put them."""
    tiles: int
    """With enough detail to tell; below 1 all else is 0."""


NOTHING_TO_TELL: Final = PairBlur(0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Tiles:
    """What was measured at one scale, tile by tile, in pixels of that scale."""

    radius_px: Floats
    """Negative where the blurred photo is the sharper one."""
    correlation: Floats
    shift_px: Floats


_NO_TILES: Final = _Tiles(*np.zeros((3, 0)))


def measure_blur(blurred: Pixels, sharp: Pixels, geometry: PairGeometry) -> PairBlur:
    """The blur of one photo of a pair against the other; both of one size, stored values.

    geometry: how they lie over each other; where it was not found, the same places are compared.
    """
    factor = 1
    while min(blurred.shape[:2]) // (2 * factor) >= COARSEST_SIDE_PX:
        factor *= 2
    while True:
        found = _measured(reduced(blurred, factor), reduced(sharp, factor), geometry, factor)
        if factor == 1 or (len(found.radius_px) >= ENOUGH_TILES and _high(found) >= FINE_ENOUGH_PX):
            return _summary(found, factor)
        factor //= 2


def training_scale(blur: PairBlur) -> int:
    """The whole factor, at least 1, that reduces the strong blur to what the kernels hold."""
    return int(np.clip(np.ceil(blur.high_px / FITTING_PX - 0.1), 1, LARGEST_SCALE))


def _summary(found: _Tiles, factor: int) -> PairBlur:
    count = len(found.radius_px)
    if count == 0:
        return NOTHING_TO_TELL
    same = found.correlation >= LEAST_CORRELATION
    radii = np.maximum(found.radius_px[same] if same.any() else found.radius_px, 0) * factor
    shifts = found.shift_px[same] if same.any() else found.shift_px
    return PairBlur(
        median_px=float(np.median(radii)),
        high_px=float(np.percentile(radii, 90)),
        share_blurred=float((found.radius_px >= LEAST_RADIUS_PX).mean()),
        share_reversed=float((found.radius_px <= -LEAST_RADIUS_PX).mean()),
        share_moved=float(1 - same.mean()),
        parallax_px=float(np.median(shifts)) * factor,
        tiles=count,
    )


def _high(found: _Tiles) -> float:
    return float(np.percentile(np.abs(found.radius_px), 90))


def _measured(blurred: Pixels, sharp: Pixels, geometry: PairGeometry, factor: int) -> _Tiles:
    """Radii of the tiles with detail; both photos reduced by `factor`, the geometry is not."""
    pairs = list(_tile_pairs(blurred, sharp, matrix_at(geometry.matrix, factor), geometry.gains))
    if not pairs:
        return _NO_TILES
    inputs, targets = (_spectra(np.stack(tiles)) for tiles in zip(*pairs, strict=True))
    noise = _noise(inputs), _noise(targets)
    input_energy, target_energy = _energies(inputs, noise[0]), _energies(targets, noise[1])
    detail = np.maximum(input_energy[:, 0], target_energy[:, 0])
    has_detail = detail > max(LEAST_SLOPE**2, SLOPE_OVER_NOISE**2 * max(noise) * _slopes().sum())
    radius = np.where(
        target_energy[:, 0] >= input_energy[:, 0],
        _radius(target_energy, input_energy[:, 0]),
        -_radius(input_energy, target_energy[:, 0]),
    )
    if not has_detail.any():
        return _NO_TILES
    chosen = (values[has_detail] for values in (inputs, targets, radius))
    return _with_agreement(*chosen)


def _tile_pairs(
    blurred: Pixels, sharp: Pixels, matrix: Floats, gains: Gains
) -> Iterator[tuple[FloatImage, FloatImage]]:
    """Luminance of tiles evenly over the photo, blurred and sharp in line, (64, 64) each."""
    height, width = blurred.shape[:2]
    corners = np.array([[0, 0, 1], [TILE_PX, 0, 1], [0, TILE_PX, 1], [TILE_PX, TILE_PX, 1]]).T
    for top in _starts(height):
        for left in _starts(width):
            here = matrix.copy()
            here[:, 2] = matrix @ [left, top, 1]
            there = here @ corners
            if there.min() < 0 or (there.max(axis=1) > (width - 1, height - 1)).any():
                continue
            sampled = cv2.warpAffine(
                sharp, here, (TILE_PX, TILE_PX), flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
            )
            target = with_gains(as_float(np.atleast_3d(sampled)), gains)
            tile = as_float(blurred[top : top + TILE_PX, left : left + TILE_PX])
            yield np.clip(tile, 0, 1) @ LUMINANCE, target @ LUMINANCE


def _starts(length: int) -> list[int]:
    """Where tiles begin along a side: half over each other, or apart where they were too many."""
    count = min(max(2 * (length // TILE_PX) - 1, 0), MOST_TILES_PER_SIDE)
    return [int(start) for start in np.linspace(0, length - TILE_PX, count)]


def _spectra(tiles: FloatImage) -> Spectra:
    """(N, 64, 64), so that squares add up to the mean square of a tile around its mean."""
    window = np.outer(np.hanning(TILE_PX), np.hanning(TILE_PX))
    means = (tiles * window).sum(axis=(1, 2), keepdims=True) / window.sum()
    size = np.sqrt(window.size * np.square(window).sum())
    return np.asarray(np.fft.fft2((tiles - means) * window) / size)


def _noise(spectra: Spectra) -> float:
    """Mean square of noise per frequency: what the calmest tiles have where no detail reaches."""
    power = np.square(np.abs(spectra))[:, _frequency() > 0.5].mean(axis=1)
    return float(np.percentile(power, 10))


def _energies(spectra: Spectra, noise: float) -> Floats:
    """(N, radii): mean square slope of each tile blurred by each disc."""
    clean = np.maximum(np.square(np.abs(spectra)) - noise, 0)
    weights = _slopes() * np.square(_discs())  # (radii, 64, 64)
    energies: Floats = np.tensordot(clean, weights, axes=([1, 2], [1, 2]))
    return np.maximum(energies, np.finfo(np.float64).tiny)


def _radius(energies: Floats, wanted: Floats) -> Floats:
    """The radius at which each tile's energy has fallen to the wanted one."""
    falling = np.log(np.minimum.accumulate(energies, axis=1))
    level = np.log(wanted)[:, None]
    after = np.clip((falling > level).sum(axis=1), 1, len(RADII_PX) - 1)
    rows = np.arange(len(after))
    above, below = falling[rows, after - 1], falling[rows, after]
    share = (above - level[:, 0]) / np.maximum(above - below, 1e-9)
    radius: Floats = RADII_PX[after - 1] + np.clip(share, 0, 1) * np.diff(RADII_PX)[after - 1]
    return radius


def _with_agreement(inputs: Spectra, targets: Spectra, radius: Floats) -> _Tiles:
    """The best correlation of each tile, equally blurred, within a few pixels, and its shift."""
    nearest = np.abs(RADII_PX[None] - np.abs(radius)[:, None]).argmin(axis=1)
    blur = _discs()[nearest] * np.sqrt(_slopes())
    plain = np.sqrt(_slopes())
    is_input_sharper = (radius < 0)[:, None, None]
    first = inputs * np.where(is_input_sharper, blur, plain)
    second = targets * np.where(is_input_sharper, plain, blur)
    correlation = np.fft.ifft2(first * second.conj()).real * TILE_PX**2
    power = [np.square(np.abs(spectra)).sum(axis=(1, 2)) for spectra in (first, second)]
    correlation /= np.sqrt(np.maximum(power[0] * power[1], 1e-30))[:, None, None]
    steps = np.arange(-LARGEST_STEP_PX, LARGEST_STEP_PX + 1)
    near = correlation[:, steps[:, None], steps].reshape(len(radius), -1)
    best = near.argmax(axis=1)
    distance = np.hypot(steps[:, None], steps).ravel()
    return _Tiles(radius, near[np.arange(len(radius)), best], distance[best])


@cache
def _frequency() -> Floats:
    """(64, 64), in cycles per pixel."""
    along = np.fft.fftfreq(TILE_PX)
    return np.asarray(np.hypot(along[:, None], along))


@cache
def _slopes() -> Floats:
    """(64, 64): what a frequency adds to the mean square slope, once grain is smoothed away."""
    angular = 2 * np.pi * _frequency()
    return np.asarray(np.square(angular) * np.exp(-np.square(angular * GRAIN_SIGMA_PX)))


@cache
def _discs() -> Floats:
    """(radii, 64, 64): what a disc of each radius leaves of a frequency."""
    transfers = []
    for radius in RADII_PX:
        psf = disc(float(radius))
        whole = np.zeros((TILE_PX, TILE_PX))
        whole[: len(psf), : len(psf)] = psf
        middle = len(psf) // 2
        transfers.append(np.fft.fft2(np.roll(whole, (-middle, -middle), (0, 1))).real)
    return np.stack(transfers)
