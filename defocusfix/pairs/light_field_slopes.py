"""Slopes of a light field's scene: the disparity in pixels per view step of every pixel.

Given as a file, or estimated. The estimate compares the middle view with all others along each of
a range of slopes. What is hidden from some views is seen by those on one side, so the views are
taken by sides, and the best side counts (Kang, Szeliski and Chai, Handling Occlusions in Dense
Multi-view Stereo, CVPR 2001). Where there is no texture, the slope follows what surrounds it, along
the picture's edges (He, Sun and Tang, Guided Image Filtering, 2010).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from defocusfix.errors import InputError
from defocusfix.optics.light_field import FloatArray, LightField, shifted
from defocusfix.photo.read import read_photo
from defocusfix.registration.exposure import to_display
from defocusfix.registration.flow import GREY, dis_flow
from defocusfix.registration.warp import inside, warp

RANGE_PERCENT: Final = (0.5, 99.5)  # of the slopes that optical flow finds in the outermost views
RANGE_MARGIN: Final = 0.15  # of that range, searched on both sides as well
LEAST_MARGIN: Final = 0.1  # px per view step
PLANE_STEP_PX: Final = 0.4  # between searched slopes, in the outermost view
PLANES: Final = (16, 128)
VIEWS_A_SIDE: Final = 5  # compared with the middle one, of each row and column
LARGEST_DIFFERENCE: Final = 0.1  # display value; more counts as much
WINDOW_PX: Final = 7
MEDIAN_PX: Final = 5
GUIDED_PX: Final = 25
GUIDED_EPSILON: Final = 1e-4
CLEAR: Final = 0.02  # by how much the best slope's difference lies below the mean of all
LEAST_WEIGHT: Final = np.float32(1e-4)  # of a place without texture
TURNED: Final = -0.5  # correlation of slopes across and down: rows run from bottom to top
LEAST_POWER: Final = 1e-3  # (px per view step)^2; below, nothing can be said of that
CLEARLY_BETTER: Final = 0.9
LARGEST_SLOPE: Final = 0.1  # of a view's shorter side


@dataclass(frozen=True, slots=True, eq=False)
class Slopes:
    """Slopes of the middle view."""

    values: FloatArray
    """(H, W), pixels per view step, larger is nearer."""
    is_exact: bool
    """Whether they were given, and not estimated."""


def given_slopes(file: Path, scale: float, field: LightField) -> Slopes:
    """Slopes from a file: NumPy, PFM, or a picture with one channel, times `scale`.

    Values of a picture are taken as stored. Raises InputError if the file cannot be read, has
    another size than the views or gaps, or if the views clearly agree better with the opposite
    sign, or with rows in the opposite order.
    """
    values = np.asarray(_read(file) * scale, np.float32)
    if values.shape != field.size:
        raise InputError(
            f"{file} does not fit the views",
            why=f"its shape is {values.shape}, theirs {field.size}",
            fix="give one disparity for every pixel of the middle view",
        )
    if not np.isfinite(values).all():
        raise InputError(f"{file} has places without a disparity")
    if np.abs(values).max() >= LARGEST_SLOPE * min(field.size):
        raise InputError(
            f"{file} is no disparity in pixels per view step",
            why=f"it reaches to {np.abs(values).max():g} of them",
            fix="--disparity-scale, as in --disparity-scale 0.01",
        )
    here = _disagreement(field, values, 1, 1)
    if _disagreement(field, values, -1, -1) < CLEARLY_BETTER * here:
        raise InputError(
            f"{file} has the opposite sign",
            why="the views agree better with it turned round: larger must be nearer",
            fix=f"--disparity-scale {-scale:g}",
        )
    if min(_disagreement(field, values, way, -way) for way in (1, -1)) < CLEARLY_BETTER * here:
        raise _rows_turned()
    return Slopes(values, is_exact=True)


def estimated_slopes(field: LightField) -> Slopes:
    """Slopes found by comparing the views. Raises InputError if rows run from bottom to top."""
    low, high = _range(field)
    half = max(field.grid) // 2
    count = int(np.clip(round((high - low) * half / PLANE_STEP_PX), *PLANES))
    planes = np.linspace(low, high, count, dtype=np.float32)
    middle, others = _gray(field.middle), _compared(field)
    cost = np.stack([_cost(middle, others, float(slope)) for slope in planes])
    guess = planes[0] + _lowest(cost) * (planes[1] - planes[0])
    sharp = cv2.medianBlur(guess.astype(np.float32), MEDIAN_PX)
    clear = np.clip((cost.mean(axis=0) - cost.min(axis=0)) / CLEAR, 0, 1).astype(np.float32)
    weight = clear**2 + LEAST_WEIGHT
    around = _guided(sharp * weight, middle) / np.maximum(_guided(weight, middle), LEAST_WEIGHT / 2)
    values = clear * sharp + (1 - clear) * np.clip(around, low, high)
    return Slopes(np.asarray(values, np.float32), is_exact=False)


def _lowest(cost: FloatArray) -> FloatArray:
    """(H, W): number of the lowest of (planes, H, W), between planes by a parabola."""
    best = np.argmin(cost, axis=0)
    inner = np.clip(best, 1, len(cost) - 2)
    below, here, above = (
        np.take_along_axis(cost, inner[None] + side, axis=0)[0] for side in (-1, 0, 1)
    )
    bend = np.maximum(below - 2 * here + above, 1e-9)
    aside = np.clip(0.5 * (below - above) / bend, -0.5, 0.5)
    return np.asarray(np.where(inner == best, inner + aside, best), np.float32)


def _range(field: LightField) -> tuple[float, float]:
    """Slopes that optical flow to the outermost usable views finds, with a margin."""
    v, u = (count // 2 for count in field.grid)
    display = to_display(field.middle)
    across, down = [], []
    for dv, du in _outermost(field):
        flow = dis_flow(to_display(field.views[v + dv, u + du]), display)
        if du:
            across.append(-flow[..., 0] / du)
        else:
            down.append(-flow[..., 1] / dv)
    if across and down:
        means = np.mean(across, axis=0), np.mean(down, axis=0)
        power = float(np.sqrt(np.mean(means[0] ** 2) * np.mean(means[1] ** 2)))
        if power > LEAST_POWER and np.mean(means[0] * means[1]) < TURNED * power:
            raise _rows_turned()
    found = np.concatenate([np.ravel(slopes) for slopes in (*across, *down)])
    low, high = np.percentile(found, RANGE_PERCENT)
    margin = max(LEAST_MARGIN, RANGE_MARGIN * (high - low))
    return float(low - margin), float(high + margin)


def _outermost(field: LightField) -> list[tuple[int, int]]:
    """(dv, du) of the last usable views to each side of the middle one; those there are.

    Raises InputError if there is none.
    """
    v, u = (count // 2 for count in field.grid)
    places = []
    for down, right in ((0, -1), (0, 1), (-1, 0), (1, 0)):
        steps = [
            step
            for step in range(1, (v if down else u) + 1)
            if field.usable[v + down * step, u + right * step]
        ]
        if steps:
            places.append((down * steps[-1], right * steps[-1]))
    if not places:
        raise InputError("no two views can be compared", why="all but the middle one are too dark")
    return places


def _disagreement(field: LightField, slopes: FloatArray, right: int, down: int) -> float:
    """Mean difference of the outermost views, followed along the slopes, to the middle one.

    right, down: 1 as the conventions say, -1 for columns and rows in the opposite order.
    """
    v, u = (count // 2 for count in field.grid)
    middle = to_display(field.middle)
    differences = []
    for dv, du in _outermost(field):
        flow = -np.stack((slopes * (du * right), slopes * (dv * down)), axis=2)
        other = warp(to_display(field.views[v + dv, u + du]), flow)
        apart = np.abs(other - middle).mean(axis=2)
        differences.append(apart[inside(flow)].mean() if inside(flow).any() else 1.0)
    return float(np.mean(differences))


def _compared(field: LightField) -> list[tuple[tuple[int, int], FloatArray]]:
    """(dv, du) and gray of evenly spread usable views, the middle one left out."""
    rows, columns = (
        {round(place) for place in np.linspace(0, count - 1, min(VIEWS_A_SIDE, count))}
        for count in field.grid
    )
    v, u = (count // 2 for count in field.grid)
    return [
        ((row - v, column - u), _gray(field.views[row, column]))
        for row, column in np.argwhere(field.usable).tolist()
        if row in rows and column in columns and (row, column) != (v, u)
    ]


def _cost(
    middle: FloatArray, others: list[tuple[tuple[int, int], FloatArray]], slope: float
) -> FloatArray:
    """(H, W): how much views differ from the middle one along a slope, on the best side."""
    sides: dict[str, list[FloatArray]] = {}
    for (dv, du), view in others:
        apart = np.abs(shifted(view, (slope * dv, slope * du)) - middle)
        apart = np.minimum(apart, LARGEST_DIFFERENCE)
        for side, distance in (("left", -du), ("right", du), ("up", -dv), ("down", dv)):
            if distance > 0:
                sides.setdefault(side, []).append(apart)
    means = (cv2.blur(np.mean(side, axis=0), (WINDOW_PX, WINDOW_PX)) for side in sides.values())
    return np.asarray(np.min(list(means), axis=0), np.float32)


def _gray(light: FloatArray) -> FloatArray:
    return np.asarray(to_display(light) @ GREY, np.float32)


def _guided(values: FloatArray, guide: FloatArray) -> FloatArray:
    """`values` (H, W) smoothed, but not across edges of `guide`, (H, W) in [0, 1]."""

    def mean(of: FloatArray) -> FloatArray:
        return np.asarray(cv2.blur(of, (GUIDED_PX, GUIDED_PX)), np.float32)

    guide_mean, values_mean = mean(guide), mean(values)
    spread = mean(guide * guide) - guide_mean**2
    gain = (mean(guide * values) - guide_mean * values_mean) / (spread + GUIDED_EPSILON)
    return mean(gain) * guide + mean(values_mean - gain * guide_mean)


def _read(file: Path) -> np.ndarray:
    """(H, W) float64, as stored."""
    if not file.is_file():
        raise InputError(f"{file} is not there")
    if file.suffix.lower() == ".npy":
        try:
            return np.asarray(np.squeeze(np.load(file, allow_pickle=False)), np.float64)
        except (OSError, ValueError) as error:
            raise InputError(f"{file} cannot be read", why=str(error)) from error
    if file.suffix.lower() == ".pfm":
        return _read_pfm(file)
    pixels = read_photo(file).pixels
    if pixels.shape[2] == 3 and (np.ptp(pixels, axis=2) > 0).any():
        raise InputError(
            f"{file} is in colours", why="a disparity map has one channel, in shades of gray"
        )
    return np.asarray(pixels[:, :, 0], np.float64)


def _read_pfm(file: Path) -> np.ndarray:
    """A gray PFM: "Pf", width and height, a scale whose sign tells the byte order, rows upwards.

    Source: P. Debevec, PFM Portable FloatMap Image Format.
    """
    header = re.match(rb"Pf\s+(\d+)\s+(\d+)\s+(-?[\d.eE+-]+)\s", content := file.read_bytes())
    if header is None:
        raise InputError(f"{file} is no gray PFM", why="its header does not begin with Pf")
    width, height = int(header[1]), int(header[2])
    order = "<" if float(header[3]) < 0 else ">"
    values = content[header.end() :]
    if len(values) != 4 * width * height:
        raise InputError(f"{file} is cut off", why=f"{len(values)} bytes for {width} x {height}")
    rows = np.frombuffer(values, f"{order}f4").reshape(height, width)[::-1]
    return np.asarray(rows, np.float64)


def _rows_turned() -> InputError:
    return InputError(
        "the rows of views run from bottom to top",
        why="what moves to the left from view to view moves downwards instead of up",
        fix="say --rows upwards",
    )
