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
from typing import Any, Final, Literal

import numpy as np

from defocusfix.errors import InputError, OutputError
from defocusfix.pairs.blur import measure_blur, training_scale
from defocusfix.pairs.find import PairFiles
from defocusfix.pairs.geometry import PairGeometry, find_geometry, geometry_from_json
from defocusfix.pairs.pixels import reduced
from defocusfix.photo.pixels import Pixels
from defocusfix.photo.read import read_photo

LEAST_KEPT_PIXELS: Final = 1_000_000  # smaller photos are decoded anew: it takes milliseconds
FORMAT: Final = 2  # of what is kept; raised whenever it would come out differently


@dataclass(frozen=True, slots=True)
class StoredPair:
    """Both photos of a pair, one size, on disk until they are read."""

    blurred: Pixels
    all_in_focus: Pixels

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return int(self.blurred.shape[0]), int(self.blurred.shape[1])


def read_pair(files: PairFiles) -> StoredPair:
    """Both photos at full size, in memory.

    Raises InputError if one cannot be read or they differ in size.
    """
    return _of_one_size(files, *(read_photo(p).pixels for p in (files.blurred, files.all_in_focus)))


class PairStore:
    """Reads pairs when they are asked for. Safe to use from several threads and processes."""

    def __init__(
        self,
        pairs: Sequence[PairFiles],
        *,
        scale: int | Literal["auto"] = 1,
        folder: Path | None = None,
        least_side_px: int = 1,
    ) -> None:
        """scale: photos are reduced by this whole factor, by averages.

        "auto": by the one that fits the measured blur of each pair, but never so far that a side
        falls below `least_side_px`. folder: where decoded photos are kept, some 6 bytes per pixel
        of a pair, and found again by a later run; None takes a temporary folder, which goes with
        the store.
        """
        self.pairs = tuple(pairs)
        self.scale = scale
        self._folder = folder or Path(tempfile.mkdtemp(prefix="defocusfix-"))
        if folder is None:
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._least_side_px = least_side_px
        self._kept: dict[int, StoredPair] = {}
        self._scales: dict[int, int] = {}
        self._geometries: dict[int, PairGeometry] = {}
        self._locks = [threading.RLock() for _ in self.pairs]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> StoredPair:
        """Both photos. Raises InputError if one cannot be read or they differ in size."""
        with self._locks[number]:
            if number in self._kept:
                return self._kept[number]
            files, scale = self.pairs[number], self.scale_of(number)
            blurred, sharp = (self._photo(p, scale) for p in (files.blurred, files.all_in_focus))
            pair = _of_one_size(files, blurred, sharp)
            if isinstance(blurred, np.memmap) and isinstance(sharp, np.memmap):
                self._kept[number] = pair
            return pair

    def scale_of(self, number: int) -> int:
        """The factor by which a pair is reduced; measured once. Raises as `store[number]`."""
        if self.scale != "auto":
            return self.scale
        with self._locks[number]:
            if number not in self._scales:
                fitting, largest = self._fitting_scale(self.pairs[number])
                self._scales[number] = max(1, min(fitting, largest))
            return self._scales[number]

    def geometry(self, number: int) -> PairGeometry:
        """How the two photos lie over each other; worked out once. Raises as `store[number]`."""
        with self._locks[number]:
            if number not in self._geometries:
                files = self.pairs[number]
                path = self._path(f"{self.scale_of(number)}-geometry.json", *_both(files))
                content = _read_json(path)
                if content is None:
                    pair = self[number]
                    content = find_geometry(pair.blurred, pair.all_in_focus).to_json()
                    self._write(path, json.dumps(content).encode())
                self._geometries[number] = geometry_from_json(content)
            return self._geometries[number]

    def _fitting_scale(self, files: PairFiles) -> tuple[int, int]:
        """The scale that fits the blur, and the largest one that leaves enough of the photos."""
        path = self._path("scale.json", *_both(files))
        content = _read_json(path)
        if content is None:
            pair = read_pair(files)
            geometry = find_geometry(pair.blurred, pair.all_in_focus)
            blur = measure_blur(pair.blurred, pair.all_in_focus, geometry)
            content = {"scale": training_scale(blur), "shorter_side_px": min(pair.size)}
            self._write(path, json.dumps(content).encode())
        return content["scale"], content["shorter_side_px"] // self._least_side_px

    def _photo(self, source: Path, scale: int) -> Pixels:
        path = self._path(f"{scale}-photo.npy", source)
        if path.is_file():
            return _mapped(path)
        pixels = reduced(read_photo(source).pixels, scale)
        if pixels.shape[0] * pixels.shape[1] < LEAST_KEPT_PIXELS:
            return pixels
        self._write(path, np.ascontiguousarray(pixels))
        return _mapped(path)

    def _path(self, kind: str, *sources: Path) -> Path:
        """Where something about these files is kept; another name once a file has changed."""
        facts: list[object] = [FORMAT]
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


def _of_one_size(files: PairFiles, blurred: Pixels, sharp: Pixels) -> StoredPair:
    if blurred.shape[:2] != sharp.shape[:2]:
        sizes = [f"{photo.shape[1]} x {photo.shape[0]}" for photo in (blurred, sharp)]
        raise InputError(
            f"{files.blurred.name} and {files.all_in_focus.name} differ in size",
            why=f"{sizes[0]} and {sizes[1]} pixels",
            fix="export both photos of the pair at the same size, without cropping",
        )
    return StoredPair(blurred, sharp)


def _both(files: PairFiles) -> tuple[Path, Path]:
    return files.blurred, files.all_in_focus


def _read_json(path: Path) -> dict[str, Any] | None:
    content: dict[str, Any] | None = json.loads(path.read_text("utf-8")) if path.is_file() else None
    return content
