"""Blur kernels and signed defocus maps as pictures."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from defocusfix.figures.map_image import FloatImage, Picture

GAP: Final = 2
GAP_COLOUR: Final = 255


def kernel_sheet(rows: Sequence[Sequence[FloatImage]], *, cell_px: int = 60) -> Picture:
    """Kernels (k, k) in rows, all on one grid: (rows * cell, columns * cell, 3) RGB.

    A pixel of a kernel is one pixel of the sheet, or several where all kernels are small. Each
    kernel is stretched so that its largest value is white; negative values are red on the same
    scale.
    """
    largest = max(max(kernel.shape) for row in rows for kernel in row)
    zoom = max(1, cell_px // largest)
    cell = largest * zoom + GAP
    columns = max(map(len, rows))
    sheet = np.full((len(rows) * cell + GAP, columns * cell + GAP, 3), GAP_COLOUR, np.uint8)
    for number, row in enumerate(rows):
        for place, kernel in enumerate(row):
            drawn = _drawn(kernel, largest).repeat(zoom, axis=0).repeat(zoom, axis=1)
            top, left = GAP + number * cell, GAP + place * cell
            sheet[top : top + len(drawn), left : left + len(drawn)] = drawn
    return sheet


def signed_map(radius_px: FloatImage, full_scale_px: float) -> Picture:
    """A signed map (H, W) in colours (H, W, 3) RGB: blue negative, white in focus, red positive."""
    share = np.clip(radius_px / full_scale_px, -1, 1)[..., None]
    ends = np.where(share > 0, (178.0, 24.0, 43.0), (33.0, 102.0, 172.0))
    coloured = 247 + np.abs(share) * (ends - 247)
    return np.asarray(np.rint(coloured), np.uint8)


def _drawn(kernel: FloatImage, side: int) -> Picture:
    """(side, side, 3), the kernel in the middle."""
    brightest = max(float(np.abs(kernel).max()), 1e-12)
    levels = np.clip(np.abs(kernel) / brightest * 255, 0, 255)
    shown = np.repeat(levels[..., None], 3, axis=2)
    shown[kernel < 0, 1:] = 0
    margin = (side - len(kernel)) // 2
    rest = side - len(kernel) - margin
    framed = cv2.copyMakeBorder(shown, margin, rest, margin, rest, cv2.BORDER_CONSTANT)
    return np.asarray(np.rint(framed), np.uint8)
