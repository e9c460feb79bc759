"""Small shifts that vary over the photo: what parallax and focus breathing leave.

Smooth and to fractions of a pixel, or tile by tile in whole pixels, which resamples nothing.
Source of the first: Lucas and Kanade, An iterative image registration technique, 1981, with a
Gaussian window and a ridge that keeps flat regions in place.
"""

from itertools import product
from typing import Final

import cv2
import numpy as np

from defocusfix.registration.warp import FloatImage, Flow, warp

LUMINANCE: Final = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601, on display values
BLUR_SIGMA_PX: Final = 2.0  # hides that one photo is sharper than the other
WINDOW_SIGMA_PX: Final = 12.0  # neighbours that move alike: wider than any blur left to mend
ITERATIONS: Final = 6
LEAST_GAIN: Final = 1e-3  # of the squared error, which a shift of a tile must take off
RIDGE: Final = 1e-6  # in squared display values per squared pixel, far below a visible edge


def local_shifts(moving: FloatImage, fixed: FloatImage, limit_px: float = 2.0) -> Flow:
    """The smooth flow (H, W, 2) that lays `moving` on `fixed`; both (H, W, 3) in [0, 1].

    Each displacement has a length of at most `limit_px`: this mends what a global alignment
    leaves, it does not replace one. Raises ValueError if the sizes differ.
    """
    if moving.shape != fixed.shape:
        raise ValueError(f"moving {moving.shape} and fixed {fixed.shape} differ in shape")
    source, target = _smooth_luminance(moving), _smooth_luminance(fixed)
    flow = np.zeros((*target.shape, 2), np.float32)
    for _ in range(ITERATIONS):
        flow += _step(warp(source, flow), target)
        length = np.hypot(flow[..., 0], flow[..., 1])
        flow *= np.minimum(1, limit_px / np.maximum(length, 1e-9))[..., None]
    return flow


def tiled_shifts(
    moving: FloatImage, fixed: FloatImage, limit_px: int = 2, tile_px: int = 64
) -> Flow:
    """The flow (H, W, 2) that shifts each tile of `moving` to where it fits `fixed` best.

    Both (H, W, 3) in [0, 1]. Whole pixels, at most `limit_px` per axis, the least squared error of
    smoothed luminance; a tile that no shift improves stays. Tiles have sides of about `tile_px`.
    Raises ValueError if the sizes differ.
    """
    if moving.shape != fixed.shape:
        raise ValueError(f"moving {moving.shape} and fixed {fixed.shape} differ in shape")
    source, target = _smooth_luminance(moving), _smooth_luminance(fixed)
    height, width = target.shape
    rim = (limit_px,) * 4
    wide = np.asarray(cv2.copyMakeBorder(source, *rim, cv2.BORDER_REFLECT_101))
    rows, columns = _edges(height, tile_px), _edges(width, tile_px)
    steps = range(-limit_px, limit_px + 1)
    shifts = np.array(sorted(product(steps, steps), key=lambda shift: np.hypot(*shift)))
    errors = []
    for x, y in shifts + limit_px:
        error = np.square(wide[y : y + height, x : x + width] - target)
        by_row = np.add.reduceat(error, rows[:-1], axis=0)
        errors.append(np.add.reduceat(by_row, columns[:-1], axis=1))
    errors[0] *= 1 - LEAST_GAIN  # of no shift, the shortest
    best = shifts[np.argmin(errors, axis=0)]  # (tiles down, tiles across, 2)
    flow = best.repeat(np.diff(rows), axis=0).repeat(np.diff(columns), axis=1)
    return np.asarray(flow, np.float32)


def _edges(length: int, tile_px: int) -> list[int]:
    """Where tiles begin, and the end of the last; as even as whole numbers allow."""
    count = max(1, round(length / tile_px))
    return [length * number // count for number in range(count + 1)]


def _step(source: FloatImage, target: FloatImage) -> Flow:
    """One Gauss-Newton step of the windowed least-squares shift."""
    slope_x = cv2.Sobel(source, cv2.CV_32F, 1, 0, scale=1 / 8)
    slope_y = cv2.Sobel(source, cv2.CV_32F, 0, 1, scale=1 / 8)
    difference = target - source
    xx = _window(slope_x * slope_x) + RIDGE
    yy = _window(slope_y * slope_y) + RIDGE
    xy = _window(slope_x * slope_y)
    x = _window(slope_x * difference)
    y = _window(slope_y * difference)
    determinant = xx * yy - xy * xy
    step = np.stack([yy * x - xy * y, xx * y - xy * x], axis=-1) / determinant[..., None]
    return np.asarray(step, np.float32)


def _window(values: FloatImage) -> FloatImage:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), WINDOW_SIGMA_PX), np.float32)


def _smooth_luminance(image: FloatImage) -> FloatImage:
    luminance = (image @ LUMINANCE).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(luminance, (0, 0), BLUR_SIGMA_PX), np.float32)
