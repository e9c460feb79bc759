"""Rendered scenes: the truth is known exactly, the photo and the radius of every pixel.

Gains are given per band of the true radius, because a method that mends slight blur says
little about strong blur. The defocus map is compared with the true radius in pixels.
Both over all pixels and over textured ones: flat areas look alike at any blur.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.evaluation.metrics import Moments, decibels, mean_squared_error
from defocusfix.evaluation.protocols import FloatImage, Restore, restored_image
from defocusfix.registration.global_ecc import LUMINANCE

Mask = npt.NDArray[np.bool_]
RenderedPair = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.floating]]
"""blurred and all-in-focus (H, W, 3), signed radius (H/2, W/2) in pixels of the photo."""

FAR_RADIUS_PX: Final = 8.0  # below, errors of the map are counted in pixels, above in percent
LEAST_PIXELS: Final = 400  # a band with fewer in a photo gives no gain for that photo
TEXTURE_SIGMA_PX: Final = 4.0  # neighbourhood in which texture is looked for
TEXTURE_GRADIENT: Final = 0.02  # root mean square step per pixel, of a range of 1
REGIONS: Final = ("all", "textured")


@dataclass(frozen=True, slots=True)
class Band:
    """Radii from `low_px`, included, to `high_px`, excluded."""

    name: str
    low_px: float
    high_px: float


BANDS: Final = (
    Band("sharp", 0, 0.5),
    Band("0.5-1.5", 0.5, 1.5),
    Band("1.5-4", 1.5, 4),
    Band("4-10", 4, 10),
    Band("10-24", 10, 24),
)


@dataclass(frozen=True, slots=True)
class MapSums:
    """Sums over pixels from which errors and correlation of a map follow; they add up."""

    near_pixels: int = 0
    near_error_px: float = 0.0
    far_pixels: int = 0
    far_relative_error: float = 0.0
    moments: Moments = field(default_factory=Moments)
    """Of the map and the truth."""

    def __add__(self, other: "MapSums") -> "MapSums":
        return MapSums(
            near_pixels=self.near_pixels + other.near_pixels,
            near_error_px=self.near_error_px + other.near_error_px,
            far_pixels=self.far_pixels + other.far_pixels,
            far_relative_error=self.far_relative_error + other.far_relative_error,
            moments=self.moments + other.moments,
        )


@dataclass(frozen=True, slots=True)
class RenderedScore:
    """Figures of one photo in one region."""

    photo: int
    region: str
    gains_db: dict[str, float]
    """By name of the band; bands with too few pixels are missing."""
    kept_db: float
    """PSNR between output and input where the photo is sharp, at most 60; nan: nowhere."""
    map_sums: MapSums | None
    """None for a method without a map."""

    @property
    def gain_db(self) -> float:
        """Mean gain of the bands that are out of focus; 0 where none has pixels enough."""
        gains = [gain for name, gain in self.gains_db.items() if name != BANDS[0].name]
        return float(np.mean(gains)) if gains else 0.0


@dataclass(frozen=True, slots=True)
class RenderedSummary:
    """Figures of a set in one region; nan where nothing was measured."""

    region: str
    photos: int
    gains_db: dict[str, float] = field(default_factory=dict)
    """By name of the band, mean over photos."""
    gain_photos: dict[str, int] = field(default_factory=dict)
    """How many photos each of these means is over."""
    kept_db: float = float("nan")
    map_error_px: float = float("nan")
    """Mean absolute error where the true radius is below 8 px."""
    map_relative_error: float = float("nan")
    """Mean of |map - truth| / truth where it is not."""
    map_correlation: float = float("nan")


def photo_gains(scores: Sequence[RenderedScore]) -> list[float]:
    """Gain in dB of each photo over all its pixels, in the order of the photos."""
    return [score.gain_db for score in scores if score.region == REGIONS[0]]


def score_rendered(restore: Restore, pairs: Iterable[RenderedPair]) -> list[RenderedScore]:
    """Restore every blurred photo and score it once per region, in the order of `pairs`."""
    scores = []
    for photo, (blurred, all_in_focus, signed_radius) in enumerate(pairs):
        image, target = _as_float(blurred), _as_float(all_in_focus)
        radius = np.abs(signed_radius).astype(np.float32)
        output, restored = restored_image(restore, image)
        textured = is_textured(target)
        for region, mask in (("all", np.ones_like(textured)), ("textured", textured)):
            scores.append(
                RenderedScore(
                    photo=photo,
                    region=region,
                    gains_db=_gains(image, output, target, _at_full_size(radius), mask),
                    kept_db=_kept(image, output, _at_full_size(radius), mask),
                    map_sums=None
                    if restored.radius_px is None
                    else _map_sums(_at_half_size(restored.radius_px), radius, mask[::2, ::2]),
                )
            )
    return scores


def summarise(scores: Sequence[RenderedScore], region: str) -> RenderedSummary:
    """Means over the photos of one region, "all" or "textured"."""
    chosen = [score for score in scores if score.region == region]
    gains = {
        band.name: [score.gains_db[band.name] for score in chosen if band.name in score.gains_db]
        for band in BANDS
    }
    kept = [score.kept_db for score in chosen if np.isfinite(score.kept_db)]
    sums = sum((s.map_sums for s in chosen if s.map_sums is not None), start=MapSums())
    return RenderedSummary(
        region=region,
        photos=len(chosen),
        gains_db={name: float(np.mean(values)) for name, values in gains.items() if values},
        gain_photos={name: len(values) for name, values in gains.items() if values},
        kept_db=float(np.mean(kept)) if kept else float("nan"),
        map_error_px=_ratio(sums.near_error_px, sums.near_pixels),
        map_relative_error=_ratio(sums.far_relative_error, sums.far_pixels),
        map_correlation=sums.moments.correlation,
    )


def is_textured(image: FloatImage) -> Mask:
    """(H, W), True where an all-in-focus photo (H, W, 3) has edges nearby to judge blur by."""
    luminance = (image @ LUMINANCE).astype(np.float32)
    slope_x = cv2.Sobel(luminance, cv2.CV_32F, 1, 0, scale=1 / 8)
    slope_y = cv2.Sobel(luminance, cv2.CV_32F, 0, 1, scale=1 / 8)
    energy = cv2.GaussianBlur(slope_x**2 + slope_y**2, (0, 0), TEXTURE_SIGMA_PX)
    return np.asarray(energy) > TEXTURE_GRADIENT**2


def _gains(
    image: FloatImage, output: FloatImage, target: FloatImage, radius: FloatImage, mask: Mask
) -> dict[str, float]:
    gains = {}
    for band in BANDS:
        counted = mask & (radius >= band.low_px) & (radius < band.high_px)
        if np.count_nonzero(counted) >= LEAST_PIXELS:
            before = decibels(mean_squared_error(image, target, counted))
            gains[band.name] = decibels(mean_squared_error(output, target, counted)) - before
    return gains


def _kept(image: FloatImage, output: FloatImage, radius: FloatImage, mask: Mask) -> float:
    sharp = mask & (radius < BANDS[0].high_px)
    if np.count_nonzero(sharp) < LEAST_PIXELS:
        return float("nan")
    return decibels(mean_squared_error(output, image, sharp))


def _map_sums(found: FloatImage, truth: FloatImage, mask: Mask) -> MapSums:
    a, b = found[mask].astype(np.float64), truth[mask].astype(np.float64)
    is_far = b >= FAR_RADIUS_PX
    error = np.abs(a - b)
    return MapSums(
        near_pixels=int(np.count_nonzero(~is_far)),
        near_error_px=float(error[~is_far].sum()),
        far_pixels=int(np.count_nonzero(is_far)),
        far_relative_error=float((error[is_far] / b[is_far]).sum()),
        moments=Moments.of(a, b),
    )


def _ratio(total: float, count: int) -> float:
    return total / count if count else float("nan")


def _as_float(image: npt.NDArray[np.uint8]) -> FloatImage:
    return np.asarray(image, np.float32) / np.float32(255)


def _at_full_size(half: FloatImage) -> FloatImage:
    return half.repeat(2, axis=0).repeat(2, axis=1)


def _at_half_size(full: FloatImage) -> FloatImage:
    height, width = full.shape[0] // 2, full.shape[1] // 2
    halved: FloatImage = full[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3))
    return halved
