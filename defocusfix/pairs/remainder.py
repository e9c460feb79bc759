"""What one map and one gain for the whole photo leave between the two photos of a pair.

Parallax displaces what is near, and what the photos show of brightness and colour differs from
place to place: a wide-open lens is darker in its corners, the light changed, the camera rendered
each shot as it liked. Either does harm where it is learnt from: the one blurs what is restored, the
other shifts its brightness. Both vary slowly, and both are found by blurring the sharp photo as the
other one is: then the two show the same, and an optical flow has not to tell detail that is missing
from detail that has moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.optics.psf import disc
from defocusfix.pairs.blur import PairBlur, training_scale
from defocusfix.pairs.geometry import PairGeometry, matrix_at
from defocusfix.pairs.pixels import as_float, reduced
from defocusfix.photo.pixels import Pixels
from defocusfix.registration.exposure import to_display, to_linear, with_gains
from defocusfix.registration.flow import dis_flow
from defocusfix.registration.warp import FloatImage, Flow, Mask, affine_flow, inside, warp

MEASURED_PIXELS: Final = 2_000_000  # photos are reduced to about this many, or to fit the blur
FLOW_SIGMA_PX: Final = 16.0  # where a photo is out of focus, a flow's fine detail is error
SHADE_SIGMA_PX: Final = 16.0  # at least; what varies faster is content
SHADE_PER_RADIUS: Final = 3.0  # light is spread by the blur: no shade is told within its reach
LARGEST_SHADE: Final = 4.0  # either way; beyond, something else is seen
LEAST_LIGHT: Final = 1e-3  # linear; keeps black from having a shade
LEAST_SEEN: Final = 0.01  # share of what lies around a pixel; below, its shade is unknown
LEAST_BETTER: Final = 0.1  # share of the squared error that a flow must take off to be believed
CELL_PX: Final = 16  # at which both are kept, at the size they are measured at
MOST_CELLS: Final = 128  # along a side

Grid = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Remainder:
    """Displacements and gains, smooth over the photo, on cells of `step_px` whole-photo pixels."""

    step_px: float
    flow_px: Grid
    """(rows, columns, 2), x first, in pixels of the whole photo: to be added to coordinates of the
    blurred photo before the map to the sharp one."""
    shade: Grid
    """(rows, columns, 3), on the sharp photo's linear light, beside the gains for the whole."""

    def at(
        self, corner: tuple[int, int], size: tuple[int, int], scale: int
    ) -> tuple[Flow, FloatImage]:
        """Flow (H, W, 2), in reduced pixels, and shade (H, W, 3) of a part of the blurred photo.

        corner: its left and top, size: its height and width, in a photo reduced by `scale`.
        """
        row, column = (
            (scale * (start + np.arange(length)) + (scale - 1) / 2 + 0.5) / self.step_px - 0.5
            for start, length in zip(reversed(corner), size, strict=True)
        )
        x, y = (np.asarray(places, np.float32) for places in np.meshgrid(column, row))
        flow, shade = (
            cv2.remap(grid, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for grid in (self.flow_px, self.shade)
        )
        return np.asarray(flow / scale, np.float32), np.asarray(shade, np.float32)

    def to_json(self) -> dict[str, Any]:
        """All of it in plain values; `remainder_from_json` reads it back."""
        return {
            "step_px": self.step_px,
            "flow_px": self.flow_px.round(3).tolist(),
            "shade": self.shade.round(4).tolist(),
        }


NOTHING_LEFT: Final = Remainder(
    1.0, np.zeros((1, 1, 2), np.float32), np.ones((1, 1, 3), np.float32)
)


def remainder_from_json(content: dict[str, Any]) -> Remainder:
    """What `Remainder.to_json` wrote."""
    return Remainder(
        step_px=content["step_px"],
        flow_px=np.array(content["flow_px"], np.float32),
        shade=np.array(content["shade"], np.float32),
    )


def find_remainder(
    blurred: Pixels, sharp: Pixels, geometry: PairGeometry, blur: PairBlur
) -> Remainder:
    """What is left between two photos of one size once `geometry` has laid them over each other.

    blur: of the blurred photo, in the middle of its range; what is blurred otherwise is told less
    well. A flow that does not lay them better is none. Nothing is left where nothing was found.
    """
    if not geometry.is_found or blur.tiles == 0:
        return NOTHING_LEFT
    height, width = blurred.shape[:2]
    scale = max(training_scale(blur), round((height * width / MEASURED_PIXELS) ** 0.5))
    fixed, moving = (as_float(reduced(photo, scale)) for photo in (blurred, sharp))
    over = affine_flow(matrix_at(geometry.matrix, scale), (fixed.shape[0], fixed.shape[1]))
    mask = inside(over)
    laid = with_gains(warp(moving, over).clip(0, 1), geometry.gains)
    radius_px = blur.median_px / scale
    sigma_px = max(SHADE_SIGMA_PX, SHADE_PER_RADIUS * blur.high_px / scale)
    shade = _shade(laid, fixed, mask, sigma_px)
    like_fixed = _reblurred(laid, shade, radius_px)
    flow = _smooth(dis_flow(like_fixed, fixed), FLOW_SIGMA_PX)
    moved = warp(laid, flow).clip(0, 1)
    moved_shade = _shade(moved, fixed, mask, sigma_px)
    errors = [
        float(np.square(view - fixed)[mask].mean())
        for view in (like_fixed, _reblurred(moved, moved_shade, radius_px))
    ]
    if errors[1] > (1 - LEAST_BETTER) * errors[0]:
        flow, moved_shade = np.zeros_like(flow), shade
    cell = max(CELL_PX, -(-max(fixed.shape[:2]) // MOST_CELLS))
    return Remainder(cell * scale, _on_cells(flow * scale, cell), _on_cells(moved_shade, cell))


def _shade(laid: FloatImage, fixed: FloatImage, mask: Mask, sigma_px: float) -> FloatImage:
    """(H, W, 3): how much brighter `fixed` is around each pixel, in linear light."""
    seen = mask[..., None].astype(np.float32)
    wanted, found = (_smooth(to_linear(v) * seen, sigma_px) for v in (fixed, laid))
    share = _smooth(seen, sigma_px).reshape(*mask.shape, 1)
    shade = (wanted + LEAST_LIGHT * share) / np.maximum(found + LEAST_LIGHT * share, 1e-9)
    bounded = np.clip(shade, 1 / LARGEST_SHADE, LARGEST_SHADE)
    return np.where(share < LEAST_SEEN, 1, bounded).astype(np.float32)


def _reblurred(image: FloatImage, shade: FloatImage, radius_px: float) -> FloatImage:
    """`image` at another brightness, out of focus by `radius_px`."""
    light = to_linear(image) * shade
    spread = cv2.filter2D(light, -1, disc(radius_px), borderType=cv2.BORDER_REFLECT_101)
    return to_display(np.asarray(spread, np.float32))


def _smooth(values: npt.NDArray[np.float32], sigma_px: float) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma_px), np.float32)


def _on_cells(values: npt.NDArray[np.float32], cell: int) -> Grid:
    """Means of cells; those at the right and lower border repeat the last pixels."""
    below, right = (-side % cell for side in values.shape[:2])
    whole = cv2.copyMakeBorder(values, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = whole.shape[1] // cell, whole.shape[0] // cell
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.float32)
