"""What today's tools reach: sharpening and deconvolution, as callables like any other."""

from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np

from defocusfix.evaluation.protocols import FloatImage, Restore, Restored, Views, untouched
from defocusfix.optics import disc

DARKEST: Final = 1e-4  # Richardson-Lucy divides; black pixels are lifted to this


def unsharp_mask(sigma_px: float = 3.0, amount: float = 0.5) -> Restore:
    """Adds `amount` times the difference to a Gaussian blur of `sigma_px`, clipped."""

    def restore(image: FloatImage, views: Views | None = None) -> Restored:
        detail = image - cv2.GaussianBlur(image, (0, 0), sigma_px)
        return Restored(np.clip(image + amount * detail, 0, 1).astype(np.float32))

    return restore


def richardson_lucy(radius_px: float = 2.0, iterations: int = 30) -> Restore:
    """Deconvolution of the whole photo with one disc of `radius_px`, on display values.

    Source: Richardson 1972, Lucy 1974; the border is mirrored.
    """
    psf = disc(radius_px)

    def blur(image: FloatImage) -> FloatImage:
        blurred = cv2.filter2D(image, -1, psf, borderType=cv2.BORDER_REFLECT_101)
        return np.maximum(blurred, DARKEST).astype(np.float32)

    def restore(image: FloatImage, views: Views | None = None) -> Restored:
        observed = np.maximum(image, DARKEST)
        estimate = observed
        for _ in range(iterations):
            # A disc is symmetric, so blurring the ratio is the adjoint of blurring.
            estimate = estimate * blur((observed / blur(estimate)).astype(np.float32))
        return Restored(np.clip(estimate, 0, 1).astype(np.float32))

    return restore


BASELINES: Final[Mapping[str, Restore]] = {
    "input": untouched,
    "unsharp mask": unsharp_mask(),
    "Richardson-Lucy, disc 2 px": richardson_lucy(),
}
"""The rows that stand above every method in a report."""
