"""Pairs of photos that do not line up, written as a photographer would leave them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from defocusfix.registration.warp import affine_flow, warp
from tests.evaluation.scenes import blurred, texture

SIZE = (112, 144)
STILL = np.eye(2, 3)


def write_pairs(
    root: Path,
    count: int = 2,
    *,
    matrix: np.ndarray = STILL,
    gain: float = 1.0,
    size: tuple[int, int] = SIZE,
) -> tuple[Path, Path]:
    """Folders of blurred and sharp photos, 00.png and on.

    matrix: (2, 3), from coordinates of the blurred photo to those of the sharp one.
    gain: on the sharp photo's linear light.
    """
    height, width = size
    inverse = cv2.invertAffineTransform(np.asarray(matrix, np.float64))
    for number in range(count):
        scene = texture(height, width, seed=number)
        sharp = warp(scene, affine_flow(inverse, size)).clip(0, 1)
        for folder, image in (("blurry", blurred(scene)), ("sharp", dimmed(sharp, gain))):
            (root / folder).mkdir(parents=True, exist_ok=True)
            pixels = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{number:02d}.png")
    return root / "blurry", root / "sharp"


def dimmed(image: np.ndarray, gain: float) -> np.ndarray:
    """Display values at another exposure, by a power law close to sRGB."""
    return image * gain ** (1 / 2.2)
