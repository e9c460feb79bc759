"""Light fields: a grid of views through the parts of one lens, and what the whole lens would see.

Conventions. `views` are (V, U, H, W, 3), V rows and U columns of views, both odd, in linear light;
the view in the middle is the reference. A point at (x, y) of it, with `slope` s in pixels per view
step, lies at (x - s du, y - s dv) in the view du columns to the right and dv rows below. Slope is
the disparity between neighbouring views: with views numbered from left to right and from top to
bottom, larger is nearer.

Shift and add. Views moved by (s0 du, s0 dv) lie over each other for points of slope s0. Averaged
over an aperture of `radius_steps` view steps, with the weights of its shape, they are the photo
of a lens focused there. A point of slope s lands at x + (s0 - s) du, so its blur is the aperture
itself, of the signed radius

    radius_px = (s0 - s) * radius_steps

positive behind the plane of focus, as everywhere here. It is exact, and the geometry is that of
the middle view. What blur the views have themselves stays, in all of them alike.

Between views. A view stands in for the part of the aperture around it. Where |s0 - s| is more than
about a pixel, the eye sees the single views in the blur: ghosts. The part is then divided, and the
view moved along its own slopes, by less than half a view step, to the middle of each piece.

Sources: Ng et al., Light Field Photography with a Hand-held Plenoptic Camera, 2005 (refocusing);
Levoy and Hanrahan, Light Field Rendering, SIGGRAPH 1996, and Chai et al., Plenoptic Sampling,
SIGGRAPH 2000 (one pixel of disparity between samples).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.optics.psf import Aperture

FloatArray = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

LANCZOS_LOBES: Final = 6  # passes 98 % at 0.4 cycles per pixel wherever the shift falls
FINE_SAMPLES: Final = 8  # along a side of the aperture's pieces, for their share of light
BISECTIONS: Final = 40
CENTRINGS: Final = 4  # rounds that bring the centroid of a sampled aperture to the middle


@dataclass(frozen=True, slots=True, eq=False)
class LightField:
    """Views of one scene, in linear light."""

    views: FloatArray
    """(V, U, H, W, 3), V and U odd."""
    usable: Mask
    """(V, U), False for views that are left out, such as vignetted corners."""
    seen: Mask
    """(V, U, H, W), False for pixels of a view that show nothing."""

    def __post_init__(self) -> None:
        grid, size = self.views.shape[:2], self.views.shape[2:4]
        if self.views.ndim != 5 or self.views.shape[4] != 3:
            raise ValueError(f"views are (V, U, H, W, 3), not {self.views.shape}")
        if grid[0] % 2 == 0 or grid[1] % 2 == 0:
            raise ValueError(f"{grid[0]} x {grid[1]} views have none in the middle")
        if self.usable.shape != grid or self.seen.shape != (*grid, *size):
            raise ValueError("usable and seen do not belong to the views")
        if not self.usable[grid[0] // 2, grid[1] // 2]:
            raise ValueError("the view in the middle must be usable")

    @property
    def grid(self) -> tuple[int, int]:
        """(V, U): rows and columns of views."""
        return self.usable.shape[0], self.usable.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of a view."""
        return int(self.views.shape[2]), int(self.views.shape[3])

    @property
    def middle(self) -> FloatArray:
        """(H, W, 3): the view that everything else refers to."""
        middle: FloatArray = self.views[self.grid[0] // 2, self.grid[1] // 2]
        return middle

    @property
    def largest_radius_steps(self) -> float:
        """Radius of the largest round aperture within the grid of views."""
        return min(self.grid) // 2


@dataclass(frozen=True, slots=True)
class PupilSample:
    """One piece of an aperture and the view that stands in for it; all in view steps."""

    view: tuple[int, int]
    """Row and column in the grid of views."""
    position: tuple[float, float]
    """(dv, du): the piece's middle, from the view in the middle."""
    offset: tuple[float, float]
    """(dv, du): the same, from the view that stands in; within half a step."""
    weight: float
    """Share of the aperture's light; all of an aperture sum to 1."""


@dataclass(frozen=True, slots=True)
class Pupil:
    """An aperture sampled at the views of a light field."""

    samples: tuple[PupilSample, ...]
    radius_steps: float
    """Radius whose blur this is, by its second moment. The radius asked for, unless views within
    it had to be left out."""
    dropped: int
    """Views within the aperture that are left out, each with the one opposite."""


@dataclass(frozen=True, slots=True, eq=False)
class Refocused:
    """A photo through a synthetic aperture."""

    image: FloatArray
    """(H, W, 3), linear light."""
    whole: Mask
    """(H, W), True where every view of the aperture shows something."""


def signed_radius(slopes: FloatArray, focus_slope: float, radius_steps: float) -> FloatArray:
    """Blur radius in pixels, positive behind the plane of focus; same shape as `slopes`."""
    return np.asarray((focus_slope - slopes) * radius_steps, np.float32)


def pieces_per_step(slopes: FloatArray, focus_slope: float, largest_step_px: float) -> int:
    """Into how many pieces to divide a view step; neighbours land `largest_step_px` apart at most.

    The number is odd, so that one of the pieces is the view as it is. slopes: of the scene.
    """
    steepest = float(np.abs(slopes - focus_slope).max())
    pieces = max(1, math.ceil(steepest / largest_step_px - 1e-6))
    return pieces + 1 - pieces % 2


def sample_pupil(field: LightField, aperture: Aperture, radius_steps: float, pieces: int) -> Pupil:
    """Weights for the views under an aperture: its light on each piece of each view's cell.

    radius_steps: of the circle around the aperture, above 0. pieces: along a view step, odd. The
    centroid is the middle view's place, and the second moment that of the shape, to 1e-6. A
    view that is not usable is left out together with the one opposite, so that the centroid stays.
    Raises ValueError if the aperture reaches beyond the views or nothing of it is left.
    """
    if not radius_steps > 0 or pieces < 1 or pieces % 2 == 0:
        raise ValueError(f"no aperture has radius {radius_steps} in {pieces} pieces per step")
    half = field.grid[0] // 2, field.grid[1] // 2
    if radius_steps * aperture.extent > min(half) + 0.5:
        raise ValueError(
            f"a radius of {radius_steps:g} view steps reaches beyond {field.grid[0]} x "
            f"{field.grid[1]} views"
        )
    wanted = radius_steps**2 * aperture.mean_square
    weights = _weights_of_moment(aperture, radius_steps, wanted, half, pieces)
    out = ~field.usable
    out |= out[::-1, ::-1]
    dropped = int(sum(weights[_cell(v, u, pieces)].any() for v, u in np.argwhere(out)))
    for v, u in np.argwhere(out):
        weights[_cell(v, u, pieces)] = 0
    if not weights.any():
        raise ValueError("no usable view lies under the aperture")
    weights /= weights.sum()
    share = _moment(weights, half, pieces) / wanted
    samples = tuple(_samples(weights, half, pieces))
    return Pupil(samples, radius_steps * math.sqrt(share) if dropped else radius_steps, dropped)


def refocus(
    field: LightField, pupil: Pupil, focus_slope: float, slopes: FloatArray | None = None
) -> Refocused:
    """What a lens with this aperture sees, focused at `focus_slope`.

    slopes: (V, U, H, W) of every view's pixels, as `view_slopes` gives; needed when the pupil has
    pieces between the views. Raises ValueError without them.
    """
    height, width = field.size
    image = np.zeros((height, width, 3), np.float32)
    whole = np.ones((height, width), bool)
    margin = LANCZOS_LOBES + 1 + (0 if slopes is None else math.ceil(np.abs(slopes).max() / 2))
    for sample in pupil.samples:
        view = field.views[sample.view]
        shift = sample.position[0] * focus_slope, sample.position[1] * focus_slope
        if sample.offset == (0, 0):
            moved = shifted(view, shift)
        elif slopes is None:
            raise ValueError("pieces between the views need the slopes of every view")
        else:
            moved = _moved_between(view, slopes[sample.view], sample.offset, shift)
        image += np.float32(sample.weight) * moved
        whole &= _shifted_mask(field.seen[sample.view], shift, margin)
    return Refocused(image, whole)


def shifted(image: FloatArray, shift: tuple[float, float]) -> FloatArray:
    """`image` (H, W) or (H, W, C) sampled at (y - shift[0], x - shift[1]), mirrored beyond it.

    Whole shifts are exact, others by a separable Lanczos filter of `LANCZOS_LOBES`; sums to 1.
    """
    rows, columns = (_lanczos(amount) for amount in shift)
    reach = (max(len(rows), len(columns)) - 1) // 2
    if reach >= min(image.shape[:2]):
        raise ValueError(f"a shift of {shift} px leaves nothing of {image.shape[:2]} px")
    return np.asarray(
        cv2.sepFilter2D(image, -1, columns, rows, borderType=cv2.BORDER_REFLECT_101), np.float32
    )


def view_slopes(slopes: FloatArray, grid: tuple[int, int]) -> FloatArray:
    """Slopes of the pixels of every view, (V, U, H, W), from those of the middle one, (H, W).

    Each pixel is moved to where the view sees it, nearer ones over farther ones. What the middle
    view does not see gets the farthest slope around.
    """
    height, width = slopes.shape
    order = np.argsort(slopes, axis=None)
    near_last = slopes.ravel()[order]
    row, column = np.divmod(order, width)
    found = np.empty((*grid, height, width), np.float32)
    for v, u in np.ndindex(grid):
        dv, du = v - grid[0] // 2, u - grid[1] // 2
        to_row = np.rint(row - near_last * dv).astype(int)
        to_column = np.rint(column - near_last * du).astype(int)
        inside = (to_row >= 0) & (to_row < height) & (to_column >= 0) & (to_column < width)
        view = np.full((height, width), np.inf, np.float32)
        # Of several values for one place numpy keeps the last: the nearest.
        view[to_row[inside], to_column[inside]] = near_last[inside]
        found[v, u] = cv2.medianBlur(_filled(view), 3)
    return found


def _moved_between(
    view: FloatArray, slopes: FloatArray, offset: tuple[float, float], shift: tuple[float, float]
) -> FloatArray:
    """The view as seen `offset` view steps aside, shifted."""
    height, width = slopes.shape
    row = np.arange(height, dtype=np.float32)[:, None] - np.float32(shift[0])
    column = np.arange(width, dtype=np.float32)[None, :] - np.float32(shift[1])
    row, column = (np.ascontiguousarray(a) for a in np.broadcast_arrays(row, column))
    slope = _sampled(slopes, row, column, cv2.INTER_NEAREST)
    down, right = np.float32(offset[0]), np.float32(offset[1])
    # Where the aside view sees a slope, this one sees it a little displaced: once more from there.
    slope = _sampled(slopes, row + slope * down, column + slope * right, cv2.INTER_NEAREST)
    return _sampled(view, row + slope * down, column + slope * right, cv2.INTER_LANCZOS4)


def _sampled(image: FloatArray, row: FloatArray, column: FloatArray, how: int) -> FloatArray:
    found = cv2.remap(image, column, row, how, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(found, np.float32)


def _shifted_mask(seen: Mask, shift: tuple[float, float], margin: int) -> Mask:
    """Where the shifted view shows something with all that its filter needs."""
    side = 2 * margin + 1
    inner = cv2.erode(seen.view(np.uint8), np.ones((side, side), np.uint8), borderValue=0)
    matrix = np.array([[1, 0, round(shift[1])], [0, 1, round(shift[0])]], np.float64)
    moved = cv2.warpAffine(inner, matrix, seen.shape[::-1], flags=cv2.INTER_NEAREST, borderValue=0)
    return np.asarray(moved, np.uint8).astype(bool)


def _lanczos(shift: float) -> npt.NDArray[np.float64]:
    """Taps that sample a signal at i - shift, of odd length, for correlation."""
    whole = math.floor(-shift)
    taps = np.arange(1 - LANCZOS_LOBES, LANCZOS_LOBES + 1)
    distance = taps - (-shift - whole)
    weights = np.sinc(distance) * np.sinc(distance / LANCZOS_LOBES)
    weights[np.abs(distance) >= LANCZOS_LOBES] = 0
    reach = abs(whole) + LANCZOS_LOBES
    kernel = np.zeros(2 * reach + 1)
    kernel[taps + whole + reach] = weights / weights.sum()
    return kernel


def _filled(view: FloatArray) -> FloatArray:
    """Infinite places replaced by the smallest value around, from their rims inwards."""
    while not np.isfinite(view).all():
        if not np.isfinite(view).any():
            return np.zeros_like(view)
        # The border that erode assumes otherwise is a large number, but a finite one.
        grown = cv2.erode(view, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
        view = np.where(np.isfinite(view), view, grown)
    return view


def _weights_of_moment(
    aperture: Aperture, radius: float, wanted: float, half: tuple[int, int], pieces: int
) -> npt.NDArray[np.float64]:
    """Weights whose second moment is the wanted one: the shape is drawn a little smaller."""
    low, high = 0.0, radius + 1 / pieces
    for _ in range(BISECTIONS):
        drawn = (low + high) / 2
        weights = _weights(aperture, drawn, half, pieces)
        if _moment(weights, half, pieces) < wanted:
            low = drawn
        else:
            high = drawn
    return weights


def _weights(
    aperture: Aperture, radius: float, half: tuple[int, int], pieces: int
) -> npt.NDArray[np.float64]:
    """Light on each piece, (rows, columns) of pieces, summing to 1, its centroid in the middle."""
    rows, columns = (_fine_positions(count, pieces) for count in half)
    offset = np.zeros(2)
    for _ in range(CENTRINGS):
        light = aperture.light(
            (columns - offset[1]) / radius,
            (rows - offset[0]) / radius,
            1 / (FINE_SAMPLES * pieces * radius),
        )
        shape = (len(rows) // FINE_SAMPLES, FINE_SAMPLES, len(columns) // FINE_SAMPLES, -1)
        weights: npt.NDArray[np.float64] = light.reshape(shape).sum(axis=(1, 3))
        if not weights.any():  # smaller than what lies between two samples
            weights[weights.shape[0] // 2, weights.shape[1] // 2] = 1
        weights /= weights.sum()
        centroid = np.array(
            [
                weights.sum(1) @ _positions(half[0], pieces),
                weights.sum(0) @ _positions(half[1], pieces),
            ]
        )
        if np.abs(centroid).max() < 1e-9:
            break
        offset -= centroid
    return weights


def _moment(weights: npt.NDArray[np.float64], half: tuple[int, int], pieces: int) -> float:
    down, across = weights.sum(1), weights.sum(0)
    moment = down @ _positions(half[0], pieces) ** 2 + across @ _positions(half[1], pieces) ** 2
    return float(moment)


def _positions(half: int, pieces: int) -> npt.NDArray[np.float64]:
    """Middles of the pieces along one side, in view steps from the middle view."""
    count = (2 * half + 1) * pieces
    positions: npt.NDArray[np.float64] = (np.arange(count) - (count - 1) / 2) / pieces
    return positions


def _fine_positions(half: int, pieces: int) -> npt.NDArray[np.float64]:
    return _positions(half, pieces * FINE_SAMPLES)


def _cell(v: int, u: int, pieces: int) -> tuple[slice, slice]:
    """The pieces of one view."""
    return slice(v * pieces, (v + 1) * pieces), slice(u * pieces, (u + 1) * pieces)


def _samples(
    weights: npt.NDArray[np.float64], half: tuple[int, int], pieces: int
) -> Iterator[PupilSample]:
    rows, columns = _positions(half[0], pieces), _positions(half[1], pieces)
    for row, column in np.argwhere(weights > 0):
        v, u = int(row) // pieces, int(column) // pieces
        position = float(rows[row]), float(columns[column])
        offset = (round(position[0] - (v - half[0]), 9), round(position[1] - (u - half[1]), 9))
        yield PupilSample((v, u), position, offset, float(weights[row, column]))
