"""What the lens of a scene does to its surfaces, as point spread functions; numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np

from defocusfix.optics import (
    Aperture,
    butterworth,
    channel_radii,
    gaussian,
    random_aperture,
    second_moment_radius,
)

LEVEL_RATIO = 1.25  # of the radii of neighbouring levels of one surface, away from focus
LEAST_SPACING_PX = 0.5  # of neighbouring levels near focus
LARGEST_LEVEL_PX = 100.0
RING_SHARE = 0.08  # of random lenses
MOST_COLOUR_SHIFT_PX = 1.0
LARGEST_RING_PX = 64  # whole radii up to which a ring's second moment is known


@dataclass(frozen=True, slots=True)
class Ring:
    """A ring-like blur disc, the generalised Butterworth profile of `optics.butterworth`.

    It has the second moment of an evenly lit disc. Left as published, it would blur more than its
    radius says, by a sixth from 8 px on and by more than a third up to 2 px.
    """

    order: int = 3
    cutoff: float = 2.5
    floor: float = 0.1

    def point_spread_function(self, radius_px: float, *, diffraction_px: float = 0.0) -> np.ndarray:
        """As `Aperture.point_spread_function`: (K, K), sums to 1; radius at most about 60 px."""
        moments = _ring_moments(self.order, self.cutoff, self.floor)
        # A radius between two whole ones blends their profiles, and so their moments.
        drawn_px = float(np.interp(radius_px**2 / 2, moments, np.arange(len(moments))))
        psf = butterworth(drawn_px, self.order, self.cutoff, self.floor)
        softener = gaussian(diffraction_px)
        wide = np.pad(psf, len(softener) // 2)
        return cv2.filter2D(wide, -1, softener, borderType=cv2.BORDER_CONSTANT)

    def across_focus(self) -> Ring:
        """The same on both sides of the plane of focus."""
        return self


@dataclass(frozen=True)
class Spread:
    """How one surface is spread: point spread functions at some radii, to interpolate between."""

    radii_px: tuple[float, ...]  # N, signed, rising
    psfs: np.ndarray  # (N, 3, K, K) float32 for R, G, B, or (N, 1, K, K); K odd, each sums to 1

    @property
    def is_identity(self) -> bool:
        """Whether every point stays where it is."""
        return self.psfs.shape[-1] == 1


UNSPREAD = Spread((0.0,), np.ones((1, 1, 1, 1), np.float32))


@dataclass(frozen=True)
class LensBlur:
    """What the lens does to every surface."""

    aperture: Aperture | Ring  # as seen behind the plane of focus
    colour_shift_px: float = 0.0  # longitudinal chromatic aberration, see optics.channel_radii
    diffraction_px: float = 0.0

    def spread(self, low_px: float, high_px: float, *, reach_px: int | None = None) -> Spread:
        """How a surface with signed radii from `low_px` to `high_px` is spread.

        reach_px: how far from a point its light may go; the little beyond is shared out among the
        rest. None for no limit.
        """
        radii = _levels(low_px, high_px)
        levels = [self._point_spread_functions(radius) for radius in radii]
        half = max(len(psf) // 2 for level in levels for psf in level)
        half = half if reach_px is None else min(half, reach_px)
        psfs = np.stack([np.stack([_resized(psf, half) for psf in level]) for level in levels])
        return Spread(tuple(radii), psfs)

    def _point_spread_functions(self, signed_radius_px: float) -> list[np.ndarray]:
        """One PSF for R, G and B each, or one for all."""
        aperture = self.aperture if signed_radius_px >= 0 else self.aperture.across_focus()
        radii = channel_radii(signed_radius_px, self.colour_shift_px)
        return [
            aperture.point_spread_function(radius, diffraction_px=self.diffraction_px)
            for radius in (radii if self.colour_shift_px else radii[:1])
        ]


def random_lens(rng: np.random.Generator, largest_radius_px: float) -> LensBlur:
    """A plausible lens, for a scene with blur radii up to `largest_radius_px`."""
    has_colour_shift = largest_radius_px > 1 and rng.random() < 0.4
    aperture: Aperture | Ring = random_aperture(rng)
    colour_shift = 0.0
    if has_colour_shift:
        # The same at every distance, in focus too, where more would be no truth of radius 0.
        shift = rng.normal(0, 0.06 * largest_radius_px)
        colour_shift = float(np.clip(shift, -MOST_COLOUR_SHIFT_PX, MOST_COLOUR_SHIFT_PX))
    diffraction = float(rng.uniform(0, 0.5)) if rng.random() < 0.3 else 0.0
    if rng.random() < RING_SHARE:
        aperture = Ring(int(rng.choice((3, 6))), float(rng.choice((2.0, 2.5))))
    return LensBlur(aperture, colour_shift, diffraction)


def _levels(low: float, high: float) -> list[float]:
    """Signed radii at which a surface is blurred, from `low` to `high`.

    Between two of them blur is mixed, which is as strong as a mean of their radii, of squares. So
    they lie close near focus, where nothing may be blurred, and in equal ratios away from it.
    """
    if high - low < 1e-3:
        return [(low + high) / 2]
    near_ends = LEAST_SPACING_PX / 4
    between = (sign * level for sign in (-1, 1) for level in _usual_levels())
    inner = {level for level in between if low + near_ends < level < high - near_ends}
    return [low, *sorted(inner), high]


@cache
def _usual_levels() -> tuple[float, ...]:
    levels = [0.0]
    while levels[-1] < LARGEST_LEVEL_PX:
        levels.append(max(levels[-1] + LEAST_SPACING_PX, levels[-1] * LEVEL_RATIO))
    return tuple(levels)


def _resized(psf: np.ndarray, half: int) -> np.ndarray:
    """`psf` on 2 * half + 1 pixels a side: zeros added around it, or cut and normalised again."""
    missing = half - len(psf) // 2
    if missing >= 0:
        return np.pad(psf, missing)
    inner = psf[-missing:missing, -missing:missing]
    return inner / inner.sum()


@lru_cache(maxsize=16)
def _ring_moments(order: int, cutoff: float, floor: float) -> np.ndarray:
    """Mean square distance from the centre, in px^2, for the radii 0, 1, 2, ... px."""
    return np.array(
        [
            second_moment_radius(butterworth(radius, order, cutoff, floor)) ** 2
            for radius in range(LARGEST_RING_PX)
        ]
    )
