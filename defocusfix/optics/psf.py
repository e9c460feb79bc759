"""Point spread functions of defocused lenses: what the lens makes of one point of light.

A blur disc is the picture of the aperture, seen from the point. Its size is a radius in
pixels, its shape an `Aperture`: round or bladed, cut by the lens barrel (cat's eye), with a
bright rim or a bright centre (spherical aberration), with a hard or a soft edge.

How a shape becomes pixels. The weights of a psf act on pixel values, which already are area
averages, so a psf must not average over the pixel once more: its transfer function should be
that of the shape itself, 2 J1(wr) / (wr) for a disc. Sampling without aliasing needs some
smoothing all the same. Each point of a finely sampled shape is therefore shared out
bilinearly among its four pixels, which keeps the centroid exactly and widens the shape by a
known variance, and the shape is drawn smaller by just that variance. The psf then has the
root mean square radius of the shape to within 1 %, 2.5 % with a strongly lit rim. A shape too
small for this (a disc below `SMALLEST_DRAWN_RADIUS`) is a mixture of the smallest one drawn
and of the identity. The second moment is the leading term of any transfer function, so the
mixture is right to that order, and it rises smoothly from the identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Psf = NDArray[np.float32]
Floats = NDArray[np.float64]

SMALLEST_DRAWN_RADIUS = 1.35  # of a disc, px; drawn, its variance is 0.5 % off
FINE_SAMPLES = 56  # samples along a side, about; from there on one per pixel is enough
GAUSSIAN_REACH = 3.5  # standard deviations kept, and half a pixel: 98 % of the variance
SURVEY_HALF = 48  # samples from the centre to the rim when a shape is surveyed


@dataclass(frozen=True, slots=True)
class Aperture:
    """The shape of a blur disc, apart from its size. Angles in radians, x right, y down.

    The radius handed to `point_spread_function` is that of the circle around the whole
    aperture: a polygon has its corners on it, a cat's eye is what remains of it.
    """

    blades: int = 0
    """Straight aperture blades, 3 or more; 0 is a round opening."""
    rotation: float = 0.0
    """Direction of one corner of the polygon."""
    roundness: float = 0.0
    """How far the blades bulge: 0 straight edges, 1 a full circle. Without blades no effect."""
    cats_eye: float = 0.0
    """Offset of a second, equal circle that cuts the first, in radii, 0 to 1; 0 is no cut."""
    field_angle: float = 0.0
    """Direction of that offset: from the optical axis to the point in the picture."""
    spherical: float = 0.0
    """Spherical aberration, -1 to 1: positive brightens the rim, negative the centre."""
    softness: float = 0.0
    """Share of the blur's variance that a Gaussian laid over the shape makes, 0 to 1: at 0 the
    edge is hard, at 1 the blur is a Gaussian. The second moment stays."""

    def __post_init__(self) -> None:
        numbers = (self.rotation, self.field_angle, self.spherical, self.softness)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"an aperture needs finite numbers, not {self}")
        if self.blades < 0 or self.blades in (1, 2):
            raise ValueError(f"blades must be 0 (round) or at least 3, not {self.blades}")
        if not 0 <= self.roundness <= 1:
            raise ValueError(f"roundness must lie in 0..1, not {self.roundness}")
        if not 0 <= self.cats_eye <= 1:
            raise ValueError(f"cats_eye must lie in 0..1, not {self.cats_eye}")
        if not -1 <= self.spherical <= 1:
            raise ValueError(f"spherical must lie in -1..1, not {self.spherical}")
        if not 0 <= self.softness <= 1:
            raise ValueError(f"softness must lie in 0..1, not {self.softness}")

    def point_spread_function(self, radius_px: float, *, diffraction_px: float = 0.0) -> Psf:
        """Image of one point: (K, K), K odd, non-negative, sums to 1, centroid in the middle.

        radius_px: blur radius, 0 or more; 0 without diffraction gives the 1x1 identity.
        diffraction_px: standard deviation of a Gaussian convolved in. It stands for the core
        of the Airy pattern, whose own is about 0.42 * wavelength * f-number, and for
        whatever else softens the whole picture alike.
        Raises ValueError if either is negative or not finite.
        """
        _refuse_unless_length("radius_px", radius_px)
        _refuse_unless_length("diffraction_px", diffraction_px)
        psf = _drawn_to_size(self, radius_px * math.sqrt(1 - self.softness))
        sigma = diffraction_px
        if self.softness > 0:
            deviation = radius_px * math.sqrt(_survey(self).mean_square / 2)  # per axis
            sigma = math.hypot(deviation * math.sqrt(self.softness), diffraction_px)
        if sigma > 0:
            psf = _softened(psf, sigma)
        return psf.astype(np.float32)

    def seen_from(self, x: float, y: float, *, vignetting: float) -> Aperture:
        """The aperture as a point at (x, y) in the picture sees it, cut by the barrel of the lens.

        x, y: from the optical axis, in half diagonals, so that the corners lie at distance 1; x
        right, y down. vignetting: `cats_eye` in the corners, 0 to 1; the rims of the front and of
        the rear of a barrel lie farther apart in proportion to the distance from the axis.
        Raises ValueError if the cut would lie outside 0..1.
        """
        distance = math.hypot(x, y)
        return replace(self, cats_eye=vignetting * distance, field_angle=math.atan2(y, x))

    def light(self, x: Floats, y: Floats, rim: float) -> Floats:
        """Light through the pupil points (y, x), (len(y), len(x)), 0 outside, not normalised.

        x, y: positions from the centroid of the light, in radii of the aperture. rim: width of
        the linear ramp that the edge is drawn with, in radii. `softness` is no matter of the
        pupil and has no effect.
        """
        survey = _survey(self)
        return _light(self, x + survey.x, y + survey.y, rim)

    @property
    def mean_square(self) -> float:
        """Mean squared distance of the light from its centroid, in radii squared; 1/2 for a disc.

        Without `softness`, which leaves the second moment as it is.
        """
        return _survey(self).mean_square

    @property
    def extent(self) -> float:
        """Largest distance of any light from the centroid along x or y, in radii."""
        return _survey(self).extent

    def across_focus(self) -> Aperture:
        """The same aperture as a point on the other side of the plane of focus shows it.

        Rays cross at the focus: the shape turns by half a turn, and spherical aberration
        brightens the centre instead of the rim.
        """
        return replace(
            self,
            rotation=self.rotation + math.pi,
            field_angle=self.field_angle + math.pi,
            spherical=-self.spherical,
        )


def disc(radius_px: float) -> Psf:
    """Uniform round blur disc: (K, K), sums to 1. RMS radius is radius_px / sqrt(2)."""
    return Aperture().point_spread_function(radius_px)


def gaussian(sigma_px: float) -> Psf:
    """Round Gaussian of standard deviation `sigma_px` per axis: (K, K), sums to 1.

    0 gives the 1x1 identity. Raises ValueError if sigma_px is negative or not finite.
    """
    _refuse_unless_length("sigma_px", sigma_px)
    if sigma_px == 0:
        return np.ones((1, 1), np.float32)
    taps = _gaussian_taps(sigma_px)
    both_sides = np.concatenate((taps[:0:-1], taps))
    return np.outer(both_sides, both_sides).astype(np.float32)


def butterworth(radius_px: float, order: int = 3, cutoff: float = 2.5, floor: float = 0.1) -> Psf:
    """Ring-like blur disc with a weaker centre: (K, K), sums to 1.

    order: steepness of the rise from centre to rim. cutoff: the rise is half done at
    2 * radius / cutoff from the centre. floor: weight of the centre, the largest being 1.
    A fractional radius blends its two whole neighbours, as reblurring with a map does.
    Raises ValueError if radius_px is negative or not finite.

    Source: Abuolaim et al., Learning to Reduce Defocus Blur by Realistically Modeling
    Dual-Pixel Data, ICCV 2021, with the sizes and constants of DefocusGAN (arXiv 2211.14017).
    """
    _refuse_unless_length("radius_px", radius_px)
    below = math.floor(radius_px)
    share = radius_px - below
    smaller = _whole_butterworth(below, order, cutoff, floor)
    if share == 0:
        return smaller.astype(np.float32)
    larger = _whole_butterworth(below + 1, order, cutoff, floor)
    blend = share * larger
    margin = (len(larger) - len(smaller)) // 2
    inner = slice(margin, margin + len(smaller))
    blend[inner, inner] += (1 - share) * smaller
    return blend.astype(np.float32)


def second_moment_radius(psf: NDArray[np.floating]) -> float:
    """RMS distance from the middle of the grid, sqrt(mean x^2 + mean y^2), in pixels.

    psf: (K, K), K odd; need not be normalised. A uniform disc of radius r has r / sqrt(2).
    """
    squares = (np.arange(len(psf)) - len(psf) // 2) ** 2
    weights = psf.astype(np.float64)
    moment = weights.sum(0) @ squares + weights.sum(1) @ squares
    return math.sqrt(moment / weights.sum())


def channel_radii(signed_radius_px: float, shift_px: float) -> tuple[float, float, float]:
    """Blur radii of red, green and blue with longitudinal chromatic aberration, each >= 0.

    signed_radius_px: radius in green, positive behind the plane of focus.
    shift_px: by how much red's signed radius exceeds green's, and green's blue's.
    """
    return (
        abs(signed_radius_px + shift_px),
        abs(signed_radius_px),
        abs(signed_radius_px - shift_px),
    )


def random_aperture(rng: np.random.Generator) -> Aperture:
    """One of the shapes that photographs show: round, bladed or cut by the barrel.

    Of a hundred, about 48 are round, 26 polygons of 5 to 9 blades, 26 cat's eyes, a third of
    these bladed as well. Most are close to evenly lit, some ring-like. 60 are nearly hard, as the
    blur of most cameras is, 32 as soft as that of a Lytro (benchmarks/blur_shapes.py) and 8 on the
    way to a Gaussian.
    """
    kind = rng.choice(("round", "bladed", "cats_eye"), p=(0.48, 0.26, 0.26))
    is_bladed = kind == "bladed" or (kind == "cats_eye" and rng.random() < 1 / 3)
    softness = ((0.0, 0.15), (0.1, 0.45), (0.4, 1.0))[rng.choice(3, p=(0.6, 0.32, 0.08))]
    return Aperture(
        blades=int(rng.integers(5, 10)) if is_bladed else 0,
        rotation=float(rng.uniform(0, 2 * math.pi)),
        roundness=float(rng.uniform(0, 0.9)) if is_bladed else 0.0,
        cats_eye=float(rng.uniform(0.1, 0.8)) if kind == "cats_eye" else 0.0,
        field_angle=float(rng.uniform(0, 2 * math.pi)),
        spherical=float(np.clip(rng.normal(0, 0.35), -1, 1)),
        softness=float(rng.uniform(*softness)),
    )


class _Survey(NamedTuple):
    """What drawing an aperture needs to know of it, in units of its radius."""

    x: float  # centroid of the light
    y: float
    mean_square: float  # mean squared distance from the centroid
    extent: float  # largest |x| or |y| of any light, from the centroid


@lru_cache(maxsize=256)
def _survey(aperture: Aperture) -> _Survey:
    step = 1 / SURVEY_HALF
    along = np.linspace(-1 - step, 1 + step, 2 * SURVEY_HALF + 3)
    light = _light(aperture, along, along, step)
    total = light.sum()
    columns, rows = light.sum(0) / total, light.sum(1) / total
    x, y = float(columns @ along), float(rows @ along)
    mean_square = float(columns @ (along - x) ** 2 + rows @ (along - y) ** 2)
    reach = max(
        np.abs(along[columns > 0] - x).max(),
        np.abs(along[rows > 0] - y).max(),
    )
    return _Survey(x, y, mean_square, float(reach) + step / 2)


def _light(aperture: Aperture, x: Floats, y: Floats, rim: float) -> Floats:
    """Light at the pupil points (y, x), both in radii: (len(y), len(x)), not normalised.

    rim: width of the linear ramp that the edge is drawn with, in radii.
    """
    across, down = x[None, :], y[:, None]
    square = across * across + down * down
    distance = np.sqrt(square)
    depth = 1 - distance if aperture.blades == 0 else _blade_depth(aperture, x, y, distance)
    if aperture.cats_eye > 0:
        cut_x = x - aperture.cats_eye * math.cos(aperture.field_angle)
        cut_y = y - aperture.cats_eye * math.sin(aperture.field_angle)
        depth = np.minimum(depth, 1 - np.hypot(cut_x[None, :], cut_y[:, None]))
    light: Floats = np.clip(depth / rim + 0.5, 0, 1)
    if aperture.spherical != 0:
        # Rays of third-order spherical aberration land at p + b p^3 of the pupil radius p, with
        # density p dp / (q dq) = 1 - 4 b p^2 to first order: linear in p^2, here with mean 1.
        light *= 1 + aperture.spherical * (2 * np.minimum(square, 1) - 1)
    return light


def _blade_depth(aperture: Aperture, x: Floats, y: Floats, distance: Floats) -> Floats:
    """How far inside the blades each point lies, in radii; negative outside."""
    half_angle = math.pi / aperture.blades
    apothem = math.cos(half_angle)
    normals = aperture.rotation + half_angle * (2 * np.arange(aperture.blades) + 1)
    along_x, along_y = np.outer(np.cos(normals), x), np.outer(np.sin(normals), y)
    farthest = along_x[0][None, :] + along_y[0][:, None]
    for of_x, of_y in zip(along_x[1:], along_y[1:], strict=True):
        np.maximum(farthest, of_x[None, :] + of_y[:, None], out=farthest)
    straight = 1 - aperture.roundness
    gauge = farthest * (straight / apothem) + aperture.roundness * distance  # 1 on the rim
    slope = straight / apothem + aperture.roundness
    depth: Floats = (1 - gauge) / slope
    return depth


def _drawn_to_size(aperture: Aperture, radius_px: float) -> Floats:
    if radius_px == 0:
        return np.ones((1, 1))
    smallest = SMALLEST_DRAWN_RADIUS * math.sqrt(0.5 / _survey(aperture).mean_square)
    if radius_px >= smallest:
        return _drawn(aperture, radius_px)
    share = (radius_px / smallest) ** 2
    psf = share * _drawn(aperture, smallest)
    psf[len(psf) // 2, len(psf) // 2] += 1 - share
    return psf


def _drawn(aperture: Aperture, radius_px: float) -> Floats:
    """The shape on the pixel grid, its second moment kept; radius at least the smallest drawn."""
    survey = _survey(aperture)
    fineness = max(1, round(FINE_SAMPLES / (2 * radius_px + 2)) // 2 * 2 + 1)
    # Variance per axis: bilinear sharing of points 1/fineness apart, and their ramp at the rim.
    widening = (1 - 1 / fineness**2) / 6 + 1 / (12 * fineness**2)
    drawn_radius = math.sqrt(radius_px**2 - 2 * widening / survey.mean_square)
    half = math.ceil(drawn_radius * survey.extent + 0.5 / fineness)
    points, sharing = _grid(half, fineness)
    scaled = points / drawn_radius
    light = _light(aperture, scaled + survey.x, scaled + survey.y, 1 / (fineness * drawn_radius))
    psf = _trimmed(sharing @ light @ sharing.T)
    psf /= psf.sum()
    return psf


@lru_cache(maxsize=256)
def _grid(half: int, fineness: int) -> tuple[Floats, Floats]:
    """Sample positions along one side in pixels, and the (pixel, sample) bilinear shares."""
    count = (2 * half + 1) * fineness
    points = (np.arange(count) - (count - 1) / 2) / fineness
    pixels = np.arange(-half, half + 1)
    sharing = np.maximum(1 - np.abs(pixels[:, None] - points[None, :]), 0)
    points.flags.writeable = sharing.flags.writeable = False  # shared by every caller
    return points, sharing


def _trimmed(psf: Floats) -> Floats:
    """Without the outer rings that hold no light."""
    lit = (psf.max(0) > 0) | (psf.max(1) > 0)
    margin = int(min(lit.argmax(), lit[::-1].argmax()))
    return psf[margin : len(psf) - margin, margin : len(psf) - margin]


def _softened(psf: Floats, sigma_px: float) -> Floats:
    taps = _gaussian_taps(sigma_px)
    reach = len(taps) - 1
    size = len(psf)
    offsets = np.abs(np.arange(-reach, size + reach)[:, None] - np.arange(size)[None, :])
    padded = np.zeros(size + reach)
    padded[: len(taps)] = taps
    spread = padded[offsets]
    softened: Floats = spread @ psf @ spread.T
    return softened


def _gaussian_taps(sigma_px: float) -> Floats:
    """Weights at 0, 1, 2, ... px on one side of the discrete Gaussian; both sides sum to 1.

    Its variance is sigma_px squared, less at most 2 % cut off, also far below a pixel, where
    samples of the continuous curve would have none. Source: Lindeberg, Scale-Space for Discrete
    Signals, IEEE PAMI 12(3), 1990: transfer function exp(-variance * (1 - cos w)).
    """
    reach = math.ceil(GAUSSIAN_REACH * sigma_px + 0.5)
    period = 4 * reach + 32  # far enough that the periods do not overlap
    frequencies = np.arange(period // 2 + 1) * (2 * math.pi / period)
    taps = np.fft.irfft(np.exp(-(sigma_px**2) * (1 - np.cos(frequencies))), period)
    taps = np.maximum(taps[: reach + 1], 0)
    taps /= 2 * taps.sum() - taps[0]
    return taps


@lru_cache(maxsize=256)
def _whole_butterworth(radius: int, order: int, cutoff: float, floor: float) -> Floats:
    """`butterworth` at a whole radius, step by step."""
    if radius == 0:
        return np.ones((1, 1))
    size = 2 * radius + 1
    along = np.arange(-radius, radius + 1)
    square = (along[:, None] ** 2 + along[None, :] ** 2).astype(np.float64)
    rise = (square / ((size - 1) / cutoff) ** 2) ** order
    high_pass = rise / (1 + rise)
    profile = floor + (1 - floor) * high_pass / high_pass.max()
    ring = np.where(square <= radius**2, profile, 0)
    width = round(size / 7) + 1
    width += 1 - width % 2
    reach = width // 2
    sigma = 0.3 * (reach - 1) + 0.8
    side = np.exp(-((np.arange(-reach, reach + 1) / sigma) ** 2) / 2)
    smoothing = np.zeros((size + 2 * reach, size))
    for column in range(size):
        smoothing[column : column + width, column] = side
    psf: Floats = smoothing @ ring @ smoothing.T
    psf /= psf.sum()
    psf.flags.writeable = False  # shared by every caller
    return psf


def _refuse_unless_length(name: str, length_px: float) -> None:
    if not (math.isfinite(length_px) and length_px >= 0):
        raise ValueError(f"{name} must be finite and at least 0, not {length_px}")
