"""How the two photos of a pair lie over each other: place, size, turn and exposure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from defocusfix.errors import InputError
from defocusfix.pairs.pixels import as_float, reduced
from defocusfix.photo.pixels import Pixels
from defocusfix.registration.exposure import Gains, exposure_gains
from defocusfix.registration.motion_model import align_simply
from defocusfix.registration.warp import inside, warp

ALIGNED_PIXELS: Final = 1_000_000  # a pair is aligned on photos reduced to about this many


Box = tuple[int, int, int, int]
"""Left, top, right, bottom; right and bottom are the first pixels outside."""


@dataclass(frozen=True, slots=True)
class PairGeometry:
    """How the sharp photo of a pair lies over the blurred one, in pixels of both."""

    matrix: npt.NDArray[np.float64]
    """(2, 3), from coordinates (x, y) of the blurred photo to those of the sharp one."""
    gains: Gains
    """(3,), on the sharp photo's linear light, that bring it to the blurred one's exposure."""
    correlation: float
    """Of the smoothed photos once they are aligned, at most 1; 0 where that failed."""
    is_found: bool
    """False where the two could not be aligned: the matrix is the identity, the gains are 1."""

    def shift_at(self, x: float, y: float) -> tuple[float, float]:
        """How far right and down the sharp photo shows what the blurred one shows at (x, y)."""
        moved = self.matrix @ np.array([x, y, 1.0])
        return float(moved[0] - x), float(moved[1] - y)

    @property
    def rotation_deg(self) -> float:
        """By how much the sharp photo is turned against the blurred one, clockwise as seen."""
        (a, b), (c, d) = self.matrix[:, :2]
        return math.degrees(math.atan2(c - b, a + d))

    @property
    def zoom(self) -> float:
        """How many times larger the sharp photo shows the scene."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix[:, :2]))))

    def common_share(self, size: tuple[int, int]) -> float:
        """Share of the blurred photo, of `size` (height, width), that the sharp one shows too."""
        height, width = size
        y, x = np.mgrid[0.5:64, 0.5:64] / 64
        places = np.stack([x * width - 0.5, y * height - 0.5, np.ones_like(x)])
        there = np.tensordot(self.matrix, places, 1)
        limits = np.array([width - 1, height - 1])[:, None, None]
        return float(((there >= 0) & (there <= limits)).all(axis=0).mean())

    def to_json(self) -> dict[str, Any]:
        """All of it in plain values; `geometry_from_json` reads it back."""
        return {
            "matrix": self.matrix.tolist(),
            "gains": [float(gain) for gain in self.gains],
            "correlation": self.correlation,
            "is_found": self.is_found,
        }


def geometry_from_json(content: dict[str, Any]) -> PairGeometry:
    """What `PairGeometry.to_json` wrote."""
    return PairGeometry(
        matrix=np.array(content["matrix"], np.float64),
        gains=np.array(content["gains"], np.float32),
        correlation=content["correlation"],
        is_found=content["is_found"],
    )


def matrix_at(matrix: npt.NDArray[np.float64], scale: float) -> npt.NDArray[np.float64]:
    """The same map between both photos reduced by `scale`; above 1 smaller, below 1 larger.

    A centre x of the reduced photo lies at scale * x + (scale - 1) / 2 of the whole one.
    """
    small = matrix.copy()
    centre = np.full(2, (scale - 1) / 2)
    small[:, 2] = (matrix[:, 2] + matrix[:, :2] @ centre - centre) / scale
    return small


def find_geometry(blurred: Pixels, sharp: Pixels) -> PairGeometry:
    """How two photos of one size lie over each other, found on about a megapixel of each.

    By a shift where that will do, else a similarity, else an affine map.
    """
    height, width = blurred.shape[:2]
    factor = max(1, round((height * width / ALIGNED_PIXELS) ** 0.5))
    fixed, moving = (as_float(reduced(photo, factor)) for photo in (blurred, sharp))
    found = align_simply(moving, fixed)
    if not found.is_found:
        return PairGeometry(found.matrix, np.ones(3, np.float32), 0.0, is_found=False)
    flow = found.flow((fixed.shape[0], fixed.shape[1]))
    gains = exposure_gains(warp(moving, flow), fixed, inside(flow))
    matrix = matrix_at(found.matrix, 1 / factor)
    return PairGeometry(matrix, gains, found.correlation, is_found=True)


def common_box(matrix: npt.NDArray[np.float64], size: tuple[int, int]) -> Box:
    """A large rectangle of the blurred photo of which the sharp one shows every pixel.

    matrix: (2, 3), from coordinates of the blurred photo to those of the sharp one, both of `size`
    (height, width). Raises InputError if they have next to nothing in common.
    """
    height, width = size
    box = [0, 0, width, height]
    # What both show is convex, so a rectangle lies inside if its corners do. Sides move in, one at
    # a time, whichever brings the corners nearer for the least area.
    while _outside(matrix, box, size) > 0:
        sides = (box[2] - box[0], box[3] - box[1])
        if min(sides) <= 2:
            raise InputError("the two photos have next to nothing in common")
        choices = []
        for side, step in enumerate((1, 1, -1, -1)):
            smaller = box.copy()
            smaller[side] += step
            lost = sides[1 - side % 2]
            choices.append((_outside(matrix, smaller, size) - _outside(matrix, box, size)) / lost)
        best = int(np.argmin(choices))
        box[best] += 1 if best < 2 else -1
    return box[0], box[1], box[2], box[3]


def _outside(matrix: npt.NDArray[np.float64], box: list[int], size: tuple[int, int]) -> float:
    """How far the corner pixels of a box lie outside the sharp photo, all together."""
    left, top, right, bottom = box[0], box[1], box[2] - 1, box[3] - 1
    corners = np.array([[left, right, left, right], [top, top, bottom, bottom], [1, 1, 1, 1]])
    there = matrix @ corners
    limits = np.array([[size[1] - 1], [size[0] - 1]])
    return float(np.maximum(-there, 0).sum() + np.maximum(there - limits, 0).sum())
