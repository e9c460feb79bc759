"""Scenes for the renderer: ordered layers with colour, coverage and a signed radius map; no torch.

Depth comes from layers with planes and smooth relief and from cut-outs, the free substitute for
a depth estimator; occlusion edges between them are where naive blur teaches halos.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from defocusfix.rendering.lens import UNSPREAD, Spread, random_lens
from defocusfix.rendering.photos import PhotoLibrary, dead_leaves

DEAD_LEAVES_SHARE = 0.1  # of sources, where there are photos too
SHARP_SCENES = 0.15
FLAT_SCENES = 0.35  # one surface, nearly parallel to the sensor
LARGEST_RADIUS_PX = 40.0


@dataclass(frozen=True)
class Layer:
    """One surface, as large as the scene. Display values; the renderer makes them linear."""

    colour: np.ndarray  # (S, S, 3) uint8
    alpha: np.ndarray | None  # (S, S) float32 coverage in [0, 1]; None covers everything
    radius_px: np.ndarray  # float32, signed, positive behind the plane of focus; (S, S), or
    # (1, 1) where it is the same everywhere
    spread: Spread  # what the lens makes of it; no PSF reaches farther than the scene's margin


@dataclass(frozen=True)
class Scene:
    """Layers from back to front as one lens sees them; the first one covers everything."""

    layers: tuple[Layer, ...]
    size: int  # side of the inside, S = size + 2 * margin
    margin: int  # rim that feeds the blur of the inside and is cut away afterwards


def random_scene(rng: np.random.Generator, library: PhotoLibrary | None, size: int) -> Scene:
    """A scene whose inside is (size, size); all randomness comes from `rng`."""
    radii = _radii(rng)
    largest = max((max(abs(lo), abs(hi)) for lo, hi in radii), default=0.0)
    margin = 8 * math.ceil((min(largest * 1.15, LARGEST_RADIUS_PX) + 4) / 8)
    side = size + 2 * margin
    surfaces = []
    for position, (low, high) in enumerate(radii):
        colour = source(rng, library, side)
        alpha = _cut_out(rng, colour) if position else None
        surfaces.append((colour, alpha, _surface(rng, side, low, high)))
    lens = random_lens(rng, largest)

    def spread(alpha: np.ndarray | None, radius: np.ndarray) -> Spread:
        if alpha is None and not radius.any():
            return UNSPREAD  # the truth of an unblurred photo is the photo itself
        return lens.spread(float(radius.min()), float(radius.max()), reach_px=margin)

    return Scene(
        tuple(Layer(colour, alpha, radius, spread(alpha, radius))
              for colour, alpha, radius in surfaces),
        size, margin,
    )  # fmt: skip


def source(rng: np.random.Generator, library: PhotoLibrary | None, side: int) -> np.ndarray:
    """A sharp picture (side, side, 3) uint8, flipped and turned at random."""
    if library is None or rng.random() < DEAD_LEAVES_SHARE:
        return dead_leaves(rng, side)
    picture = library.crop(rng, side)
    picture = np.rot90(picture, int(rng.integers(4)))
    return np.ascontiguousarray(picture[:, ::-1] if rng.random() < 0.5 else picture)


def _radii(rng: np.random.Generator) -> list[tuple[float, float]]:
    """Signed radius range (low, high) of every layer, back to front."""
    kind = rng.random()
    if kind < SHARP_SCENES:
        return [(0.0, 0.0)]
    side_of_focus = 1.0 if rng.random() < 0.5 else -1.0
    radius = side_of_focus * _magnitude(rng)
    if kind < SHARP_SCENES + FLAT_SCENES:
        tilt = radius * float(rng.uniform(0, 0.25)) if rng.random() < 0.4 else 0.0
        return [(radius - tilt, radius + tilt)]
    if kind < SHARP_SCENES + FLAT_SCENES + 0.1:  # one surface that passes through focus
        return [(-radius * float(rng.uniform(0, 0.5)), radius)]
    # Behind is larger in signed radius than in front; one of the two is often in focus.
    focused = rng.random()
    behind, front = (
        (_magnitude(rng), 0.0)
        if focused < 0.35
        else (0.0, -_magnitude(rng))
        if focused < 0.7
        else tuple(sorted((radius, side_of_focus * _magnitude(rng)), reverse=True))
    )
    spread = float(rng.uniform(0, 0.3)) if rng.random() < 0.4 else 0.0
    layers = [(behind * (1 - spread), behind * (1 + spread)), (front, front * (1 + spread))]
    if rng.random() < 0.25:
        between = float(rng.uniform(front, behind))
        layers.insert(1, (between, between))
    return layers


def _magnitude(rng: np.random.Generator) -> float:
    """A blur radius in pixels: mostly the 1 to 6 px of real misfocus, with a tail to 40."""
    kind = rng.random()
    low, high = (0.4, 8.0) if kind < 0.72 else (4.0, 16.0) if kind < 0.88 else (10.0, 36.0)
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _surface(rng: np.random.Generator, side: int, low: float, high: float) -> np.ndarray:
    """A radius map between `low` and `high`: constant (1, 1), or a slope or relief (side, side)."""
    if abs(high - low) < 0.1:
        return np.full((1, 1), (low + high) / 2, np.float32)
    relief: np.ndarray
    if rng.random() < 0.7:
        angle = rng.uniform(0, 2 * np.pi)
        ramp = np.linspace(-1, 1, side, dtype=np.float32)
        relief = np.cos(angle) * ramp[None, :] + np.sin(angle) * ramp[:, None]
    else:
        knots = rng.normal(0, 1, (4, 4)).astype(np.float32)
        relief = cv2.resize(knots, (side, side), interpolation=cv2.INTER_CUBIC)
    relief = (relief - relief.min()) / max(float(np.ptp(relief)), 1e-6)
    return (low + (high - low) * relief).astype(np.float32)


def _cut_out(rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """Coverage (S, S) float32 of a foreground, with an edge about one pixel wide."""
    side = colour.shape[0]
    kind = rng.random()
    if kind < 0.35:  # along the edges of the picture itself
        gray = cv2.GaussianBlur(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY), (0, 0), 2.0)
        level = np.quantile(gray, rng.uniform(0.3, 0.7))
        mask = ((gray > level) if rng.random() < 0.5 else (gray < level)).astype(np.uint8)
    elif kind < 0.65:  # smooth blobs
        knots = int(rng.integers(3, 14))
        noise: np.ndarray = rng.normal(0, 1, (knots, knots)).astype(np.float32)
        noise = cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
        mask = (noise > np.quantile(noise, rng.uniform(0.4, 0.75))).astype(np.uint8)
    elif kind < 0.85:  # straight-edged objects
        mask = np.zeros((side, side), np.uint8)
        for _ in range(int(rng.integers(1, 5))):
            centre = rng.uniform(0, side, 2)
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
            reach = rng.uniform(0.1, 0.5) * side
            corners = centre + reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
    else:  # twigs, wires and stalks
        mask = np.zeros((side, side), np.uint8)
        for _ in range(int(rng.integers(4, 30))):
            start, bend = rng.uniform(0, side, 2), rng.normal(0, side / 3, (2, 2))
            points = np.stack([start, start + bend[0], start + bend.sum(axis=0)])
            thickness = int(rng.integers(1, 9))
            cv2.polylines(mask, [points.astype(np.int32)], False, 1, thickness)
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), float(rng.uniform(0.4, 0.8)))
