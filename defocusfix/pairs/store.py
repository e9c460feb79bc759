"""Pairs of photos, decoded once and kept on disk, with how the two lie over each other.

A crop of a photo of 24 megapixels must not cost its decoding. Photos are therefore kept as plain
arrays, reduced to the scale they are used at, in a folder that may outlive the run; what is read
of them is memory-mapped. Originals are never written to.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np

from defocusfix.errors import InputError
from defocusfix.pairs.blur import training_scale
from defocusfix.pairs.find import PairFiles
from defocusfix.pairs.geometry import PairGeometry, matrix_at
from defocusfix.pairs.measures import PairMeasures, keep, unchanged_file
from defocusfix.pairs.pixels import reduced
from defocusfix.pairs.remainder import Remainder
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
        self._measures = PairMeasures(self._folder)
        self._scales: dict[int, int] = {}
        self._geometries: dict[int, PairGeometry] = {}
        self._remainders: dict[int, Remainder] = {}
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
                files = self.pairs[number]
                found = self._measures.blur(files, lambda: _whole(files))
                largest = min(found.size) // self._least_side_px
                self._scales[number] = max(1, min(training_scale(found.blur), largest))
            return self._scales[number]

    def geometry(self, number: int) -> PairGeometry:
        """How the two photos lie over each other; worked out once. Raises as `store[number]`."""
        with self._locks[number]:
            if number not in self._geometries:
                files, scale = self.pairs[number], self.scale_of(number)
                whole = self._measures.geometry(files, lambda: _whole(files))
                self._geometries[number] = replace(whole, matrix=matrix_at(whole.matrix, scale))
            return self._geometries[number]

    def remainder(self, number: int) -> Remainder:
        """What the geometry leaves; worked out once. Raises as `store[number]`."""
        with self._locks[number]:
            if number not in self._remainders:
                files = self.pairs[number]
                self._remainders[number] = self._measures.remainder(files, lambda: _whole(files))
            return self._remainders[number]

    def _photo(self, source: Path, scale: int) -> Pixels:
        path = self._path(f"{scale}-photo.npy", source)
        if path.is_file():
            return _mapped(path)
        pixels = reduced(read_photo(source).pixels, scale)
        if pixels.shape[0] * pixels.shape[1] < LEAST_KEPT_PIXELS:
            return pixels
        keep(path, lambda part: np.save(part, np.ascontiguousarray(pixels)))
        return _mapped(path)

    def _path(self, kind: str, source: Path) -> Path:
        """Where something about a file is kept; another name once it has changed."""
        facts = repr((FORMAT, *unchanged_file(source)))
        return self._folder / f"{hashlib.sha256(facts.encode()).hexdigest()[:24]}-{kind}"


def _whole(files: PairFiles) -> tuple[Pixels, Pixels]:
    pair = read_pair(files)
    return pair.blurred, pair.all_in_focus


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
