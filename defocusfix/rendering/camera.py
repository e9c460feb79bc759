"""The camera behind the lens: tone curve, noise, demosaicing softness, sharpening, JPEG.

One camera treats the blurred and the all-in-focus photo alike; noise and JPEG fall on the blurred
one only. Sources are made linear by the inverse of the same tone curve that is applied afterwards,
so a sharp scene comes out as it went in. Source of the order of steps: Brooks et al., Unprocessing
images, CVPR 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CURVE_POINTS = 1024
HIGHLIGHT = 0.92  # display value from which a source counts as clipped
SUBSAMPLINGS = (
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
)


@dataclass(frozen=True)
class Camera:
    """Settings of one simulated camera and exposure."""

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

    def to_linear(self, display: np.ndarray) -> Tensor:
        """Linear light (3, H, W) from display values (H, W, 3) uint8; clipped areas above 1."""
        values = np.linspace(0, 1, CURVE_POINTS)
        table = np.interp(np.arange(256) / 255, self._tone(values), values)
        if self.highlight_gain > 1:
            excess = np.clip((np.arange(256) / 255 - HIGHLIGHT) / (1 - HIGHLIGHT), 0, 1)
            table = table * (1 + (self.highlight_gain - 1) * excess**2)
        light = cv2.LUT(display, table.astype(np.float32))
        return torch.from_numpy(light).permute(2, 0, 1).contiguous()

    def develop(self, light: Tensor) -> Tensor:
        """Display values (3, H, W) in [0, 1], without noise and JPEG."""
        soft = _gaussian(light, self.softness_px)
        position = soft.clamp(0, 1).sqrt() * (CURVE_POINTS - 1)  # finer steps in the shadows
        curve = torch.from_numpy(
            self._tone((np.arange(CURVE_POINTS) / (CURVE_POINTS - 1)) ** 2).astype(np.float32)
        ).to(light.device)
        below = position.floor().long().clamp_max(CURVE_POINTS - 2)
        shown = torch.lerp(curve[below], curve[below + 1], position - below)
        if self.sharpening > 0:
            shown = shown + self.sharpening * (shown - _gaussian(shown, self.sharpening_px))
        return shown.clamp(0, 1)

    def expose(self, light: Tensor, rng: np.random.Generator) -> np.ndarray:
        """The photo as saved, (H, W, 3) uint8: noise, development, JPEG."""
        noise = torch.from_numpy(rng.standard_normal(light.shape, np.float32)).to(light.device)
        if self.noise_is_correlated:
            noise = _gaussian(noise, 0.7) * 2.2  # the filter takes that much off its amplitude
        clipped = light.clamp(0, 1)
        noisy = clipped + noise * (self.read_noise**2 + self.shot_noise * clipped).sqrt()
        photo = to_uint8(self.develop(noisy))
        if self.jpeg_quality is None:
            return photo
        options = [
            cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR, self.jpeg_subsampling,
        ]  # fmt: skip
        _, data = cv2.imencode(".jpg", photo[..., ::-1], options)
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert decoded is not None  # it was encoded in the line before
        return decoded[..., ::-1]

    def _tone(self, linear: np.ndarray) -> np.ndarray:
        """Display value of linear light in [0, 1]: the sRGB curve, then a mild S-curve."""
        srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        smooth = srgb * srgb * (3 - 2 * srgb)
        return (1 - self.contrast) * srgb + self.contrast * smooth


def random_camera(rng: np.random.Generator) -> Camera:
    """A plausible camera: mostly low noise, often some sharpening, JPEG on six photos of ten."""
    noise = math.exp(rng.uniform(math.log(0.0005), math.log(0.02)))  # at mid grey, linear 0.18
    shot_share = float(rng.uniform(0.3, 0.95))
    return Camera(
        contrast=float(rng.uniform(0, 0.4)),
        highlight_gain=math.exp(rng.uniform(0, math.log(6))) if rng.random() < 0.5 else 1.0,
        read_noise=noise * math.sqrt(1 - shot_share),
        shot_noise=noise**2 * shot_share / 0.18,
        noise_is_correlated=bool(rng.random() < 0.5),
        softness_px=float(rng.uniform(0.2, 0.6)) if rng.random() < 0.4 else 0.0,
        sharpening=float(rng.uniform(0.1, 1.2)) if rng.random() < 0.5 else 0.0,
        sharpening_px=float(rng.uniform(0.5, 1.3)),
        jpeg_quality=int(rng.integers(70, 99)) if rng.random() < 0.6 else None,
        jpeg_subsampling=SUBSAMPLINGS[int(rng.choice(3, p=[0.4, 0.15, 0.45]))],
    )


def to_uint8(display: Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] -> (H, W, 3) uint8, rounded."""
    return (display * 255 + 0.5).clamp(0, 255).byte().permute(1, 2, 0).contiguous().cpu().numpy()


def _gaussian(image: Tensor, sigma: float) -> Tensor:
    """`image` (3, H, W) smoothed, mirrored at its edges."""
    if sigma <= 0:
        return image
    reach = max(1, math.ceil(3 * sigma))
    steps = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, -1)
    padded = F.pad(image[None], (reach, reach, reach, reach), mode="reflect")
    rows = F.conv2d(padded, kernel[:, :, None, :], groups=3)
    return F.conv2d(rows, kernel[:, :, :, None], groups=3)[0]
