"""Small scenes whose truth is known, and methods whose outcome is."""

from __future__ import annotations

import cv2
import numpy as np

from defocusfix.evaluation.protocols import Restored


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A photo-like (H, W, 3) texture in [0.1, 0.9]: detail at every scale."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3))
    for sigma in (0.7, 2, 6):
        layer = cv2.GaussianBlur(rng.standard_normal((height, width, 3)), (0, 0), sigma)
        image += layer / layer.std()
    image -= image.min()
    return (0.1 + 0.8 * image / image.max()).astype(np.float32)


def blurred(image: np.ndarray, sigma: float = 2.5) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma)


def bracket(height: int = 96, width: int = 160) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All-in-focus photo, frame blurred on the left, frame blurred on the right."""
    sharp = texture(height, width)
    soft = blurred(sharp)
    is_left = (np.arange(width) < width // 2)[None, :, None]
    return sharp, np.where(is_left, soft, sharp), np.where(is_left, sharp, soft)


def answer(image: np.ndarray):
    """A method that knows the truth and gives it."""
    return lambda _: Restored(image)


def blur_more(image: np.ndarray) -> Restored:
    return Restored(blurred(image, 1.5))
