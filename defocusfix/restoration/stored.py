"""Stored values of a photo: read as floats a window at a time, changed a band at a time."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from defocusfix.restoration.tiles import Span

FloatArray = npt.NDArray[np.float32]
Pixels: TypeAlias = npt.NDArray[Any]
"""(H, W, 3) RGB or (H, W, 1) gray; uint8, uint16, or float32 where 1 is white."""
STRIP_VALUES = 2**20  # converted at a time, so that temporary copies stay small


def check_pixels(pixels: Pixels) -> None:
    """Raise ValueError for an array that is not `Pixels` with at least one pixel."""
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.size == 0:
        raise ValueError(
            f"pixels must be (H, W, 3) or (H, W, 1) with at least one pixel, got {pixels.shape}"
        )
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise ValueError(f"pixels must be uint8, uint16 or float32, got {pixels.dtype}")


def to_image(pixels: Pixels) -> FloatArray:
    """Stored values as (H, W, 3) float32 in [0, 1]; gray is repeated three times."""
    image = _in_unit_range(pixels)
    return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)


def window_of(pixels: Pixels, rows: Span, columns: Span, level: int) -> FloatArray:
    """A window of the photo at 1/2^level of its size, (3, rows, columns) float32 in [0, 1].

    rows, columns: in pixels of that level; right and below the photo is continued by reflection.
    Smaller sizes are made by 2x2 area averaging.
    """
    factor = 2**level
    window = np.empty((3, len(rows), len(columns)), np.float32)
    across = _seen(columns.enlarged(factor), pixels.shape[1])
    down = _seen(rows.enlarged(factor), pixels.shape[0])
    every = max(1, STRIP_VALUES // (3 * len(across) * factor))
    for start in range(0, len(rows), every):
        strip = pixels[_simplest(down[start * factor : (start + every) * factor])]
        image = _in_unit_range(strip[:, _simplest(across)]).transpose(2, 0, 1)
        for _ in range(level):
            image = halved(image)
        window[:, start : start + every] = image
    return window


def first_row_read(rows: Span, height: int) -> int:
    """The uppermost row of a photo that a window with these rows, at full size, depends on."""
    return int(_seen(rows, height).min())


def halved(image: FloatArray) -> FloatArray:
    """`image` (C, H, W) at half size by 2x2 area averaging; H and W even."""
    pairs = image[:, 0::2] + image[:, 1::2]
    quarters = pairs[:, :, 0::2] + pairs[:, :, 1::2]
    quarters *= np.float32(0.25)
    return quarters


def doubled(values: FloatArray) -> FloatArray:
    """`values` (C, H, W) at twice the size, bilinear, continued by repetition at the edges."""
    for axis in (1, 2):
        values = np.moveaxis(values, axis, 0)
        before = np.concatenate((values[:1], values[:-1]))
        after = np.concatenate((values[1:], values[-1:]))
        twice = np.empty((2 * len(values), *values.shape[1:]), np.float32)
        twice[0::2] = values * np.float32(0.75) + before * np.float32(0.25)
        twice[1::2] = values * np.float32(0.75) + after * np.float32(0.25)
        values = np.moveaxis(twice, 0, axis)
    return values


def changed(pixels: Pixels, change: FloatArray, amount: FloatArray | np.float32) -> Pixels:
    """Stored values after `amount` of `change`; exactly the same where that is nothing.

    change: (3, H, W) on the scale where white is 1; the whole of it keeps values in [0, 1], and
    gray takes the mean of the three. amount: (H, W) or one number, 0 to 1.
    """
    image = to_image(pixels).transpose(2, 0, 1)
    step = (image + change).clip(0, 1) - image
    step *= amount
    if pixels.shape[2] == 1:
        step = step.mean(axis=0, keepdims=True)
    step = step.transpose(1, 2, 0)
    if pixels.dtype == np.float32:
        # Values beyond black and white are legal in such a photo and may stay so.
        return np.clip(pixels + step, np.minimum(pixels, 0), np.maximum(pixels, 1))
    white = np.iinfo(pixels.dtype).max
    steps = np.rint(step * np.float32(white)).astype(np.int32)
    steps += pixels
    restored: Pixels = steps.clip(0, white).astype(pixels.dtype)
    return restored


def _in_unit_range(pixels: Pixels) -> FloatArray:
    if pixels.dtype == np.float32:
        return np.nan_to_num(pixels, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    white = np.float32(1 / np.iinfo(pixels.dtype).max)
    return np.multiply(pixels, white, dtype=np.float32)


def _seen(span: Span, length: int) -> npt.NDArray[np.intp]:
    """Which pixel of an axis of `length` each of `span` shows."""
    indices = np.arange(span.start, span.stop)
    if span.start >= 0 and span.stop <= length:
        return indices
    period = max(1, 2 * (length - 1))
    indices %= period
    return np.minimum(indices, period - indices)


def _simplest(indices: npt.NDArray[np.intp]) -> slice | npt.NDArray[np.intp]:
    """The same as a slice, which copies nothing, where the pixels follow each other."""
    if indices[-1] - indices[0] == len(indices) - 1 and (np.diff(indices) == 1).all():
        return slice(int(indices[0]), int(indices[-1]) + 1)
    return indices
