"""Light fields whose every view is known exactly: planes of smooth texture at known slopes."""

from __future__ import annotations

import numpy as np

from defocusfix.optics.light_field import LightField

HIGHEST_FREQUENCY = 0.25  # cycles per pixel, along each axis


class Texture:
    """A sum of waves, about 0.5, that can be looked at anywhere."""

    def __init__(self, seed: int, waves: int = 24, highest: float = HIGHEST_FREQUENCY) -> None:
        rng = np.random.default_rng(seed)
        self.frequencies = rng.uniform(-highest, highest, (waves, 2))
        self.phases = rng.uniform(0, 2 * np.pi, (waves, 3))
        self.amplitude = 0.4 / np.sqrt(waves)

    def at(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """(H, W, 3) at the positions (H, W)."""
        value = np.full((*np.broadcast_shapes(y.shape, x.shape), 3), 0.5)
        for (down, right), phases in zip(self.frequencies, self.phases, strict=True):
            angle = 2 * np.pi * (down * y + right * x)
            value += self.amplitude * np.cos(angle[..., None] + phases)
        return value


def positions(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every pixel, (H, W) each."""
    row, column = np.mgrid[: size[0], : size[1]].astype(np.float64)
    return row, column


def plane_view(texture: Texture, slope: float, step: tuple[float, float], size) -> np.ndarray:
    """What a view `step` = (dv, du) aside sees of a plane; (H, W, 3)."""
    row, column = positions(size)
    return texture.at(row + slope * step[0], column + slope * step[1])


def box_view(step: tuple[float, float], size, *, far: float, near: float) -> np.ndarray:
    """A textured box at slope `near` over a textured wall at slope `far`, seen from `step`."""
    row, column = positions(size)
    y, x = row + near * step[0], column + near * step[1]
    front = is_box(y, x, size)
    wall = plane_view(Texture(1), far, step, size)
    return np.where(front[..., None], plane_view(Texture(2), near, step, size), wall)


def is_box(y: np.ndarray, x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Whether a point of the middle view lies on the box."""
    height, width = size
    inside_rows = (y > 0.3 * height) & (y < 0.7 * height)
    return inside_rows & (x > 0.3 * width) & (x < 0.7 * width)


def field_of(view, grid: tuple[int, int] = (5, 5)) -> LightField:
    """The light field of `view`, a function of (dv, du)."""
    steps = [(v - grid[0] // 2, u - grid[1] // 2) for v, u in np.ndindex(grid)]
    views = np.stack([view(step) for step in steps]).astype(np.float32)
    views = views.reshape(*grid, *views.shape[1:])
    return LightField(views, np.ones(grid, bool), np.ones(views.shape[:4], bool))


def plane(slope: float, *, size=(72, 80), grid=(5, 5), seed: int = 1) -> LightField:
    """One plane of texture."""
    return field_of(lambda step: plane_view(Texture(seed), slope, step, size), grid)
