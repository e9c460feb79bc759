"""One shift, or one similarity, or one affine map for a whole photo: the simplest that will do.

A map with more parameters always fits two photos better than one with fewer, but where one of them
is out of focus, or leaves have moved, it bends to what is no movement of the camera. So each model
is fitted to a part of the photo and has to explain the rest of it, and a richer one must explain
clearly more than the next simpler.

The photo is divided into tiles, which are small enough to move as a whole. What a tile of one photo
tells of the other is the mutual information of two Gaussians, -log(1 - correlation^2) / 2 per
sample: tiles that are in focus in both photos, and hence agree almost perfectly, say most, whatever
their contrast, and a minority of tiles that moved by themselves say little. Its sum over the tiles
is climbed by Gauss-Newton steps on the tiles' linearised residuals.

Sources: Lucas and Kanade, An iterative image registration technique, 1981; Breiman et al.,
Classification and Regression Trees, 1984, section 3.4.3, for choosing the simplest model that is
not clearly worse by cross-validation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.registration.global_ecc import GlobalAlignment, align_globally, trendless_pyramid
from defocusfix.registration.warp import FloatImage, affine_flow, inside, warp

TILES_PER_SIDE: Final = 8  # along the shorter side
SMALLEST_TILE_PX: Final = 12
BLOCKS_PER_SIDE: Final = 3  # of tiles that are left out of a fit together
CHOOSING_PIXELS: Final = 400_000  # the model is chosen on photos reduced to at most so many
STEPS: Final = 12
INNER_STEPS: Final = 8
STILL_PX: Final = 0.01  # a step that moves no tile farther is the last
LONGEST_STEP_PX: Final = 2.0  # of a tile: farther, a linearised residual says nothing
LEAST_UNEXPLAINED: Final = 0.01  # of a tile's variance: better agreement counts no more
NOISE: Final = 0.002  # standard deviation, in display values, that no alignment explains
CLEARLY: Final = 1.0  # standard errors by which a richer model must explain more
LEAST_SEEN: Final = 0.5  # of a tile, which both photos must show, or it says nothing
LEAST_DIFFERENCE_PX: Final = 0.25  # at some corner; maps closer than that are as good as one
LARGEST_LOSS: Final = 0.02  # of correlation over the whole photo; more is no simple movement

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

# Six parameters in pixels: the shift (x, y) of the middle, then what a place at half a diagonal
# from it adds: to x by how far right and how far down it lies, to y likewise.
SHIFT: Final = np.eye(6)[:, :2]
ZOOM, TURN = np.array([0, 0, 1, 0, 0, 1]), np.array([0, 0, 0, -1, 1, 0])
SIMILARITY: Final = np.column_stack([SHIFT, ZOOM, TURN]).astype(np.float64)
AFFINE: Final = np.eye(6)
MODELS: Final = (SHIFT, SIMILARITY, AFFINE)
"""Columns span the parameters of each model; the simplest first."""


@dataclass(frozen=True, slots=True)
class _Tiles:
    """What the tiles say of small displacements d (2,) of each; N tiles."""

    places: Floats
    """(N, 2, 6): displacement of a tile by the six parameters."""
    slopes: Floats
    """(N, 2, 2): second derivative of the squared residual, halved."""
    pull: Floats
    """(N, 2): its first derivative, halved, with the opposite sign."""
    residual: Floats
    """(N,): squared residual without displacement, with what no alignment explains."""
    whole: Floats
    """(N,): the same if the other photo explained nothing."""
    block: npt.NDArray[np.int64]
    """(N,): tiles of one number are left out of a fit together."""

    def information(self, step: Floats) -> Floats:
        """(N,): what each tile tells once the parameters have moved by `step` (6,)."""
        moved = self.places @ step
        quadratic = np.einsum("ni,nij,nj->n", moved, self.slopes, moved)
        left = self.residual - 2 * (self.pull * moved).sum(axis=1) + quadratic
        return np.asarray(-np.log(np.maximum(left, 1e-12) / self.whole) / 2)

    def best_step(self, model: Floats, chosen: npt.NDArray[np.bool_]) -> Floats:
        """(6,): the step within a model after which the chosen tiles tell most."""
        places, step = self.places[chosen] @ model, np.zeros(model.shape[1])
        slopes, pull = self.slopes[chosen], self.pull[chosen]
        for _ in range(INNER_STEPS):
            weight = np.exp(2 * self.information(model @ step)[chosen]) / self.whole[chosen]
            left = np.einsum("n,nik,nij,njl->kl", weight, places, slopes, places, optimize=True)
            right = np.einsum("n,nik,ni->k", weight, places, pull, optimize=True)
            ridge = 1e-6 * np.trace(left) * np.eye(len(left)) + 1e-12 * np.eye(len(left))
            step = np.linalg.solve(left + ridge, right)
        return np.asarray(model @ step)


def align_simply(moving: FloatImage, fixed: FloatImage) -> GlobalAlignment:
    """Find the simplest map that lays `moving` on `fixed`; both (H, W, 3) in [0, 1], one size.

    A shift, a similarity (shift, turn and zoom) or an affine map: the simplest beside which no
    richer one clearly explains more. The search begins with `align_globally`, and fails where it
    fails. Raises ValueError if the sizes differ.
    """
    start = align_globally(moving, fixed)
    if not start.is_found:
        return start
    levels = list(zip(trendless_pyramid(moving), trendless_pyramid(fixed), strict=True))
    chosen = next((n for n, (_, f) in enumerate(levels) if f.size <= CHOOSING_PIXELS), 0)
    parameters = _parameters(start.matrix, levels[0][1].shape)
    fitted = []
    for model in MODELS:
        found = model @ np.linalg.lstsq(model, parameters, rcond=None)[0]
        for level in reversed(range(chosen, len(levels))):
            found = 2**level * _climbed(found / 2**level, model, *levels[level])
        fitted.append(found)
    for number in _that_will_do(fitted, *levels[chosen], scale=2**chosen):
        found = fitted[number]
        for level in reversed(range(chosen)):
            found = 2**level * _climbed(found / 2**level, MODELS[number], *levels[level])
        matrix = _matrix(found, levels[0][1].shape)
        correlation = _correlation(matrix, *levels[0])
        if correlation >= start.correlation - LARGEST_LOSS:
            return GlobalAlignment(matrix, correlation, is_found=True)
    return start


def _that_will_do(
    fitted: list[Floats], moving: FloatImage, fixed: FloatImage, *, scale: int
) -> list[int]:
    """The numbers of the models beside which no other explains clearly more, the simplest first."""
    told = [
        _held_out(model, _tiles(parameters / scale, moving, fixed))
        for model, parameters in zip(MODELS, fitted, strict=True)
    ]
    best = max(range(len(MODELS)), key=lambda number: told[number].sum())
    found = []
    for number in range(len(MODELS)):
        gain = told[best] - told[number]
        is_clear = gain.sum() > CLEARLY * gain.std(ddof=1) * math.sqrt(len(gain))
        if not is_clear or _farthest_apart(fitted[best], fitted[number]) < LEAST_DIFFERENCE_PX:
            found.append(number)
    return found


def _held_out(model: Floats, tiles: _Tiles) -> Floats:
    """(blocks,): what each block of tiles tells if the model is fitted to all other blocks."""
    told = []
    for block in range(BLOCKS_PER_SIDE**2):
        is_left_out = tiles.block == block
        step = tiles.best_step(model, ~is_left_out)
        told.append(tiles.information(step)[is_left_out].sum())
    return np.array(told)


def _climbed(parameters: Floats, model: Floats, moving: FloatImage, fixed: FloatImage) -> Floats:
    """The parameters of a model from which no small step leads to more information."""
    best, most = parameters, -math.inf
    for _ in range(STEPS):
        tiles = _tiles(parameters, moving, fixed)
        told = float(tiles.information(np.zeros(6)).sum())
        if told <= most:
            parameters = (parameters + best) / 2  # too far: half way back
            if np.abs(parameters - best).max() < STILL_PX:
                break
            continue
        best, most = parameters, told
        step = tiles.best_step(model, np.ones(len(tiles.residual), np.bool_))
        longest = float(np.linalg.norm(tiles.places @ step, axis=1).max())
        parameters = best + step * min(1.0, LONGEST_STEP_PX / max(longest, 1e-9))
        if longest < STILL_PX:
            break
    return best


def _tiles(parameters: Floats, moving: FloatImage, fixed: FloatImage) -> _Tiles:
    """The residuals of all tiles around a map, linearised."""
    flow = affine_flow(_matrix(parameters, fixed.shape), (fixed.shape[0], fixed.shape[1]))
    seen = inside(flow).astype(np.float32)
    warped = warp(moving, flow)
    slope_x = cv2.Sobel(warped, cv2.CV_32F, 1, 0, scale=1 / 8) * seen
    slope_y = cv2.Sobel(warped, cv2.CV_32F, 0, 1, scale=1 / 8) * seen
    rows, columns = (_edges(side, min(fixed.shape)) for side in fixed.shape)

    def summed(values: FloatImage) -> Floats:
        by_row = np.add.reduceat(values, rows[:-1], axis=0)
        return np.add.reduceat(by_row, columns[:-1], axis=1).ravel().astype(np.float64)

    target, source = fixed * seen, warped * seen
    count, target_sum, source_sum = summed(seen), summed(target), summed(source)
    many = np.maximum(count, 1)
    whole = summed(target * target) - target_sum**2 / many
    cross = summed(target * source) - target_sum * source_sum / many
    power = summed(source * source) - source_sum**2 / many
    area = np.outer(np.diff(rows), np.diff(columns)).ravel()
    says = count >= LEAST_SEEN * area
    gain = np.where(says, np.maximum(cross, 0) / np.maximum(power, 1e-12), 0)
    pulls, sums = [], [summed(slope_x), summed(slope_y)]
    for slope, total in zip((slope_x, slope_y), sums, strict=True):
        to_target = summed(slope * target) - total * target_sum / many
        to_source = summed(slope * source) - total * source_sum / many
        pulls.append(gain * (to_target - gain * to_source))
    xx, xy, yy = (
        summed(one * other) - one_sum * other_sum / many
        for one, other, one_sum, other_sum in (
            (slope_x, slope_x, sums[0], sums[0]),
            (slope_x, slope_y, sums[0], sums[1]),
            (slope_y, slope_y, sums[1], sums[1]),
        )
    )
    unexplained = LEAST_UNEXPLAINED * whole + count * NOISE**2 + 1e-9
    return _Tiles(
        places=_places(rows, columns, fixed.shape),
        slopes=(gain**2)[:, None, None] * np.stack([[xx, xy], [xy, yy]]).transpose(2, 0, 1),
        pull=np.stack(pulls, axis=1),
        residual=np.maximum(whole - gain * cross, 0) + unexplained,
        whole=whole + unexplained,
        block=_blocks(len(rows) - 1, len(columns) - 1),
    )


def _edges(length: int, shorter: int) -> npt.NDArray[np.int64]:
    """Where tiles begin along a side, and the end of the last."""
    side_px = max(SMALLEST_TILE_PX, shorter // TILES_PER_SIDE)
    return np.linspace(0, length, max(1, round(length / side_px)) + 1).astype(np.int64)


def _places(
    rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], size: tuple[int, ...]
) -> Floats:
    """(N, 2, 6): displacement of the middle of each tile by the six parameters."""
    middle, reach = _frame(size)
    y, x = np.meshgrid(
        *((edges[:-1] + edges[1:] - 1) / 2 for edges in (rows, columns)), indexing="ij"
    )
    across, down = (x.ravel() - middle[0]) / reach, (y.ravel() - middle[1]) / reach
    one, none = np.ones_like(across), np.zeros_like(across)
    return np.stack(
        [
            np.stack([one, none, across, down, none, none], axis=1),
            np.stack([none, one, none, none, across, down], axis=1),
        ],
        axis=1,
    )


def _blocks(down: int, across: int) -> npt.NDArray[np.int64]:
    """The block of each tile."""
    row, column = (np.arange(count) * BLOCKS_PER_SIDE // count for count in (down, across))
    return (row[:, None] * BLOCKS_PER_SIDE + column).ravel()


def _frame(size: tuple[int, ...]) -> tuple[Floats, float]:
    """The middle (x, y) of a photo and half its diagonal."""
    height, width = size[:2]
    return np.array([(width - 1) / 2, (height - 1) / 2]), math.hypot(height, width) / 2


def _parameters(matrix: Matrix, size: tuple[int, ...]) -> Floats:
    """The six parameters of a map (2, 3)."""
    middle, reach = _frame(size)
    turned = (matrix[:, :2] - np.eye(2)) * reach
    shift = matrix[:, :2] @ middle + matrix[:, 2] - middle
    return np.concatenate([shift, turned.ravel()])


def _matrix(parameters: Floats, size: tuple[int, ...]) -> Matrix:
    """The map (2, 3) of six parameters."""
    middle, reach = _frame(size)
    turned = np.eye(2) + parameters[2:].reshape(2, 2) / reach
    return np.column_stack([turned, middle + parameters[:2] - turned @ middle])


def _farthest_apart(one: Floats, other: Floats) -> float:
    """How far two maps lie apart at most, in pixels: at a place half a diagonal from the middle."""
    difference = one - other
    spread = float(np.linalg.norm(difference[2:].reshape(2, 2), 2))
    return float(np.linalg.norm(difference[:2])) + spread


def _correlation(matrix: Matrix, moving: FloatImage, fixed: FloatImage) -> float:
    """Of all pixels that both photos show."""
    flow = affine_flow(matrix, (fixed.shape[0], fixed.shape[1]))
    seen = inside(flow)
    return float(np.corrcoef(warp(moving, flow)[seen], fixed[seen])[0, 1])
