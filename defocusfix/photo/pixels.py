"""Stored values of pixels: the way up, and from one depth to another."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels: TypeAlias = npt.NDArray[Any]
"""Stored values: uint8 or uint16, where white is the largest value, or float32, where it is 1."""
BAND_ROWS = 256  # rows changed at a time; keeps the copies of a large photo small
TURNED_SIDEWAYS = frozenset({5, 6, 7, 8})  # orientations that swap width and height


def largest_value(dtype: npt.DTypeLike) -> float:
    """White as stored: 255, 65535, or 1.0 for floating point."""
    kind = np.dtype(dtype)
    return 1.0 if kind.kind == "f" else float(np.iinfo(kind).max)


def turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels (H, W) or (H, W, C) as they should be seen. Source: Exif 2.32, tag Orientation."""
    if orientation in TURNED_SIDEWAYS:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def with_alpha(pixels: Pixels, alpha: Pixels | None, *, as_rgb: bool = False) -> Pixels:
    """Colours and alpha in one array, (H, W, C); gray becomes RGB if wanted."""
    if as_rgb and pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return pixels if alpha is None else np.concatenate((pixels, alpha[:, :, None]), axis=2)


def with_depth(pixels: Pixels, dtype: npt.DTypeLike) -> Pixels:
    """The same brightnesses stored as `dtype`: uint8, uint16 or float32.

    Black stays black and white white; in between the nearest value is taken. Floating point below
    0 or above 1 is clipped when it becomes whole numbers.
    """
    kind = np.dtype(dtype)
    if pixels.dtype == kind:
        return pixels
    changed = np.empty(pixels.shape, kind)
    factor = np.float32(largest_value(kind) / largest_value(pixels.dtype))
    for start in range(0, pixels.shape[0], BAND_ROWS):
        rows = slice(start, start + BAND_ROWS)
        band = pixels[rows] * factor
        if kind.kind == "u":
            band = np.rint(np.clip(band, 0, largest_value(kind)))
        changed[rows] = band
    return changed


def from_depth(values: Pixels, depth: int) -> Pixels:
    """Whole numbers of `depth` bits, 9 to 15, stretched to 16, so that white is 65535."""
    up, down = np.uint16(16 - depth), np.uint16(2 * depth - 16)
    stretched: Pixels = (values << up) | (values >> down)
    return stretched


def to_depth(values: Pixels, depth: int) -> Pixels:
    """What `from_depth` stretched, rounded to the nearest number of `depth` bits."""
    largest = 2**depth - 1
    rounded: Pixels = (values.astype(np.uint32) * largest + 32767) // 65535
    return rounded.astype(np.uint16, copy=False)


def exceeds_white(pixels: Pixels) -> bool:
    """Whether floating point has values that whole numbers cannot hold, below 0 or above 1."""
    if pixels.dtype.kind != "f" or pixels.size == 0:
        return False
    return bool(pixels.min() < 0 or pixels.max() > 1)


def from_pillow(image: Image.Image) -> Pixels:
    """The pixels of an 8-bit picture, (H, W, C), copied in bands to keep a large one small."""
    pixels = np.empty((image.height, image.width, len(image.getbands())), np.uint8)
    image.load()
    for start in range(0, image.height, BAND_ROWS):
        stop = min(image.height, start + BAND_ROWS)
        band = np.asarray(image.crop((0, start, image.width, stop)))
        pixels[start:stop] = band.reshape(stop - start, image.width, -1)
    return pixels
