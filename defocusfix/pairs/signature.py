"""A photo in a few thousand numbers, by which photos of one scene know each other.

Focus, exposure and white balance hardly change it; small shifts and zooms, as a hand-held camera
and focusing bring them, are looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.pairs.pixels import as_float, reduced
from defocusfix.photo.pixels import Pixels

SIDE_PX: Final = 48
SMOOTH_PX: Final = 1.0  # what is smaller depends on the focus
TREND_PX: Final = 12.0  # what varies more slowly is light, not place
DARKEST: Final = 0.05  # of display values: below, logarithms would tell of noise
LARGEST_SHIFT: Final = 0.15  # of a side
ZOOMS: Final = (1.0, 1.06, 1 / 1.06, 1.12, 1 / 1.12)
LEAST_VARIANCE: Final = 1e-4  # below, a photo is blank and like no other
ONE_SCENE: Final = 0.8  # real pairs reach 0.96 and more, strangers up to 0.71

COARSE_STEP: Final = 6  # for a quick look, pixels are averaged in squares of this side

Floats = npt.NDArray[np.float32]
Signature = npt.NDArray[np.float32]
"""(3, 48, 48): luminance and two colour differences, logarithmic, without their trends."""


def signature_of(pixels: Pixels) -> Signature:
    """The signature of a photo, stored values (H, W, 3) or (H, W, 1)."""
    small = as_float(reduced(pixels, max(1, min(pixels.shape[:2]) // (4 * SIDE_PX))))
    square = cv2.resize(small, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(np.clip(square, 0, 1), (0, 0), SMOOTH_PX)
    red, green, blue = np.moveaxis(np.log(np.asarray(smooth) + DARKEST), 2, 0)
    planes = [(red + green + blue) / 3, red - green, blue - green]
    trends = [cv2.GaussianBlur(p, (0, 0), TREND_PX, borderType=cv2.BORDER_REFLECT) for p in planes]
    return np.asarray(np.stack(planes) - np.stack(trends), np.float32)


def likeness(one: Signature, other: Signature) -> float:
    """How much two photos show the same, at most 1: the best correlation over shifts and zooms.

    0 where one of them is blank.
    """
    if min(np.square(planes).mean() for planes in (one, other)) < LEAST_VARIANCE:
        return 0.0
    rim = round(LARGEST_SHIFT * SIDE_PX)
    middle = one[:, rim:-rim, rim:-rim]
    return max(_best_place(middle, _zoomed(other, zoom)) for zoom in ZOOMS)


def roughly_alike(ones: Sequence[Signature], others: Sequence[Signature]) -> Floats:
    """A quick look at every pair: (ones, others) correlations of coarse pictures, in place."""
    return np.asarray(_coarse(ones) @ _coarse(others).T)


def _best_place(part: Signature, whole: Signature) -> float:
    """The best correlation of `part` with any place in `whole`."""
    ones = np.ones_like(part[0])
    pairs = list(zip(whole, part, strict=True))
    products = sum(cv2.matchTemplate(plane, p, cv2.TM_CCORR) for plane, p in pairs)
    energies = sum(cv2.matchTemplate(plane**2, ones, cv2.TM_CCORR) for plane, _ in pairs)
    scale = np.sqrt(np.maximum(np.asarray(energies) * np.square(part).sum(), 1e-12))
    return float((np.asarray(products) / scale).max())


def _zoomed(planes: Signature, zoom: float) -> Signature:
    start = (1 - zoom) * (SIDE_PX - 1) / 2
    matrix = np.array([[zoom, 0, start], [0, zoom, start]])
    size = (SIDE_PX, SIDE_PX)
    moved = [cv2.warpAffine(p, matrix, size, borderMode=cv2.BORDER_REFLECT) for p in planes]
    return np.asarray(np.stack(moved), np.float32)


def _coarse(signatures: Sequence[Signature]) -> Floats:
    """(N, coarse pixels), each of length 1."""
    side = SIDE_PX // COARSE_STEP
    shape = (len(signatures), 3, side, COARSE_STEP, side, COARSE_STEP)
    flat = np.stack(signatures).reshape(shape).mean(axis=(3, 5)).reshape(len(signatures), -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))
