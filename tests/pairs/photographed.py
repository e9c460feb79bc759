"""Pairs as a camera leaves them: scenes of their own, blurred by a disc, moved, exposed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from defocusfix.optics.psf import disc
from defocusfix.registration.warp import affine_flow, warp
from tests.evaluation.scenes import texture

SIZE = (288, 384)
STILL = np.eye(2, 3)


def scene(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W, 3) in [0, 1]: large coloured shapes with fine texture on them."""
    height, width = size
    rng = np.random.default_rng((7, seed))
    coarse = rng.uniform(0.15, 0.85, (5, 7, 3)).astype(np.float32)
    shapes = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.clip(shapes + 0.8 * (texture(height, width, seed) - 0.5), 0, 1)


def defocused(image: np.ndarray, radius_px: float) -> np.ndarray:
    """`image` blurred by a disc, on display values."""
    psf = disc(radius_px)
    return cv2.filter2D(image, -1, psf, borderType=cv2.BORDER_REFLECT_101)


def moved(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """What the camera sees if `matrix` maps coordinates of `image` to those of the result."""
    inverse = cv2.invertAffineTransform(np.asarray(matrix, np.float64))
    return warp(image, affine_flow(inverse, image.shape[:2])).clip(0, 1)


def similarity(degrees: float, zoom: float, x: float, y: float) -> np.ndarray:
    """A turn and a zoom around the middle, then a shift."""
    height, width = SIZE
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, zoom)
    matrix[:, 2] += (x, y)
    return matrix


def as_8_bits(image: np.ndarray) -> np.ndarray:
    return np.rint(image.clip(0, 1) * 255).astype(np.uint8)


def write_pair(
    root: Path,
    name: str,
    seed: int,
    *,
    radius_px: float = 3.0,
    matrix: np.ndarray = STILL,
    gain: float = 1.0,
) -> None:
    """blurry/NAME and sharp/NAME, of scene `seed`; `matrix` goes from blurry to sharp."""
    sharp = scene(seed)
    for folder, image in (
        ("blurry", defocused(sharp, radius_px) * gain),
        ("sharp", moved(sharp, matrix)),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(as_8_bits(image)).save(root / folder / name)


def write_set(root: Path, count: int, **how: object) -> tuple[Path, Path]:
    """`count` pairs of as many scenes, 00.png and on, shifted a little; both folders."""
    how.setdefault("matrix", similarity(0.3, 1.0, 4.0, -3.0))
    for number in range(count):
        write_pair(root, f"{number:02d}.png", number, **how)  # type: ignore[arg-type]
    return root / "blurry", root / "sharp"
