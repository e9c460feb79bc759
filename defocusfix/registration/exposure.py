"""One gain per colour channel between two photos of one scene, in linear light.

The exposure changes with the aperture, and with the light between two shots.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.registration.warp import FloatImage, Mask

SIGMA_PX: Final = 4.0  # gains are fitted on smoothed photos, whatever their focus

Gains = npt.NDArray[np.float32]
"""(3,), red, green, blue."""


def exposure_gains(moving: FloatImage, fixed: FloatImage, mask: Mask) -> Gains:
    """The gains that bring `moving` closest to `fixed`; both (H, W, 3) in [0, 1], in line.

    mask: (H, W), True where to look; at least one pixel.
    """
    wanted = to_linear(_smooth(fixed))[mask]
    found = to_linear(_smooth(moving))[mask]
    power = np.maximum((found * found).sum(axis=0), np.finfo(np.float32).tiny)
    gains: Gains = ((wanted * found).sum(axis=0) / power).astype(np.float32)
    return gains


def with_gains(image: FloatImage, gains: Gains) -> FloatImage:
    """`image` (..., 3) in [0, 1] at another exposure, clipped to [0, 1].

    gains: for the whole of it, (3,), or for each pixel, (..., 3).
    """
    return to_display(to_linear(image) * gains)


def _smooth(image: FloatImage) -> FloatImage:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), SIGMA_PX), np.float32)


def to_linear(display: npt.NDArray[np.floating]) -> FloatImage:
    """Display values to linear light, sRGB (IEC 61966-2-1)."""
    bounded = np.clip(display, 0, 1)
    linear = np.where(bounded <= 0.04045, bounded / 12.92, ((bounded + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear, np.float32)


def to_display(linear: FloatImage) -> FloatImage:
    """Linear light to display values, clipped to [0, 1]; the inverse of `to_linear`."""
    bounded = np.clip(linear, 0, 1)
    bright = 1.055 * np.maximum(bounded, 1e-9) ** (1 / 2.4) - 0.055
    return np.asarray(np.where(bounded <= 0.0031308, bounded * 12.92, bright), np.float32)
