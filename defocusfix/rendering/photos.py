"""Sharp sources for scenes: crops of photos, screened for sharpness, and procedural textures.

A soft source teaches softness and a wrong radius map, so every crop is screened cell by cell
(the same idea as the discarded least sharp windows of Restormer's and IFAN's training crops).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from defocusfix.errors import InputError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
CELL_PX = 32  # side of the cells that are judged one by one
TEXTURE = 0.01  # contrast between 1 and 4 px from which a cell can be judged
SHARP_RATIO = 0.42  # finest over medium contrast; a blur of radius 1.5 px pulls it under 0.3
SHARP_SHARE = 0.9  # of the cells that can be judged
TRIES = 10
KEPT_BYTES = 2**30  # of decoded photos, in every process


class PhotoLibrary:
    """Sharp photos of some folders, read when they are used; the latest KEPT_BYTES are kept."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """List the photos below `folders`. Raises InputError if a folder holds none."""
        self.files: list[Path] = []
        for folder in folders:
            found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not found:
                raise InputError(f"{folder} holds no photos", why="no file of a known image type")
            self.files += found
        self._photos: dict[int, np.ndarray] = {}  # the longest unused first
        self._kept_bytes = 0

    def crop(self, rng: np.random.Generator, side: int) -> np.ndarray:
        """A sharp crop (side, side, 3) uint8 RGB, scaled down by a random factor up to 2.

        Of at most TRIES random windows the first sharp one is taken, else the sharpest.
        """
        best, best_share = None, -1.0
        for _ in range(TRIES):
            candidate = self.window(rng, side)
            share = sharp_share(candidate)
            if share >= SHARP_SHARE:
                return candidate
            if share > best_share:
                best, best_share = candidate, share
        assert best is not None
        return best

    def window(self, rng: np.random.Generator, side: int) -> np.ndarray:
        """Any crop (side, side, 3) uint8 RGB, scaled down by a random factor up to 2.

        Photos that are smaller than the crop are enlarged, which softens them.
        """
        photo = self._photo(int(rng.integers(len(self.files))))
        shrink = min(float(rng.uniform(1.0, 2.0)), min(photo.shape[:2]) / side)
        size = max(1, round(side * shrink))
        if size > min(photo.shape[:2]):  # a photo smaller than the crop is mirrored at its edges
            pad = size - min(photo.shape[:2]) + 1
            photo = cv2.copyMakeBorder(photo, 0, pad, 0, pad, cv2.BORDER_REFLECT_101)
        top = int(rng.integers(photo.shape[0] - size + 1))
        left = int(rng.integers(photo.shape[1] - size + 1))
        window = photo[top : top + size, left : left + size]
        if size == side:
            return window.copy()
        return cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA)

    def _photo(self, index: int) -> np.ndarray:
        if index in self._photos:
            self._photos[index] = self._photos.pop(index)  # now the latest
            return self._photos[index]
        photo = cv2.imread(str(self.files[index]), cv2.IMREAD_COLOR)
        if photo is None:
            raise InputError(f"{self.files[index]} cannot be read as a photo")
        self._photos[index] = photo = cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)
        self._kept_bytes += photo.nbytes
        while self._kept_bytes > KEPT_BYTES and len(self._photos) > 1:
            self._kept_bytes -= self._photos.pop(next(iter(self._photos))).nbytes
        return photo


def facts_of_photos(files: Sequence[Path]) -> dict[str, Any]:
    """How many photos a set is made of, and the SHA-256 of their names; there may be none."""
    names = "\n".join(sorted(file.name for file in files))
    return {"sources": len(files), "sources_sha256": hashlib.sha256(names.encode()).hexdigest()}


def sharp_share(image: np.ndarray) -> float:
    """Share of the textured cells of `image` (H, W, 3) uint8 that are sharp, 0 to 1.

    An image with texture in under a tenth of its cells has nothing to teach and scores 0.
    """
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    fine = cv2.GaussianBlur(gray, (0, 0), 1.0)
    medium = cv2.GaussianBlur(fine, (0, 0), 3.9)
    rows, columns = image.shape[0] // CELL_PX, image.shape[1] // CELL_PX

    def contrast(difference: np.ndarray) -> np.ndarray:
        cells = difference[: rows * CELL_PX, : columns * CELL_PX] ** 2
        return np.sqrt(cells.reshape(rows, CELL_PX, columns, CELL_PX).mean(axis=(1, 3)))

    finest, coarser = contrast(gray - fine), contrast(fine - medium)
    textured = coarser > TEXTURE
    if textured.mean() < 0.1:
        return 0.0
    return float((finest[textured] > SHARP_RATIO * coarser[textured]).mean())


def dead_leaves(rng: np.random.Generator, side: int) -> np.ndarray:
    """Overlapping shapes of power-law size: natural statistics without any photo.

    (side, side, 3) uint8 RGB. Source: Lee, Mumford and Huang, IJCV 2001; radii fall off with the
    third power, so that the picture looks alike at every scale.
    """
    image = np.empty((side, side, 3), np.float32)
    image[:] = rng.uniform(0, 255, 3)
    smallest, largest = 2.0, side / 3
    uniform = np.sort(rng.uniform(0, 1, int(rng.integers(200, 900))))
    radii = 1 / np.sqrt(smallest**-2 + uniform * (largest**-2 - smallest**-2))
    rng.shuffle(radii)
    palette = rng.uniform(0, 255, (12, 3))
    for radius in np.sort(radii)[::-1] if rng.random() < 0.3 else radii:
        colour = np.clip(palette[rng.integers(12)] + rng.normal(0, 25, 3), 0, 255)
        centre = rng.uniform(0, side, 2)
        if rng.random() < 0.5:
            axes = (float(radius), float(radius * rng.uniform(0.3, 1.0)))
            box = (tuple(map(float, centre)), (2 * axes[0], 2 * axes[1]), rng.uniform(0, 180))
            cv2.ellipse(image, box, colour.tolist(), -1, cv2.LINE_AA)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            corners = centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            cv2.fillPoly(image, [np.round(corners * 16).astype(np.int32)], colour.tolist(),
                         cv2.LINE_AA, 4)  # fmt: skip
    if rng.random() < 0.6:  # surfaces have grain of their own, in focus where they are
        grain = rng.normal(0, 1, (side, side, 1)).astype(np.float32)
        image *= 1 + float(rng.uniform(0.02, 0.15)) * grain
    return np.clip(image, 0, 255).astype(np.uint8)
