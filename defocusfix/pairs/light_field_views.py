"""Light fields on disk: folders of numbered views, and pictures that hold all views in one.

A folder holds one picture per view. Its names end in the row and the column (`2067_03_09.png`), or
in one number that counts row by row (`input_Cam040.png`). A picture holds the views as tiles, one
beside the other, or as a plenoptic camera records them: under each micro-lens a small patch with
one pixel of every view. LFDOF, whose photos are through synthetic apertures already, is read by
`defocusfix.pairs.layouts`.

A plenoptic camera sees less light at the rim of its lens, and nothing in the corners of the grid.
Views are brought to the brightness of the middle one; those with less than `LEAST_GAIN` of it are
left out, and so are places that are exactly black up to the picture's border.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.errors import InputError, UsageError
from defocusfix.optics.light_field import FloatArray, LightField, Mask
from defocusfix.pairs.find import pictures_in
from defocusfix.pairs.pixels import as_float
from defocusfix.photo.pixels import Pixels
from defocusfix.photo.read import read_photo
from defocusfix.registration.exposure import to_display, to_linear

FEWEST_A_SIDE: Final = 3
SMOOTH_PX: Final = 8.0  # hides parallax when brightness is compared
SAMPLED: Final = 4  # every fourth row and column of what is smooth tells all
DARKEST, BRIGHTEST = 0.01, 0.9  # linear light between which brightness is compared
LEAST_GAIN: Final = 0.5  # of the middle view's light; below, noise would be amplified too much
LEAST_SEEN: Final = (
    0.75  # of a view; one that shows less would cost the pairs too much of their size
)
LEAST_UNSEEN: Final = 0.0005  # of a view; smaller black areas at its border are the scene's
CLEARLY_SMALLER: Final = 0.8  # ratio of roughness that tells how a picture is packed

Grid = tuple[int, int]
Packing = Literal["auto", "tiles", "lenslets"]
Curve = Literal["srgb"] | float
"""How stored values follow from light: the sRGB curve, or a power of it, 1 for linear values."""


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """How views lie in their files."""

    grid: Grid | None = None
    """Rows and columns of views; None tells them from the names, as a picture cannot."""
    packing: Packing = "auto"
    """Of one picture: tiles, lenslets, or whichever makes smooth views."""
    rows: Literal["downwards", "upwards"] = "downwards"
    """Which way rows of views are numbered."""
    curve: Curve = "srgb"


@dataclass(frozen=True, slots=True, eq=False)
class StoredLightField:
    """A light field and what is known of its files."""

    scene: str
    """Called after the folder or picture."""
    field: LightField
    middle: Pixels
    """(H, W, C): the middle view as stored."""
    gains: FloatArray
    """(V, U, 3): light of each view by channel, the middle one's being 1."""
    curve: Curve

    def stored(self, light: FloatArray) -> Pixels:
        """Linear light (H, W, 3) as values of the middle view's kind, (H, W, C)."""
        display = from_light(light, self.curve)
        if self.middle.shape[2] == 1:
            display = display.mean(axis=2, keepdims=True)
        if not np.issubdtype(self.middle.dtype, np.integer):
            return np.asarray(display, self.middle.dtype)
        largest = np.iinfo(self.middle.dtype).max
        return np.asarray(np.rint(display * largest), self.middle.dtype)


def read_light_field(source: Path, settings: ViewSettings) -> StoredLightField:
    """The views in a folder or a picture, an odd number each way, one in the middle.

    Of an even number, the first row or column is left out. Raises InputError if there are no views
    or too few, if they differ in size, or if names or packing do not say where they belong;
    UsageError if a picture does not divide into the grid.
    """
    if source.is_dir():
        stacked = _views_of_folder(source, settings.grid)
    else:
        stacked = _views_of_picture(source, settings)
    if settings.rows == "upwards":
        stacked = stacked[::-1]
    odd = stacked[1 - stacked.shape[0] % 2 :, 1 - stacked.shape[1] % 2 :]
    if min(odd.shape[:2]) < FEWEST_A_SIDE:
        raise InputError(
            f"{source} has too few views",
            why=f"{stacked.shape[0]} x {stacked.shape[1]} of them, and at least "
            f"{FEWEST_A_SIDE} x {FEWEST_A_SIDE} are needed",
        )
    v, u = (count // 2 for count in odd.shape[:2])
    seen = np.stack([_seen(view) for view in odd.reshape(-1, *odd.shape[2:])])
    seen = seen.reshape(odd.shape[:4])
    light = _light(odd, settings.curve)
    gains = _gains(light, seen)
    usable = np.all(gains >= LEAST_GAIN, axis=2) & (seen.mean(axis=(2, 3)) >= LEAST_SEEN)
    if not usable[v, u]:
        raise InputError(f"{source} has nothing to see in its middle view")
    light[usable] /= gains[usable][:, None, None]
    field = LightField(light, usable, seen)
    return StoredLightField(scene_of(source), field, odd[v, u], gains, settings.curve)


def scene_of(source: Path) -> str:
    """What a light field is called: its folder, or its picture without the suffix."""
    return source.resolve().name if source.is_dir() else source.stem


def to_light(display: npt.NDArray[np.floating], curve: Curve) -> FloatArray:
    """Stored values in [0, 1] as linear light."""
    if curve == "srgb":
        return to_linear(display)
    return np.asarray(np.clip(display, 0, 1) ** curve, np.float32)


def from_light(light: FloatArray, curve: Curve) -> FloatArray:
    """The inverse of `to_light`, clipped to [0, 1]."""
    if curve == "srgb":
        return to_display(light)
    return np.asarray(np.clip(light, 0, 1) ** (1 / curve), np.float32)


def _views_of_folder(folder: Path, grid: Grid | None) -> Pixels:
    if (folder / "train_data").is_dir() or (folder / "test_data").is_dir():
        raise InputError(
            f"{folder} holds pairs, not views",
            why="LFDOF comes as photos through synthetic apertures and their targets",
            fix=f"use them as they are: defocusfix evaluate --input {folder} --layout lfdof",
        )
    paths = pictures_in(folder)
    rows = [path for row in _in_order(folder, paths, grid) for path in row]
    views = [read_photo(path).pixels for path in rows]
    different = next((n for n, view in enumerate(views) if view.shape != views[0].shape), None)
    if different is not None:
        raise InputError(
            f"the views in {folder} differ in size",
            why=f"{rows[0].name} and {rows[different].name}",
        )
    columns = len(_in_order(folder, paths, grid)[0])
    return np.stack(views).reshape(-1, columns, *views[0].shape)


def _in_order(folder: Path, paths: Sequence[Path], grid: Grid | None) -> list[list[Path]]:
    """Rows of views, as names tell."""
    numbers = [[int(part) for part in re.findall(r"\d+", path.stem)] for path in paths]
    by_place = {tuple(found[-2:]): path for found, path in zip(numbers, paths, strict=True)}
    if len(by_place) == len(paths) and all(len(found) >= 2 for found in numbers):
        rows = sorted({place[0] for place in by_place})
        columns = sorted({place[1] for place in by_place})
        is_whole = len(rows) * len(columns) == len(paths) and len(rows) > 1 and len(columns) > 1
        if is_whole and grid in (None, (len(rows), len(columns))):
            return [[by_place[row, column] for column in columns] for row in rows]
    count = len(paths)
    if grid is None and math.isqrt(count) ** 2 == count:
        grid = math.isqrt(count), math.isqrt(count)
    if grid is None or grid[0] * grid[1] != count or not all(numbers):
        raise InputError(
            f"the names in {folder} do not say which view is where",
            why=f"{count} pictures, such as {paths[0].name}, are no grid of numbered views",
            fix="name them SCENE_ROW_COLUMN, or say --grid ROWSxCOLUMNS",
        )
    in_line = [path for _, path in sorted(zip((n[-1] for n in numbers), paths, strict=True))]
    return [in_line[at : at + grid[1]] for at in range(0, count, grid[1])]


def _views_of_picture(source: Path, settings: ViewSettings) -> Pixels:
    if settings.grid is None:
        raise UsageError(
            f"{source} is one picture, which does not say how many views it holds",
            fix="say --grid ROWSxCOLUMNS, as in --grid 9x9",
        )
    rows, columns = settings.grid
    pixels = read_photo(source).pixels
    height, width = pixels.shape[0] // rows, pixels.shape[1] // columns
    if pixels.shape[0] % rows or pixels.shape[1] % columns:
        raise UsageError(
            f"{source} does not divide into {rows} x {columns} views",
            why=f"it has {pixels.shape[1]} x {pixels.shape[0]} pixels",
            fix="say --grid ROWSxCOLUMNS as it is, or cut the picture to whole views",
        )
    tiles = pixels.reshape(rows, height, columns, width, -1).transpose(0, 2, 1, 3, 4)
    lenslets = pixels.reshape(height, rows, width, columns, -1).transpose(1, 3, 0, 2, 4)
    if settings.packing != "auto":
        return tiles if settings.packing == "tiles" else lenslets
    rough_tiles, rough_lenslets = _roughness(tiles), _roughness(lenslets)
    if rough_tiles < CLEARLY_SMALLER * rough_lenslets:
        return tiles
    if rough_lenslets < CLEARLY_SMALLER * rough_tiles:
        return lenslets
    raise InputError(
        f"{source} could be tiles or lenslets",
        why="both make views of the same roughness",
        fix="say --packing tiles or --packing lenslets",
    )


def _roughness(views: Pixels) -> float:
    """Mean difference of neighbouring pixels and of the same pixels in neighbouring views."""
    light = np.stack([as_float(view).mean(axis=2) for row in views for view in row])
    light = light.reshape(views.shape[:4])
    along = (np.abs(np.diff(light, axis=axis)).mean() for axis in range(4))
    return float(sum(along))


def _light(stored: Pixels, curve: Curve) -> FloatArray:
    """(V, U, H, W, C) as stored to (V, U, H, W, 3) linear light."""
    light = np.empty((*stored.shape[:4], 3), np.float32)
    is_whole = np.issubdtype(stored.dtype, np.integer)
    largest = int(np.iinfo(stored.dtype).max) if is_whole else 1
    table = to_light(np.arange(largest + 1) / largest, curve)
    for at in np.ndindex(stored.shape[:2]):
        light[at] = table[stored[at]] if is_whole else to_light(stored[at], curve)  # gray fills all
    return light


def _seen(view: Pixels) -> Mask:
    """(H, W), False where the view is exactly black up to its border."""
    black = np.asarray(view.max(axis=2) == 0)
    if black.mean() < LEAST_UNSEEN:
        return np.ones_like(black)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(black.astype(np.uint8), connectivity=4)
    rim = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
    least = LEAST_UNSEEN * black.size
    unseen = [n for n in np.unique(rim) if n and facts[n, cv2.CC_STAT_AREA] > least]
    return ~np.isin(labels, unseen)


def _gains(light: FloatArray, seen: Mask) -> FloatArray:
    """(V, U, 3): a view's light by channel, of the middle one's; the median over its places."""
    middle = tuple(count // 2 for count in light.shape[:2])
    reference = _smooth(light[middle])
    bright = np.all((reference > DARKEST) & (reference < BRIGHTEST), axis=2)
    bright &= seen[middle][::SAMPLED, ::SAMPLED]
    gains = np.zeros((*light.shape[:2], 3), np.float32)
    for at in np.ndindex(light.shape[:2]):
        places = bright & seen[at][::SAMPLED, ::SAMPLED]
        if places.any():
            gains[at] = np.median(_smooth(light[at])[places] / reference[places], axis=0)
    return gains


def _smooth(light: FloatArray) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(light, (0, 0), SMOOTH_PX)[::SAMPLED, ::SAMPLED], np.float32)
