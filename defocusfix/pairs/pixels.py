"""Photos as arrays: stored values, reduced by whole factors, as floats."""

from __future__ import annotations

import cv2
import numpy as np

from defocusfix.photo.pixels import Pixels
from defocusfix.registration.warp import FloatImage


def as_float(pixels: Pixels) -> FloatImage:
    """Stored values (H, W, 3), or (H, W, 1) for gray, as (H, W, 3) float32 in [0, 1]."""
    whole = np.issubdtype(pixels.dtype, np.integer)
    largest = np.iinfo(pixels.dtype).max if whole else 1
    image = np.multiply(pixels, np.float32(1 / largest), dtype=np.float32)
    return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)


def reduced(pixels: Pixels, factor: int) -> Pixels:
    """Averages of factor x factor pixels, in the same kind of values; what is over is left out."""
    if factor == 1:
        return pixels
    height, width = (max(1, side // factor) for side in pixels.shape[:2])
    whole = np.ascontiguousarray(pixels[: height * factor, : width * factor])
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small).reshape(height, width, -1)
