"""Rendered scenes of one lens for maps: pairs, dual-pixel views, and the signed radius.

Scenes are those of `defocusfix render` (one_lens.py bounds their radii), photographed by a camera
with little noise. Each lens has a folder: `set`, a set of rendered pairs as `defocusfix train` and
`evaluate --rendered` read it, and blurry/, sharp/, left/, right/ with the same photos as files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from one_lens import CAMERA, LENS, bounded_scene

from defocusfix.optics import Aperture, disc
from defocusfix.pairs.rendered import RenderedSet, write_facts, write_shard
from defocusfix.registration.warp import FloatImage
from defocusfix.rendering.dual_pixel import dual_pixel_scenes
from defocusfix.rendering.lens import LensBlur
from defocusfix.rendering.photos import PhotoLibrary
from defocusfix.rendering.render import render
from defocusfix.rendering.sample import Sample
from defocusfix.training.recipe import Tensors

LARGEST_PX = 7.0  # the kernels of nine levels reach somewhat more
VIEWS = ("blurry", "sharp", "left", "right")
HOLE = 0.6  # of a mirror lens's aperture, by radius


@dataclass(frozen=True, slots=True)
class Donut:
    """The blur disc of a mirror lens: a disc with a hole."""

    def point_spread_function(self, radius_px: float, *, diffraction_px: float = 0.0) -> np.ndarray:
        """(K, K), sums to 1. Where the hole is too small to be drawn, its light is dimmed."""
        whole = disc(radius_px)
        hole = HOLE**2 * disc(HOLE * radius_px)
        ring = whole - np.pad(hole, (len(whole) - len(hole)) // 2)
        ring = np.maximum(ring, 0)
        return ring / ring.sum()

    def across_focus(self) -> Donut:
        """The same on both sides of the plane of focus."""
        return self


LENSES = {
    "round": LENS,
    "hexagon": LensBlur(Aperture(blades=6)),
    "donut": LensBlur(Donut()),  # type: ignore[arg-type]  # a third kind of aperture
}


def write_scenes(
    folder: Path, lens: str, count: int, seed: int, photos: list[Path], size: int
) -> None:
    """Fill `folder`; a finished one is left as it is."""
    if (folder / "finished").exists():
        return
    library = PhotoLibrary(photos) if photos else None
    arrays: list[list[np.ndarray]] = [[], [], []]
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        scene = bounded_scene(rng, library, size, lens=LENSES[lens], largest_px=LARGEST_PX)
        noises = rng.integers(2**63, size=3).tolist()
        views = [
            render([Sample(seen, CAMERA, noise)], torch.device("cpu"))
            for seen, noise in zip((scene, *dual_pixel_scenes(scene)), noises, strict=True)
        ]
        photo, left, right = views
        images = (photo.blurred, photo.all_in_focus, left.blurred, right.blurred)
        for name, image in zip(VIEWS, images, strict=True):
            (folder / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / name / f"{number:03d}.png"), image[0].numpy()[..., ::-1])
        for kept, values in zip(
            arrays, (photo.blurred, photo.all_in_focus, photo.radius_px.half()), strict=True
        ):
            kept.append(values.numpy())
    write_facts(folder / "set", {"lens": lens, "count": count, "seed": seed, "size": size})
    write_shard(folder / "set", 0, *(np.concatenate(kept) for kept in arrays))
    (folder / "finished").touch()


def read_views(folder: Path, number: int) -> dict[str, FloatImage]:
    """The photos of one scene by the names of their folders, (H, W, 3) in [0, 1]."""
    found = {}
    for name in VIEWS:
        picture = cv2.imread(str(folder / name / f"{number:03d}.png"))
        if picture is None:
            raise SystemExit(f"{folder / name} lacks picture {number}")
        found[name] = np.float32(picture[..., ::-1]) / np.float32(255)
    return found


class RadiusCrops:
    """Crops of all photos of a scene with the signed radius."""

    def __init__(self, folder: Path, crop_px: int, seed: int, *, mirrors: bool) -> None:
        """mirrors: as `DualPixelSource` does, with the views exchanged; else crops stay as is."""
        rendered = RenderedSet(folder / "set")
        self._radii = [rendered[k][2].astype(np.float32) for k in range(len(rendered))]
        self._views = [read_views(folder, k) for k in range(len(rendered))]
        self._crop_px = crop_px
        self._seed = seed
        self._mirrors = mirrors

    def batch(self, step: int, size: int) -> Tensors:
        """Batch of a step: "blurred", "all_in_focus" (B, 3, H, W), "views" (B, 6, H, W) in [0, 1].

        And "radius_px" (B, 1, H/2, W/2), signed.
        """
        samples = [self._sample(step * size + k) for k in range(size)]
        photos, radii = zip(*samples, strict=True)
        stacked = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2)  # (B, 12, H, W)
        return {
            "blurred": stacked[:, :3],
            "all_in_focus": stacked[:, 3:6],
            "views": stacked[:, 6:],
            "radius_px": torch.from_numpy(np.stack(radii))[:, None],
        }

    def _sample(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng((self._seed, k))
        number = int(rng.integers(len(self._views)))
        radius = self._radii[number]
        half = self._crop_px // 2
        top, left = (int(rng.integers(side - half + 1)) for side in radius.shape)
        radius = radius[top : top + half, left : left + half]
        rows, columns = (slice(2 * start, 2 * (start + half)) for start in (top, left))
        photos = {name: view[rows, columns] for name, view in self._views[number].items()}
        if self._mirrors and rng.integers(2):
            photos, radius = {n: view[::-1] for n, view in photos.items()}, radius[::-1]
        if self._mirrors and rng.integers(2):
            photos, radius = {n: view[:, ::-1] for n, view in photos.items()}, radius[:, ::-1]
            photos["left"], photos["right"] = photos["right"], photos["left"]
        joined = np.concatenate([photos[name] for name in VIEWS], axis=2)
        return joined, np.ascontiguousarray(radius)
