"""Defocus maps against hand-drawn masks: is what the map calls blurred really out of focus?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from defocusfix.errors import InputError
from defocusfix.evaluation.metrics import f_measure, mae
from defocusfix.evaluation.pictures import read_picture
from defocusfix.evaluation.protocols import FloatImage, Restore, restored_image
from defocusfix.pairs.find import pictures_in

Mask = npt.NDArray[np.bool_]

THRESHOLDS_PX: Final = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
DEFAULT_THRESHOLD_PX: Final = 1.0  # a radius that is just visible at 100 %


@dataclass(frozen=True, slots=True)
class MaskedPhoto:
    """A photo with a mask of what is out of focus."""

    name: str
    image: FloatImage
    """(H, W, 3) in [0, 1]."""
    is_blurred: Mask
    """(H, W), True where somebody marked the photo as out of focus."""


@dataclass(frozen=True, slots=True)
class MapScore:
    """Figures of one map."""

    photo: str
    f_by_threshold: tuple[float, ...]
    """F-measure (beta squared 0.3) for each of `THRESHOLDS_PX`."""
    f_at_chosen: float
    """F-measure at the threshold that was asked for."""
    error: float
    """Mean absolute error of `blurredness` against the mask, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class MapSummary:
    """Means over photos."""

    photos: int
    f_at_chosen: float
    best_f: float
    """At the one threshold that suits the whole set best."""
    best_threshold_px: float
    error: float


def masked_photos(images: Path, masks: Path) -> Iterator[MaskedPhoto]:
    """Photos of `images` with the mask of the same stem in `masks`; white is out of focus.

    Raises InputError if a mask is missing or has another size than its photo.
    """
    by_stem = {path.stem: path for path in pictures_in(masks)}
    for path in pictures_in(images):
        if path.stem not in by_stem:
            raise InputError(f"{path.name} has no mask", why=f"none named {path.stem} in {masks}")
        image = read_picture(path)
        mask = read_picture(by_stem[path.stem])[..., 0] > 0.5
        if mask.shape != image.shape[:2]:
            raise InputError(
                f"{path.name} and its mask differ in size", why=f"{image.shape[:2]}, {mask.shape}"
            )
        yield MaskedPhoto(path.stem, image, mask)


def blurredness(radius_px: FloatImage, threshold_px: float = DEFAULT_THRESHOLD_PX) -> FloatImage:
    """A map of blur radii (H, W) as a soft mask in [0, 1]: 0 in focus, 1 out of focus.

    It is 0 at 0 px, 0.5 at the threshold, which must be above 0, and 1 from twice the threshold on.
    A mask says in or out of focus, not how far. So the scale is the same for every photo and ends
    where there is no more doubt; stretched from the least to the largest radius of a photo, a map
    would be measured by its strongest blur.
    """
    soft: FloatImage = np.clip(radius_px / np.float32(2 * threshold_px), 0, 1)
    return soft


def score_map(
    radius_px: FloatImage, photo: MaskedPhoto, threshold_px: float = DEFAULT_THRESHOLD_PX
) -> MapScore:
    """Compare a map of blur radii (H, W) with the mask of its photo.

    threshold_px: radius from which a place is blurred, above 0.
    """
    return MapScore(
        photo=photo.name,
        f_by_threshold=tuple(f_measure(radius_px >= t, photo.is_blurred) for t in THRESHOLDS_PX),
        f_at_chosen=f_measure(radius_px >= threshold_px, photo.is_blurred),
        error=mae(blurredness(radius_px, threshold_px), photo.is_blurred.astype(np.float32)),
    )


def score_maps(
    restore: Restore, photos: Iterable[MaskedPhoto], threshold_px: float = DEFAULT_THRESHOLD_PX
) -> list[MapScore]:
    """Score the map of every photo. Raises InputError if the method gives no map."""
    scores = []
    for photo in photos:
        _, restored = restored_image(restore, photo.image)
        if restored.radius_px is None:
            raise InputError("this method gives no defocus map", why="it restores only")
        scores.append(score_map(restored.radius_px, photo, threshold_px))
    return scores


def summarise(scores: Sequence[MapScore]) -> MapSummary:
    """Means over `scores`, which must not be empty."""
    curve = np.mean([score.f_by_threshold for score in scores], axis=0)
    best = int(np.argmax(curve))
    return MapSummary(
        photos=len(scores),
        f_at_chosen=float(np.mean([score.f_at_chosen for score in scores])),
        best_f=float(curve[best]),
        best_threshold_px=THRESHOLDS_PX[best],
        error=float(np.mean([score.error for score in scores])),
    )
