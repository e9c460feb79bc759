"""Copies of pairs that lie over each other: one shift, turn and zoom for the whole photo.

The blurred photo stays as it is, since a network learns from its blur; the sharp one is resampled
to it. Originals are only read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from defocusfix.errors import InputError, OutputError
from defocusfix.pairs.find import PairFiles
from defocusfix.pairs.geometry import Box, PairGeometry, common_box, find_geometry
from defocusfix.photo.convert import Target, converted
from defocusfix.photo.photo import Photo
from defocusfix.photo.pixels import Pixels
from defocusfix.photo.read import read_photo
from defocusfix.photo.safe_write import new_file
from defocusfix.photo.suffixes import format_of
from defocusfix.photo.write import write_photo

FOLDERS: Final = ("blurry", "sharp", "valid")
LARGEST_SIDE_PX: Final = 32766  # that OpenCV can resample

AlignedFormat = Literal["lossless", "keep"]


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """What was written for a pair."""

    blurred: Path
    sharp: Path
    valid: Path | None
    """White where the sharp photo shows what the blurred one does; None for cropped copies."""
    geometry: PairGeometry
    size: tuple[int, int]
    """(height, width) of the blurred photo."""


@dataclass(frozen=True, slots=True)
class AlignSettings:
    """How aligned copies are made."""

    output: Path
    """Folder; blurry, sharp and valid are made in it."""
    crops: bool = False
    """Whether both copies are cut to what both photos show, instead of a mask beside them."""
    file_format: AlignedFormat = "lossless"
    """lossless: PNG for what came with losses, else as it came. keep: as it came."""
    may_overwrite: bool = False


def planned(files: PairFiles, settings: AlignSettings) -> tuple[Path, Path, Path | None]:
    """Where both copies and the mask of a pair will be written.

    Raises OutputError if one is there already and may not be overwritten, or is an original.
    """
    blurred, sharp = (
        settings.output / folder / f"{files.name}{_suffix(source, settings.file_format)}"
        for folder, source in zip(FOLDERS, (files.blurred, files.all_in_focus), strict=False)
    )
    valid = None if settings.crops else settings.output / FOLDERS[2] / f"{files.name}.png"
    originals = {files.blurred.resolve(), files.all_in_focus.resolve()}
    for path in (blurred, sharp, valid):
        if path is None:
            continue
        if path.resolve() in originals:
            raise OutputError(
                f"{path} is an original",
                why="originals are only read",
                fix="another folder with -o",
            )
        if path.exists() and not settings.may_overwrite:
            raise OutputError(
                f"{path} exists already", fix="another folder with -o, or --overwrite"
            )
    return blurred, sharp, valid


def align_pair(files: PairFiles, settings: AlignSettings) -> AlignedPair:
    """Write the aligned copies of one pair, with all metadata and at their depth.

    Raises InputError if a photo cannot be read, the sizes differ or the two cannot be laid over
    each other, OutputError as `planned` does and for what cannot be written.
    """
    blurred_path, sharp_path, valid_path = planned(files, settings)
    blurred, sharp = read_photo(files.blurred), read_photo(files.all_in_focus)
    size = blurred.height, blurred.width
    if (sharp.height, sharp.width) != size:
        raise InputError(
            f"the photos of {files.name} differ in size",
            why=f"{blurred.width} x {blurred.height} and {sharp.width} x {sharp.height} pixels",
        )
    if max(size) > LARGEST_SIDE_PX:
        raise InputError(f"{files.name} is too large", why=f"sides end at {LARGEST_SIDE_PX} px")
    geometry = find_geometry(blurred.pixels, sharp.pixels)
    if not geometry.is_found:
        raise InputError(
            f"{files.name} cannot be aligned",
            why="the photos show different scenes, or lie too far apart",
        )
    box = common_box(geometry.matrix, size) if settings.crops else (0, 0, size[1], size[0])
    moved = replace(
        sharp,
        pixels=_moved(sharp.pixels, geometry.matrix),
        alpha=None if sharp.alpha is None else _moved(sharp.alpha, geometry.matrix)[..., 0],
    )
    for path in (blurred_path, sharp_path, valid_path):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    for photo, path in ((blurred, blurred_path), (moved, sharp_path)):
        write_photo(_for(path, _cut(photo, box)), path, may_overwrite=settings.may_overwrite)
    if valid_path is not None:
        with new_file(valid_path, may_overwrite=settings.may_overwrite) as file:
            Image.fromarray(_valid(geometry.matrix, size)).save(file, "PNG")
    return AlignedPair(blurred_path, sharp_path, valid_path, geometry, size)


def _moved(pixels: Pixels, matrix: npt.NDArray[np.float64]) -> Pixels:
    """Pixels (H, W[, C]) as seen from the blurred photo, (H, W, C); mirrored beyond the border."""
    height, width = pixels.shape[:2]
    moved = cv2.warpAffine(
        pixels,
        matrix,
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(moved).reshape(height, width, -1)


def _valid(matrix: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """(H, W), 255 where the sharp photo shows what the blurred one does, else 0."""
    height, width = size
    x = np.arange(width)[None]
    valid = np.empty(size, np.uint8)
    for y in range(height):
        there = matrix[:, :1] * x + matrix[:, 1:2] * y + matrix[:, 2:]
        inside = (there >= 0) & (there <= [[width - 1], [height - 1]])
        valid[y] = inside.all(axis=0) * 255
    return valid


def _cut(photo: Photo, box: Box) -> Photo:
    left, top, right, bottom = box
    place = slice(top, bottom), slice(left, right)
    alpha = None if photo.alpha is None else np.ascontiguousarray(photo.alpha[place])
    return replace(photo, pixels=np.ascontiguousarray(photo.pixels[place]), alpha=alpha)


def _suffix(source: Path, file_format: AlignedFormat) -> str:
    keeps = file_format == "keep" or format_of(source) in ("tiff", "png")
    return source.suffix if keeps else ".png"


def _for(path: Path, photo: Photo) -> Photo:
    """The photo in the format that the name of its file says, at its own depth."""
    file_format = format_of(path)
    if file_format == photo.format:
        return photo
    deep: Target = "tiff16" if file_format == "tiff" else "png16"
    targets: dict[str | None, Target] = {"jpeg": "jpeg", "webp": "webp"}
    if file_format in targets:
        return converted(photo, targets[file_format])
    shallow: Target = "tiff" if file_format == "tiff" else "png"
    return converted(photo, shallow if photo.pixels.dtype == np.uint8 else deep)
