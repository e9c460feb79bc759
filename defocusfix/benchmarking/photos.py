"""Photos to be timed with: made here, all of one scene, out of focus by a known amount.

The scene is of dead leaves (Lee, Mumford and Huang, IJCV 2001): overlapping shapes whose sizes
follow the power law of natural scenes. It repeats, which is no faster or slower than one that does
not, and it is blurred in linear light, as by a lens.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.optics import disc

BLURS_PX = {"sharp": 0.0, "slightly soft": 1.5, "wholly misfocused": 12.0}
"""Blur radius of every pixel of a picture, by what one would call it."""

SCENE_SIDE = 1024  # px
N_LEAVES = 6000
SMALLEST_LEAF, LARGEST_LEAF = 2.0, 250.0  # radius, px
GRAIN = 0.15  # of a leaf's brightness, standard deviation
NOISE = 0.003  # of white, standard deviation, of a camera at a low ISO

FloatArray = npt.NDArray[np.float32]


def synthetic_photo(megapixels: float, radius_px: float) -> npt.NDArray[np.uint8]:
    """A photo (H, W, 3) of 3:2 that is out of focus by `radius_px` everywhere; sRGB, 8 bits."""
    height = max(1, round(math.sqrt(megapixels * 1e6 * 2 / 3)))
    width = max(1, round(height * 3 / 2))
    rng = np.random.default_rng(0)
    scene = _blurred(_scene(rng), radius_px)
    encoded = np.where(scene <= 0.0031308, 12.92 * scene, 1.055 * scene ** (1 / 2.4) - 0.055)
    encoded += rng.normal(0, NOISE, scene.shape)
    values = np.rint(encoded.clip(0, 1) * 255).astype(np.uint8)
    repeats = (-(-height // SCENE_SIDE), -(-width // SCENE_SIDE), 1)
    return np.ascontiguousarray(np.tile(values, repeats)[:height, :width])


def _scene(rng: np.random.Generator) -> FloatArray:
    """Leaves (S, S, 3) in linear light, in [0, 1], the last one on top."""
    picture = np.full((SCENE_SIDE, SCENE_SIDE, 3), 0.2, np.float32)
    # The number of leaves falls with the cube of their radius: invert its cumulative sum.
    near, far = SMALLEST_LEAF**-2, LARGEST_LEAF**-2
    radii = (near + rng.random(N_LEAVES) * (far - near)) ** -0.5
    for radius in radii:
        centre = rng.integers(0, SCENE_SIDE, 2).tolist()
        axes = (max(1, round(radius)), max(1, round(radius * rng.uniform(0.3, 1))))
        colour = (rng.beta(1, 2) * rng.uniform(0.6, 1, 3)).tolist()
        cv2.ellipse(picture, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    grain = rng.normal(1, GRAIN, (SCENE_SIDE, SCENE_SIDE, 1)).astype(np.float32)
    return np.asarray((picture * grain).clip(0, 1), np.float32)


def _blurred(scene: FloatArray, radius_px: float) -> FloatArray:
    """The scene through a lens out of focus, as if it went on by repetition."""
    psf = disc(radius_px)
    spread = np.zeros(scene.shape[:2], np.float32)
    spread[: psf.shape[0], : psf.shape[1]] = psf
    half = psf.shape[0] // 2
    transfer = np.fft.rfft2(np.roll(spread, (-half, -half), (0, 1)))[..., None]
    blurred = np.fft.irfft2(np.fft.rfft2(scene, axes=(0, 1)) * transfer, scene.shape[:2], (0, 1))
    return np.asarray(blurred.clip(0, 1), np.float32)
