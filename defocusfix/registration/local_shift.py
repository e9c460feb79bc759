"""Small sub-pixel shifts that vary over the photo: what parallax and focus breathing leave.

Source: Lucas and Kanade, An iterative image registration technique, 1981, with a Gaussian
window and a ridge that keeps flat regions in place.
"""

from typing import Final

import cv2
import numpy as np

from defocusfix.registration.warp import FloatImage, Flow, warp

LUMINANCE: Final = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601, on display values
BLUR_SIGMA_PX: Final = 2.0  # hides that one photo is sharper than the other
WINDOW_SIGMA_PX: Final = 12.0  # neighbours that move alike: wider than any blur left to mend
ITERATIONS: Final = 6
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
