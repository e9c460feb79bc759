"""A defocus map as a file, in one of four formats."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

from defocusfix.figures.map_image import coloured, full_scale_of, with_legend
from defocusfix.jobs.treatment import MapFormat
from defocusfix.photo.coding import PngCoding, TiffCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.safe_write import safe_write
from defocusfix.photo.write import encode_photo
from defocusfix.restoration.defocus_map import CODES_PER_PX, DefocusMap

LONGEST_COLOURED_PX = 2400  # a coloured map is for looking at, and smooth
PNG_TEXT = f"Description\0Blur radius: {CODES_PER_PX} is one pixel, 0 is in focus".encode("latin-1")


def write_map(
    defocus_map: DefocusMap, path: Path, map_format: MapFormat, *, may_overwrite: bool
) -> None:
    """Write a map to `path`, whole or not at all. Raises OutputError if that cannot be."""
    safe_write(path, encode_map(defocus_map, map_format), may_overwrite=may_overwrite)


def encode_map(defocus_map: DefocusMap, map_format: MapFormat) -> bytes:
    """The bytes of a map's file.

    png16: a 16-bit gray PNG on the scale of `DefocusMap.to_uint16`. npy: a NumPy file, (H, W)
    float32, radius in pixels. tiff: the same as a 32-bit TIFF. color: an 8-bit PNG in colours
    with a legend, no longer than 2400 px.
    """
    if map_format == "npy":
        buffer = io.BytesIO()
        np.save(buffer, defocus_map.radius_px)
        return buffer.getvalue()
    if map_format == "tiff":
        values = defocus_map.radius_px[:, :, None]
        return encode_photo(Photo(values, TiffCoding(compression="deflate")))
    if map_format == "color":
        return encode_photo(Photo(_picture(defocus_map), PngCoding()))
    codes = defocus_map.to_uint16()[:, :, None]
    return encode_photo(Photo(codes, PngCoding(chunks=((b"tEXt", PNG_TEXT),))))


def _picture(defocus_map: DefocusMap) -> np.ndarray:
    radius_px = defocus_map.radius_px
    factor = LONGEST_COLOURED_PX / max(radius_px.shape)
    if factor < 1:
        radius_px = np.asarray(
            cv2.resize(radius_px, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA),
            np.float32,
        )
    full_scale_px = full_scale_of(radius_px)
    return with_legend(coloured(radius_px, full_scale_px), full_scale_px)
