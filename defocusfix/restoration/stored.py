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
    Smaller sizes are made by area averaging.
    """
    factor = 2**level
    window = np.empty((3, len(rows), len(columns)), np.float32)
    across = _seen(columns.enlarged(factor), pixels.shape[1])
    down = _seen(rows.enlarged(factor), pixels.shape[0])
    share = np.float32(1 / (_white(pixels) * factor**2))
    every = max(1, STRIP_VALUES // (3 * len(columns) * factor**2))
    for start in range(0, len(rows), every):
        strip = _taken(pixels, down[start * factor : (start + every) * factor], axis=0)
        strip = _taken(strip, across, axis=1)
        if strip.dtype == np.float32:
            strip = _in_unit_range(strip)
        sums = _block_sums(strip, factor)
        np.multiply(sums, share, out=window[:, start : start + every], dtype=np.float32)
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
    white = np.float32(_white(pixels))
    is_float = pixels.dtype == np.float32
    image = _in_unit_range(pixels) if is_float else pixels
    before = np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32, copy=False)
    after: FloatArray = change * white
    after += before
    np.clip(after, 0, white, out=after)
    if not is_float and len(before) == len(after) and np.ndim(amount) == 0 and amount == 1:
        return _as_stored(after, pixels)
    step = np.subtract(after, before, out=after)
    step *= amount
    if len(before) == 1:
        step = step.mean(axis=0, keepdims=True)
    if is_float:
        # Values beyond black and white are legal in such a photo and may stay so.
        step = step.transpose(1, 2, 0)
        kept: Pixels = np.clip(pixels + step, np.minimum(pixels, 0), np.maximum(pixels, 1))
        return kept
    step += before
    return _as_stored(step, pixels)


def _as_stored(planes: FloatArray, pixels: Pixels) -> Pixels:
    """Values (C, H, W) within what whole numbers of the photo's kind hold, rounded to these."""
    whole: Pixels = np.rint(planes, out=planes).astype(pixels.dtype)
    return np.stack(list(whole), axis=-1)


def _white(pixels: Pixels) -> int:
    """The stored value of white."""
    return 1 if pixels.dtype == np.float32 else int(np.iinfo(pixels.dtype).max)


def _block_sums(strip: Pixels, factor: int) -> npt.NDArray[Any]:
    """Sums over blocks of `factor` x `factor` pixels: (H, W, C) to (3, H/factor, W/factor)."""
    if factor == 1:
        planes = strip.transpose(2, 0, 1)
        return planes if len(planes) == 3 else np.repeat(planes, 3, axis=0)
    most = _white(strip) * factor**2
    exact = np.float32 if strip.dtype == np.float32 else np.min_scalar_type(most)
    sums = np.add(strip[0::factor], strip[1::factor], dtype=exact)
    for row in range(2, factor):
        sums += strip[row::factor]
    n_channels = strip.shape[2]
    flat = sums.reshape(len(sums), -1)  # plane by plane: numpy is slow along three values
    planes = np.empty((3, len(sums), flat.shape[1] // (n_channels * factor)), exact)
    for channel in range(n_channels):
        values = [flat[:, channel + n_channels * k :: n_channels * factor] for k in range(factor)]
        np.add(values[0], values[1], out=planes[channel])
        for more in values[2:]:
            planes[channel] += more
    planes[n_channels:] = planes[0]
    return planes


def _in_unit_range(pixels: Pixels) -> FloatArray:
    if pixels.dtype == np.float32:
        return np.nan_to_num(pixels, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    return np.multiply(pixels, np.float32(1 / _white(pixels)), dtype=np.float32)


def _seen(span: Span, length: int) -> npt.NDArray[np.intp]:
    """Which pixel of an axis of `length` each of `span` shows."""
    indices = np.arange(span.start, span.stop)
    if span.start >= 0 and span.stop <= length:
        return indices
    period = max(1, 2 * (length - 1))
    indices %= period
    return np.minimum(indices, period - indices)


def _taken(pixels: Pixels, indices: npt.NDArray[np.intp], axis: int) -> Pixels:
    """These rows or columns of `pixels`; a view unless some are reflected, which come last.

    Only those are picked one by one, since all would be slow for the sake of a rim.
    """
    breaks = np.flatnonzero(np.diff(indices) != 1)
    n_inside = len(indices) if len(breaks) == 0 else int(breaks[0]) + 1
    inside = pixels[(slice(None),) * axis + (slice(indices[0], indices[0] + n_inside),)]
    if n_inside == len(indices):
        return inside
    return np.concatenate((inside, pixels.take(indices[n_inside:], axis)), axis)
