"""Data for the learnable blur kernel, small enough for a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from defocusfix.evaluation.protocols import FloatImage
from defocusfix.optics import butterworth
from defocusfix.pairs.rendered import write_facts, write_shard
from tests.evaluation.scenes import texture

RADIUS_PX = 4


def half_blurred(side: int, seed: int) -> tuple[FloatImage, FloatImage, FloatImage]:
    """Blurred and sharp photo (side, side, 3), and the radius (side / 2, side / 2).

    A texture, out of focus by `RADIUS_PX` on its left and in focus on its right; the lens is the
    one that the kernels begin with.
    """
    psf = butterworth(RADIUS_PX)
    rim = len(psf) // 2
    wide = texture(side + 2 * rim, side + 2 * rim, seed)
    windows = np.lib.stride_tricks.sliding_window_view(wide, psf.shape, axis=(0, 1))
    soft = np.einsum("hwcij,ij->hwc", windows, psf)
    sharp = wide[rim:-rim, rim:-rim]
    is_left = np.arange(side) < side // 2
    radius = np.where(is_left[::2], RADIUS_PX, 0) * np.ones((side // 2, 1))
    return np.where(is_left[None, :, None], soft, sharp), sharp, radius.astype(np.float32)


def write_half_blurred(folder: Path, count: int, side: int = 64) -> Path:
    """A set of rendered pairs of these, in `folder`."""
    found = [half_blurred(side, seed) for seed in range(count)]
    blurred, sharp, radius = (np.stack(arrays) for arrays in zip(*found, strict=True))
    write_facts(folder, {"count": count})
    write_shard(folder, 0, _as_bytes(blurred), _as_bytes(sharp), radius.astype(np.float16))
    return folder


def _as_bytes(images: np.ndarray) -> np.ndarray:
    return np.rint(images * 255).clip(0, 255).astype(np.uint8)
