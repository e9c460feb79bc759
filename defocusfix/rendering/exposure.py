"""Photos from light, for batches: tone curve, noise, softness, sharpening, JPEG.

One camera treats the blurred and the all-in-focus photo alike; noise and JPEG fall on the blurred
one only. Sources are made linear by the inverse of the same tone curve that is applied afterwards,
so a sharp scene comes out as it went in. Source of the order of steps: Brooks et al., Unprocessing
images, CVPR 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from defocusfix.rendering.camera import Camera

CURVE_POINTS = 1024
HIGHLIGHT = 0.92  # display value from which a source counts as clipped
CORRELATION_PX = 0.7  # Gaussian sigma of correlated noise
CORRELATION_LOSS = 2.2  # the filter takes that much off the noise's amplitude
JPEG_THREADS = 8


def to_linear(display: Tensor, cameras: Sequence[Camera]) -> Tensor:
    """Linear light (B, 3, H, W) from display values (B, H, W, 3) uint8; clipped areas above 1."""
    tables = torch.stack([_linear_table(camera) for camera in cameras]).to(display.device)
    planes = display.permute(0, 3, 1, 2).contiguous().int()
    if len(cameras) > 1:
        planes += 256 * torch.arange(len(cameras), device=display.device).int().view(-1, 1, 1, 1)
    return tables.flatten().index_select(0, planes.flatten()).view(planes.shape)


def develop(light: Tensor, cameras: Sequence[Camera]) -> Tensor:
    """Display values (B, 3, H, W) in [0, 1], without noise and JPEG."""
    soft = _gaussian(light, [camera.softness_px for camera in cameras])
    shown = _tone(soft.clamp(0, 1), _column([camera.contrast for camera in cameras], light))
    if any(camera.sharpening > 0 for camera in cameras):
        amount = _column([camera.sharpening for camera in cameras], light)
        sigmas = [camera.sharpening_px if camera.sharpening > 0 else 0.0 for camera in cameras]
        shown = shown + amount * (shown - _gaussian(shown, sigmas))
    return shown.clamp(0, 1)


def expose(light: Tensor, cameras: Sequence[Camera], noise_seeds: Sequence[int]) -> Tensor:
    """The photos as saved, (B, H, W, 3) uint8: noise, development, JPEG.

    Noise is drawn on the device of `light`: on another device the same seed gives other noise.
    """
    noise = torch.stack([_noise(seed, light) for seed in noise_seeds])
    correlated = [camera.noise_is_correlated for camera in cameras]
    noise = _gaussian(noise, [CORRELATION_PX if is_so else 0.0 for is_so in correlated])
    noise *= _column([CORRELATION_LOSS if is_so else 1.0 for is_so in correlated], light)
    clipped = light.clamp(0, 1)
    shot = _column([camera.shot_noise for camera in cameras], light)
    read = _column([camera.read_noise**2 for camera in cameras], light)
    photos = to_uint8(develop(clipped + noise * (read + shot * clipped).sqrt(), cameras))
    return _saved(photos, cameras)


def to_uint8(display: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> (B, H, W, 3) uint8, rounded."""
    return (display * 255 + 0.5).clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()


def _linear_table(camera: Camera) -> Tensor:
    """Linear light of the 256 display values."""
    values = np.linspace(0, 1, CURVE_POINTS)
    curve = _tone(torch.from_numpy(values), torch.tensor(camera.contrast)).numpy()
    table = np.interp(np.arange(256) / 255, curve, values)
    excess = np.clip((np.arange(256) / 255 - HIGHLIGHT) / (1 - HIGHLIGHT), 0, 1)
    table *= 1 + (camera.highlight_gain - 1) * excess**2
    return torch.from_numpy(table.astype(np.float32))


def _tone(linear: Tensor, contrast: Tensor) -> Tensor:
    """Display value of linear light in [0, 1]: the sRGB curve, then a mild S-curve."""
    srgb = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    smooth = srgb * srgb * (3 - 2 * srgb)
    return torch.lerp(srgb, smooth, contrast.to(srgb.dtype))


def _noise(seed: int, like: Tensor) -> Tensor:
    """Standard normal numbers (3, H, W), the same for the same seed whatever the batch."""
    generator = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape[1:], generator=generator, device=like.device)


def _saved(photos: Tensor, cameras: Sequence[Camera]) -> Tensor:
    """`photos` (B, H, W, 3) uint8 after JPEG, on the processor, for the cameras that use it."""
    chosen = [index for index, camera in enumerate(cameras) if camera.jpeg_quality is not None]
    if not chosen:
        return photos
    where = torch.tensor(chosen, device=photos.device)
    taken = list(photos[where].cpu().numpy())
    qualities = [cameras[index].jpeg_quality or 0 for index in chosen]
    subsamplings = [cameras[index].jpeg_subsampling for index in chosen]
    if len(chosen) == 1:
        loaded = [through_jpeg(taken[0], qualities[0], subsamplings[0])]
    else:
        with ThreadPoolExecutor(min(JPEG_THREADS, len(chosen))) as pool:
            loaded = list(pool.map(through_jpeg, taken, qualities, subsamplings))
    photos[where] = torch.from_numpy(np.stack(loaded)).to(photos.device)
    return photos


def through_jpeg(photo: np.ndarray, quality: int, subsampling: int) -> np.ndarray:
    """`photo` (H, W, 3) uint8 RGB as saving leaves it; subsampling: one of camera.SUBSAMPLINGS."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, subsampling]
    _, data = cv2.imencode(".jpg", photo[..., ::-1], options)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded in the line before
    return decoded[..., ::-1]


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    """One number per photo, as (B, 1, 1, 1)."""
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, 1, 1, 1)


def _gaussian(images: Tensor, sigmas: Sequence[float]) -> Tensor:
    """`images` (B, 3, H, W), each smoothed with its own sigma in px, mirrored at its edges.

    Not a torch convolution: sums of shifted images are faster on a processor, and exact on a GPU,
    where convolutions round to TF32.
    """
    chosen = [index for index, sigma in enumerate(sigmas) if sigma > 0]
    if not chosen:
        return images
    if len(chosen) < len(sigmas):
        where = torch.tensor(chosen, device=images.device)
        smoothed = images.clone()
        smoothed[where] = _gaussian(images[where], [sigmas[index] for index in chosen])
        return smoothed
    reach = max(1, math.ceil(3 * max(sigmas)))
    steps = torch.arange(reach + 1, dtype=images.dtype).view(-1, 1, 1, 1, 1)
    sigma = torch.tensor(sigmas, dtype=images.dtype).view(-1, 1, 1, 1)
    taps = torch.exp(-(steps**2) / (2 * sigma**2)) * (steps <= (3 * sigma).ceil().clamp_min(1))
    taps = (taps / (2 * taps.sum(dim=0) - taps[0])).to(images.device)
    for axis, rims in ((-1, (reach, reach, 0, 0)), (-2, (0, 0, reach, reach))):
        padded, size = F.pad(images, rims, mode="reflect"), images.shape[axis]
        images = padded.narrow(axis, reach, size) * taps[0]
        for distance in range(1, reach + 1):
            before = padded.narrow(axis, reach - distance, size)
            after = padded.narrow(axis, reach + distance, size)
            images.addcmul_(before + after, taps[distance])
    return images
