"""Cameras: tone curve, noise, demosaicing softness, sharpening, JPEG; settings only, no pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

SUBSAMPLINGS = (
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
)
GALLERY_SHARE = 0.25
SHARPENED_SHARE = 0.4  # by the camera itself


@dataclass(frozen=True)
class Camera:
    """Settings of one simulated camera and exposure; `exposure` takes photos with it."""

    contrast: float  # strength of the S-curve on top of the sRGB curve, 0 is plain sRGB
    highlight_gain: float  # light of clipped source pixels, in multiples of white
    read_noise: float  # standard deviation in linear light at black
    shot_noise: float  # variance per unit of linear light
    noise_is_correlated: bool  # as after demosaicing and in-camera noise reduction
    softness_px: float  # Gaussian sigma of demosaicing and low-pass filter
    sharpening: float  # amount of in-camera unsharp masking
    sharpening_px: float  # its Gaussian sigma
    jpeg_quality: int | None  # None saves without loss
    jpeg_subsampling: int


def random_camera(rng: np.random.Generator) -> Camera:
    """A plausible camera: mostly low noise, often some sharpening, JPEG on seven photos of ten.

    Half of the photos are soft all over, from demosaicing and low-pass filters, and stay so: what
    is softest in a photo need not be out of focus. A quarter went through a web gallery instead:
    scaled down, which halves the noise and sharpens at the finest scale, and saved again, smaller.
    """
    noise = math.exp(rng.uniform(math.log(0.0005), math.log(0.02)))  # at mid grey, linear 0.18
    shot_share = float(rng.uniform(0.3, 0.95))
    kind = rng.random()
    sharpening, sharpening_px = 0.0, 1.0
    lowest_quality, soft_share, softness_px = 70, 0.5, (0.2, 0.7)
    if kind < GALLERY_SHARE:
        noise /= 2
        sharpening, sharpening_px = float(rng.uniform(0.2, 2.0)), float(rng.uniform(0.4, 0.7))
        lowest_quality, soft_share, softness_px = 50, 0.3, (0.15, 0.4)
    elif kind < GALLERY_SHARE + SHARPENED_SHARE:
        sharpening, sharpening_px = float(rng.uniform(0.1, 1.2)), float(rng.uniform(0.5, 1.3))
    return Camera(
        contrast=float(rng.uniform(0, 0.4)),
        highlight_gain=math.exp(rng.uniform(0, math.log(6))) if rng.random() < 0.5 else 1.0,
        read_noise=noise * math.sqrt(1 - shot_share),
        shot_noise=noise**2 * shot_share / 0.18,
        noise_is_correlated=bool(rng.random() < 0.5),
        softness_px=float(rng.uniform(*softness_px)) if rng.random() < soft_share else 0.0,
        sharpening=sharpening,
        sharpening_px=sharpening_px,
        jpeg_quality=int(rng.integers(lowest_quality, 99)) if rng.random() < 0.7 else None,
        jpeg_subsampling=SUBSAMPLINGS[int(rng.choice(3, p=[0.4, 0.15, 0.45]))],
    )
