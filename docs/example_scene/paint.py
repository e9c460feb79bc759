"""Canvas and brushes: everything is drawn in linear light, finer than the photo will be.

Positions and lengths are (x, y) in pixels of the scene, which is as large as the photo plus a
margin for blur. Arrays are `FINE` times as large; what is `fine` is measured in their pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FINE = 2  # drawn this many times larger, then averaged: edges come out smooth
SCENE = (880, 1280)  # height and width

Array = np.ndarray
Point = tuple[float, float]


@dataclass
class Surface:
    """Light (H, W, 3) and coverage (H, W) of one layer while it is being drawn."""

    light: Array
    alpha: Array

    @classmethod
    def empty(cls) -> Surface:
        """A transparent layer of the scene's size."""
        size = tuple(FINE * side for side in SCENE)
        return cls(np.zeros((*size, 3), np.float32), np.zeros(size, np.float32))

    def put(self, light: Array, alpha: Array, matrix: Array | None = None) -> None:
        """Lay a patch on top; `matrix` (2, 3) or (3, 3) takes its fine pixels to the layer's."""
        if matrix is not None:
            size = self.alpha.shape[::-1]
            warp = cv2.warpAffine if len(matrix) == 2 else cv2.warpPerspective
            # Weighted by coverage, so that the black around a patch does not rim it.
            light = warp(light * alpha[..., None], matrix, size, flags=cv2.INTER_AREA)
            alpha = warp(alpha, matrix, size, flags=cv2.INTER_AREA)
        else:
            light = light * alpha[..., None]
        self.light = self.light * (1 - alpha[..., None]) + light
        self.alpha = self.alpha + alpha - self.alpha * alpha

    def shade(self, mask: Array, offset: Point, blur: float, strength: float) -> None:
        """Darken by the shadow of `mask` (H, W), moved and softened."""
        moved = shifted(mask, offset)
        small = cv2.resize(moved, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        soft = cv2.GaussianBlur(small, (0, 0), max(0.3, blur * FINE / 4))
        self.light *= 1 - strength * cv2.resize(soft, self.alpha.shape[::-1])[..., None]

    def finished(self) -> tuple[Array, Array]:
        """Light (H, W, 3) and coverage (H, W) at the scene's size; light is not weighted."""
        size = SCENE[::-1]
        alpha = cv2.resize(self.alpha, size, interpolation=cv2.INTER_AREA)
        weighted = cv2.resize(self.light, size, interpolation=cv2.INTER_AREA)
        return weighted / np.maximum(alpha, 1e-4)[..., None], alpha


def colour(code: str) -> Array:
    """Linear light (3,) of a colour written as in HTML, without the "#"."""
    display = np.array([int(code[at : at + 2], 16) for at in (0, 2, 4)]) / 255
    return (((display + 0.055) / 1.055) ** 2.4).astype(np.float32)


def cloud(rng: np.random.Generator, size: tuple[int, int], cell: Point, octaves: int = 4) -> Array:
    """Smooth noise (H, W) of mean 0 and deviation 1; `cell`: width and height of its largest lumps.

    Every octave has lumps half as large and half as strong.
    """
    total = np.zeros(size, np.float32)
    for octave in range(octaves):
        columns, rows = (max(1.0, FINE * side / 2**octave) for side in cell)
        shape = (int(size[0] / rows) + 4, int(size[1] / columns) + 4)
        knots = rng.standard_normal(shape).astype(np.float32) / 2**octave
        matrix = np.array([[columns, 0, -1.5 * columns], [0, rows, -1.5 * rows]])
        total += cv2.warpAffine(knots, matrix, size[::-1], flags=cv2.INTER_CUBIC)
    return (total - total.mean()) / max(float(total.std()), 1e-6)


def lit(height: Array, strength: float) -> Array:
    """Shading (H, W), about 1, of a relief (H, W) in fine pixels under a lamp at the upper left."""
    height = height.astype(np.float32)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=strength / 8)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=strength / 8)
    steepness = np.sqrt(1 + slope_x**2 + slope_y**2)
    return np.clip((0.75 + 0.45 * slope_x + 0.5 * slope_y) / (0.75 * steepness), 0.05, 2.2)


def grid(size: tuple[int, int] | None = None) -> tuple[Array, Array]:
    """Positions x and y (H, W) of the fine pixels of a patch, by default of the whole scene."""
    height, width = size or tuple(FINE * side for side in SCENE)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return (x + 0.5) / FINE, (y + 0.5) / FINE


def step(values: Array, edge: float, width: float) -> Array:
    """0 below `edge`, 1 above, rising smoothly over `width` around it."""
    ramp = np.clip((values - edge) / width + 0.5, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def polygon(points: Sequence[Point], size: tuple[int, int] | None = None) -> Array:
    """Coverage (H, W) of a polygon."""
    mask = np.zeros(size or tuple(FINE * side for side in SCENE), np.uint8)
    corners = np.round(np.asarray(points) * FINE * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def strokes(
    lines: Sequence[Sequence[Point]], width: float, size: tuple[int, int] | None = None
) -> Array:
    """Coverage (H, W) of open polylines of one width."""
    mask = np.zeros(size or tuple(FINE * side for side in SCENE), np.uint8)
    paths = [np.round(np.asarray(line) * FINE * 16).astype(np.int32) for line in lines]
    cv2.polylines(mask, paths, False, 255, max(1, round(width * FINE)), cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def lettering(text: str, height: float, *, stretch: float = 1.0, spacing: float = 0.0) -> Array:
    """Coverage of a line of text whose capitals are `height` tall; `spacing` in heights."""
    font = ImageFont.load_default(max(4, round(FINE * height * 1.39)))
    gap = spacing * height * FINE
    widths = [font.getlength(letter) + gap for letter in text]
    tall = round(FINE * height * 1.9)
    page = Image.new("L", (round(sum(widths) - gap) + 4, tall), 0)
    draw = ImageDraw.Draw(page)
    left = 2.0
    for letter, width in zip(text, widths, strict=True):
        draw.text((left, tall * 0.74), letter, 255, font, anchor="ls")
        left += width
    wide = max(1, round(page.width * stretch))
    return np.asarray(page.resize((wide, tall), Image.Resampling.LANCZOS), np.float32) / 255


def place(patch: Array, mask: Array, centre: Point) -> None:
    """Lay `mask` (h, w) into `patch` (H, W) by the larger value; what sticks out is cut off."""
    top = round(centre[1] * FINE - mask.shape[0] / 2)
    left = round(centre[0] * FINE - mask.shape[1] / 2)
    rows = slice(max(0, top), min(patch.shape[0], top + mask.shape[0]))
    columns = slice(max(0, left), min(patch.shape[1], left + mask.shape[1]))
    part = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    patch[rows, columns] = np.maximum(patch[rows, columns], part)


def moved(origin: Point, to: Point, degrees: float = 0.0, zoom: float = 1.0) -> Array:
    """Matrix (2, 3) for `Surface.put`: turns a patch about `origin` and lays that point on `to`."""
    turn = cv2.getRotationMatrix2D((0, 0), -degrees, zoom)
    x, y = np.asarray(origin) * FINE
    turn[:, 2] = np.asarray(to) * FINE - turn[:, :2] @ (x, y)
    return turn


def shifted(mask: Array, offset: Point) -> Array:
    """`mask` (H, W) moved by `offset`, empty where nothing came from."""
    matrix = np.array([[1, 0, offset[0] * FINE], [0, 1, offset[1] * FINE]], np.float64)
    return cv2.warpAffine(mask, matrix, mask.shape[::-1])


def mixed(first: Array, second: Array, share: Array) -> Array:
    """`first` where `share` (H, W) is 0, `second` where it is 1; colours (3,) or (H, W, 3)."""
    weight = share[..., None]
    return first * (1 - weight) + second * weight
