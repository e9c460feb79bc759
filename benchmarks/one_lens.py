"""Pairs of one lens whose targets do not line up, with everything known exactly.

Scenes are those of `defocusfix render`, seen through one lens, whose blur discs have a soft edge
and a radius of at most 6 px, and by a camera with little noise. The target is
photographed a second time, all in focus, by a camera that has moved: each surface is shifted,
turned, zoomed and, by its distance, displaced on its own before surfaces are put together, so what
is hidden behind an edge is right as well.

Blur radius and parallax are both linear in inverse distance. With a camera that moves sideways by b
and an aperture of diameter A, parallax is 2 b / A pixels per pixel of signed radius.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from defocusfix.optics import Aperture
from defocusfix.registration.exposure import with_gains
from defocusfix.registration.warp import FloatImage, affine_flow, warp
from defocusfix.rendering.camera import Camera
from defocusfix.rendering.lens import LensBlur
from defocusfix.rendering.photos import PhotoLibrary
from defocusfix.rendering.render import render
from defocusfix.rendering.sample import Sample
from defocusfix.rendering.scenes import Layer, Scene, random_scene

LENS = LensBlur(Aperture(softness=0.265))
CAMERA = Camera(
    contrast=0.2,
    highlight_gain=1.0,
    read_noise=0.0007,
    shot_noise=4e-6,
    noise_is_correlated=False,
    softness_px=0.0,
    sharpening=0.0,
    sharpening_px=1.0,
    jpeg_quality=None,
    jpeg_subsampling=0,
)
LARGEST_RADIUS_PX = 6.0  # the reblurring kernels reach 7 px
SMALLEST_RADIUS_PX = 1.5  # of the largest in a scene: something must be out of focus
RIM_PX = 16  # rendered around a pair, so that a moved target shows nothing but its scene
ZOOM = 0.003
TURN = math.radians(0.3)
PARALLAX = 0.3  # px per px of signed radius: the camera moved by 3/20 of its aperture
MUCH_PARALLAX = 1.0  # by half of it
EXPOSURE = 0.03
ONE_WAY = math.radians(30)  # of a shift that is the same for all pairs


class Pair(NamedTuple):
    """A photo and what is known of it, sides of equal length."""

    blurred: FloatImage
    """(H, W, 3) in [0, 1]."""
    truth: FloatImage
    """(H, W, 3): all in focus, in line with `blurred`."""
    radius_px: FloatImage
    """(H/2, W/2), signed."""
    targets: dict[str, FloatImage]
    """(H, W, 3): all in focus, as the moved camera sees it, by the name of the movement."""


@dataclass(frozen=True)
class Movement:
    """How far the camera goes between the two photos of a pair."""

    shift_px: float
    is_one_way: bool = False
    """Whether all pairs move alike; else each in a direction of its own."""
    parallax: float = PARALLAX
    """In px per px of signed radius."""

    @property
    def name(self) -> str:
        """Such as "5", "5 one way" or "5 aside"."""
        way = " one way" if self.is_one_way else " aside" if self.parallax > PARALLAX else ""
        return f"{self.shift_px:g}{way}"


def one_pair(
    number: int,
    seed: int,
    library: PhotoLibrary | None,
    size: int,
    movements: tuple[Movement, ...],
) -> Pair:
    """Pair `number` of a seed; the scene is the same whatever the movements."""
    rng = np.random.default_rng((seed, number))
    scene = bounded_scene(rng, library, size + 2 * RIM_PX)
    noise = int(rng.integers(2**63))
    still = _rendered(scene, noise)
    inner = slice(RIM_PX, RIM_PX + size)
    half = slice(RIM_PX // 2, (RIM_PX + size) // 2)
    direction, beside = rng.uniform(0, 2 * np.pi, 2)
    signs = rng.choice((-1.0, 1.0), 3)
    targets = {}
    for movement in movements:
        if movement.shift_px == 0:
            targets[movement.name] = still[1][inner, inner]
            continue
        angles = (ONE_WAY, ONE_WAY) if movement.is_one_way else (direction, beside)
        zoomed, turned, brighter = np.ones(3) if movement.is_one_way else signs
        seen = _moved(scene, movement, angles, ZOOM * zoomed, TURN * turned)
        gains = np.full(3, (1 + EXPOSURE) ** brighter, np.float32)
        targets[movement.name] = with_gains(_rendered(seen, noise)[1][inner, inner], gains)
    return Pair(still[0][inner, inner], still[1][inner, inner], still[2][half, half], targets)


def write_pairs(
    folder: Path,
    count: int,
    seed: int,
    photos: list[Path],
    size: int,
    movements: tuple[Movement, ...],
) -> None:
    """Fill `folder` with blurry/, truth/, radius/ and a folder of targets per movement.

    A finished folder is left as it is.
    """
    if (folder / "finished").exists():
        return
    library = PhotoLibrary(photos) if photos else None
    for number in range(count):
        pair = one_pair(number, seed, library, size, movements)
        views = {"blurry": pair.blurred, "truth": pair.truth}
        views |= {f"sharp {name}": target for name, target in pair.targets.items()}
        for name, view in views.items():
            path = folder / name / f"{number:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.rint(view[..., ::-1] * 255).clip(0, 255).astype(np.uint8))
        (folder / "radius").mkdir(exist_ok=True)
        np.save(folder / "radius" / f"{number:03d}.npy", pair.radius_px)
    (folder / "finished").touch()


def bounded_scene(
    rng: np.random.Generator,
    library: PhotoLibrary | None,
    size: int,
    *,
    lens: LensBlur = LENS,
    largest_px: float = LARGEST_RADIUS_PX,
) -> Scene:
    """A scene as the renderer draws them, its radii brought below `largest_px`, through a lens."""
    while True:
        scene = random_scene(rng, library, size)
        largest = max(float(np.abs(layer.radius_px).max()) for layer in scene.layers)
        if largest >= SMALLEST_RADIUS_PX:
            break
    share = min(1.0, largest_px / largest)
    layers = [replace(layer, radius_px=layer.radius_px * share) for layer in scene.layers]
    return replace(scene, layers=tuple(_through(lens, layer, scene.margin) for layer in layers))


def _through(lens: LensBlur, layer: Layer, margin: int) -> Layer:
    low, high = float(layer.radius_px.min()), float(layer.radius_px.max())
    return replace(layer, spread=lens.spread(low, high, reach_px=margin))


def _moved(
    scene: Scene, movement: Movement, angles: tuple[float, float], zoom: float, turn: float
) -> Scene:
    """The scene as the camera sees it from its second place."""
    side = scene.size + 2 * scene.margin
    centre = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), math.degrees(turn), 1 + zoom)
    towards, beside = (np.array([math.cos(angle), math.sin(angle)]) for angle in angles)
    matrix[:, 2] += movement.shift_px * towards
    whole = affine_flow(matrix, (side, side))
    layers = []
    for layer in scene.layers:
        flow = whole + movement.parallax * layer.radius_px[..., None] * beside.astype(np.float32)
        colour = np.rint(warp(layer.colour.astype(np.float32), flow).clip(0, 255))
        alpha = None if layer.alpha is None else warp(layer.alpha, flow).clip(0, 1)
        layers.append(replace(layer, colour=colour.astype(np.uint8), alpha=alpha))
    return replace(scene, layers=tuple(layers))


def _rendered(scene: Scene, noise_seed: int) -> tuple[FloatImage, FloatImage, FloatImage]:
    """Blurred and all-in-focus photo in [0, 1], and the signed radius."""
    photo = render([Sample(scene, CAMERA, noise_seed)], torch.device("cpu"))
    views = (photo.blurred[0], photo.all_in_focus[0])
    blurred, sharp = (view.numpy().astype(np.float32) / 255 for view in views)
    return blurred, sharp, photo.radius_px[0].numpy()
