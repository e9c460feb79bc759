"""What a photo is, how blurred it is, and what restoring it would do."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import ImageCms

from defocusfix.jobs.events import Blur, Method
from defocusfix.jobs.motion_blur import looks_like_motion
from defocusfix.jobs.restoring import blur_of, method_of
from defocusfix.photo.camera import Camera, camera_of
from defocusfix.photo.limits import Limits
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.restoration.defocus_map import DefocusMap
from defocusfix.restoration.restorer import Restorer
from defocusfix.restoration.scales import SHARP_PX, STRONG_PX

MAP_SCALE: Final = 2  # finest size at which the photo is looked at
WHOLLY_BLURRED: Final = 0.7  # share of the frame from which the blur may be one of motion
BLOCK_PX = 640  # of which it is judged as a whole how finely it has to be computed; about a tile


@dataclass(frozen=True, slots=True)
class Forecast:
    """What restoring a photo would do."""

    scales: dict[int, float]
    """Share of the photo by the finest size that would be computed: 1 full, 2 half or less, 0
    left alone."""
    seconds: float
    """Time it would take, from file to file, the start of the program left out."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of one photo."""

    photo: Photo
    profile: str | None
    """Name of the colour profile; None if there is none."""
    camera: Camera
    blur: Blur | None
    """None if the network gives no map."""
    forecast: Forecast | None
    """None if the network gives no map."""
    method: Method
    """By which it was looked at."""
    looks_moved: bool
    """Whether all of it is blurred, and in one direction more than in the others."""


def inspect_photo(
    path: Path,
    restorer_for: Callable[[int], Restorer],
    limits: Limits,
    report: Callable[[float], None],
) -> Inspection:
    """Read a photo and look at its blur, at half its size.

    restorer_for: gives a restorer for outputs of as many bits. report: told the share of the work.
    Raises InputError if the photo cannot be read.
    """
    start = time.perf_counter()
    photo = read_photo(path, limits=limits)
    seconds_to_read = time.perf_counter() - start
    restorer = restorer_for(photo.bits)
    found = forecast = None
    if restorer.gives_map:
        start = time.perf_counter()
        found = restorer.defocus_map(photo.pixels, scale=MAP_SCALE, report=report)
        seconds = time.perf_counter() - start
        forecast = forecast_of(
            found, restorer.spec.levels, seconds=seconds, seconds_for_files=2 * seconds_to_read
        )
    blur = None if found is None else blur_of(found)
    is_wholly_blurred = blur is not None and blur.share_out_of_focus >= WHOLLY_BLURRED
    return Inspection(
        photo=photo,
        profile=profile_name(photo.icc_profile),
        camera=camera_of(photo),
        blur=blur,
        forecast=forecast,
        method=method_of(restorer, photo.bits),
        looks_moved=is_wholly_blurred and looks_like_motion(photo),
    )


def profile_name(icc_profile: bytes | None) -> str | None:
    """What a colour profile calls itself; None if there is none."""
    if icc_profile is None:
        return None
    try:
        name = ImageCms.getProfileDescription(io.BytesIO(icc_profile))
    except (ImageCms.PyCMSError, OSError):
        return "a profile that cannot be read"
    return "".join(c for c in name if c.isprintable()).strip() or "a profile without a name"


def forecast_of(
    found: DefocusMap, n_levels: int, *, seconds: float, seconds_for_files: float
) -> Forecast:
    """How finely each block of a photo would be computed, and so how long all of it would take.

    n_levels: sizes that the network works on. seconds: what the map took, at half the size and the
    smaller ones. seconds_for_files: what reading and writing take.
    """
    smallest, largest = _extremes(found)
    is_left = largest < SHARP_PX
    is_coarse = ~is_left & (smallest > 2 * STRONG_PX)  # radii in pixels of the half size
    shares = {0: float(is_left.mean()), 2: float(is_coarse.mean())}
    shares[1] = max(0.0, 1 - sum(shares.values()))
    # Each smaller size has a quarter of the pixels of the one above.
    below = sum(4.0**-level for level in range(1, max(n_levels, 2)))
    return Forecast(
        scales={factor: share for factor, share in sorted(shares.items()) if share > 0},
        seconds=seconds_for_files + seconds * (below + shares[1]) / below,
    )


def _extremes(found: DefocusMap) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest radius of each block of the photo, in pixels."""
    stored = found.stored
    rows = np.arange(0, stored.shape[0], BLOCK_PX)
    columns = np.arange(0, stored.shape[1], BLOCK_PX)
    lowest = np.minimum.reduceat(np.minimum.reduceat(stored, rows, axis=0), columns, axis=1)
    highest = np.maximum.reduceat(np.maximum.reduceat(stored, rows, axis=0), columns, axis=1)
    return lowest, highest
