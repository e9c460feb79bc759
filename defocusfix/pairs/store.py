"""Pairs of photos, decoded once and kept on disk, with how the two lie over each other.

A crop of a photo of 24 megapixels must not cost its decoding. Photos are therefore kept as plain
arrays, reduced to the scale they are used at, in a folder that may outlive the run; what is read
of them is memory-mapped. Originals are never written to.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.errors import InputError, OutputError
from defocusfix.pairs.find import PairFiles
from defocusfix.photo.read import read_photo
from defocusfix.registration.exposure import Gains, exposure_gains
from defocusfix.registration.global_ecc import align_globally
from defocusfix.registration.warp import FloatImage, inside, warp

Pixels = npt.NDArray[Any]
"""(H, W, 3) or (H, W, 1), stored values."""

LEAST_KEPT_PIXELS: Final = 1_000_000  # smaller photos are decoded anew: it takes milliseconds
FORMAT: Final = 1  # of what is kept; raised whenever it would come out differently
ALIGNED_PIXELS: Final = 1_000_000  # a pair is aligned on photos reduced to about this many


@dataclass(frozen=True, slots=True)
class PairGeometry:
    """How the sharp photo of a pair lies over the blurred one, at the store's scale."""

    matrix: npt.NDArray[np.float64]
    """(2, 3), from coordinates (x, y) of the blurred photo to those of the sharp one."""
    gains: Gains
    """(3,), on the sharp photo's linear light, that bring it to the blurred one's exposure."""
    is_found: bool
    """False where the two could not be aligned: the matrix is the identity, the gains are 1."""

    def shift_at(self, x: float, y: float) -> tuple[float, float]:
        """How far right and down the sharp photo shows what the blurred one shows at (x, y)."""
        moved = self.matrix @ np.array([x, y, 1.0])
        return float(moved[0] - x), float(moved[1] - y)


@dataclass(frozen=True, slots=True)
class StoredPair:
    """Both photos of a pair, one size, on disk until they are read."""

    blurred: Pixels
    all_in_focus: Pixels

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return int(self.blurred.shape[0]), int(self.blurred.shape[1])


def as_float(pixels: Pixels) -> FloatImage:
    """Stored values as (H, W, 3) float32 in [0, 1]; gray is repeated three times."""
    whole = np.issubdtype(pixels.dtype, np.integer)
    largest = np.iinfo(pixels.dtype).max if whole else 1
    image = np.multiply(pixels, np.float32(1 / largest), dtype=np.float32)
    return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)


class PairStore:
    """Reads pairs when they are asked for. Safe to use from several threads and processes."""

    def __init__(
        self, pairs: Sequence[PairFiles], *, scale: int = 1, folder: Path | None = None
    ) -> None:
        """scale: photos are reduced by this whole factor, by averages.

        folder: where decoded photos are kept, some 6 bytes per pixel of a pair, and found again by
        a later run; None takes a temporary folder, which goes with the store.
        """
        self.pairs = tuple(pairs)
        self.scale = scale
        self._folder = folder or Path(tempfile.mkdtemp(prefix="defocusfix-"))
        if folder is None:
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._kept: dict[int, StoredPair] = {}
        self._geometries: dict[int, PairGeometry] = {}
        self._locks = [threading.RLock() for _ in self.pairs]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> StoredPair:
        """Both photos. Raises InputError if one cannot be read or they differ in size."""
        with self._locks[number]:
            if number in self._kept:
                return self._kept[number]
            files = self.pairs[number]
            blurred, sharp = self._photo(files.blurred), self._photo(files.all_in_focus)
            if blurred.shape[:2] != sharp.shape[:2]:
                sizes = [f"{photo.shape[1]} x {photo.shape[0]}" for photo in (blurred, sharp)]
                raise InputError(
                    f"{files.blurred.name} and {files.all_in_focus.name} differ in size",
                    why=f"{sizes[0]} and {sizes[1]} pixels",
                    fix="export both photos of the pair at the same size, without cropping",
                )
            pair = StoredPair(blurred, sharp)
            if isinstance(blurred, np.memmap) and isinstance(sharp, np.memmap):
                self._kept[number] = pair
            return pair

    def geometry(self, number: int) -> PairGeometry:
        """How the two photos lie over each other; worked out once. Raises as `store[number]`."""
        with self._locks[number]:
            if number not in self._geometries:
                files = self.pairs[number]
                path = self._path("geometry.json", files.blurred, files.all_in_focus)
                found = _read_geometry(path)
                if found is None:
                    found = _geometry(self[number])
                    self._write(path, _geometry_bytes(found))
                self._geometries[number] = found
            return self._geometries[number]

    def _photo(self, source: Path) -> Pixels:
        path = self._path("photo.npy", source)
        if path.is_file():
            return _mapped(path)
        pixels = _reduced(read_photo(source).pixels, self.scale)
        if pixels.shape[0] * pixels.shape[1] < LEAST_KEPT_PIXELS:
            return pixels
        self._write(path, np.ascontiguousarray(pixels))
        return _mapped(path)

    def _path(self, kind: str, *sources: Path) -> Path:
        """Where something about these files is kept; another name once a file has changed."""
        facts: list[object] = [FORMAT, self.scale]
        for source in sources:
            try:
                status = source.stat()
            except OSError as error:
                raise InputError(f"{source} cannot be read", why=str(error.strerror)) from error
            facts += [str(source.resolve()), status.st_size, status.st_mtime_ns]
        return self._folder / f"{hashlib.sha256(repr(facts).encode()).hexdigest()[:24]}-{kind}"

    def _write(self, path: Path, content: bytes | Pixels) -> None:
        """Whole or not at all, whoever else writes the same. Raises OutputError."""
        part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    np.save(file, content)
            part.replace(path)
        except OSError as error:
            if part.is_file():
                part.unlink()
            raise OutputError(
                f"decoded photos cannot be kept in {self._folder}",
                why=(error.strerror or str(error)).lower(),
                fix="choose a folder on a disk with more room, or a larger scale",
            ) from error


def _mapped(path: Path) -> Pixels:
    pixels: Pixels = np.load(path, mmap_mode="r")
    return pixels


def _reduced(pixels: Pixels, factor: int) -> Pixels:
    """Averages of factor x factor pixels, in the same kind of values; what is over is left out."""
    if factor == 1:
        return pixels
    height, width = (max(1, side // factor) for side in pixels.shape[:2])
    whole = np.ascontiguousarray(pixels[: height * factor, : width * factor])
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small).reshape(height, width, -1)


def _geometry(pair: StoredPair) -> PairGeometry:
    factor = max(1, round((pair.size[0] * pair.size[1] / ALIGNED_PIXELS) ** 0.5))
    blurred, sharp = (as_float(_reduced(p, factor)) for p in (pair.blurred, pair.all_in_focus))
    found = align_globally(sharp, blurred)
    if not found.is_found:
        return PairGeometry(found.matrix, np.ones(3, np.float32), is_found=False)
    flow = found.flow((blurred.shape[0], blurred.shape[1]))
    gains = exposure_gains(warp(sharp, flow), blurred, inside(flow))
    # A centre x of the reduced photo lies at factor * x + (factor - 1) / 2 of the whole one.
    matrix = found.matrix.copy()
    centre = np.full(2, (factor - 1) / 2)
    matrix[:, 2] = factor * matrix[:, 2] + centre - matrix[:, :2] @ centre
    return PairGeometry(matrix, gains, is_found=True)


def _geometry_bytes(geometry: PairGeometry) -> bytes:
    content = {
        "matrix": geometry.matrix.tolist(),
        "gains": geometry.gains.tolist(),
        "is_found": geometry.is_found,
    }
    return json.dumps(content).encode()


def _read_geometry(path: Path) -> PairGeometry | None:
    if not path.is_file():
        return None
    content = json.loads(path.read_text("utf-8"))
    matrix = np.array(content["matrix"], np.float64)
    return PairGeometry(matrix, np.array(content["gains"], np.float32), content["is_found"])
