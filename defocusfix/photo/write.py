"""A photo back into a file of the format it came from."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from defocusfix.photo.jpeg import encode_jpeg
from defocusfix.photo.photo import JpegCoding, Photo, PngCoding, TiffCoding, WebpCoding
from defocusfix.photo.png import encode_png
from defocusfix.photo.safe_write import safe_write
from defocusfix.photo.tiff import encode_tiff
from defocusfix.photo.webp import encode_webp

SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "tiff": (".tif", ".tiff"),
    "webp": (".webp",),
}


def write_photo(photo: Photo, path: Path, *, may_overwrite: bool = False) -> None:
    """Write a photo to `path`, whole or not at all.

    Raises OutputError if `path` exists and may not be overwritten, or cannot be written.
    """
    safe_write(path, encode_photo(photo), may_overwrite=may_overwrite)


def encode_photo(photo: Photo) -> bytes:
    """The bytes of a file in the format, depth and compression that `photo.coding` says."""
    match photo.coding:
        case JpegCoding() as coding:
            return encode_jpeg(photo, coding)
        case PngCoding() as coding:
            return encode_png(photo, coding)
        case TiffCoding() as coding:
            return encode_tiff(photo, coding)
        case WebpCoding() as coding:
            return encode_webp(photo, coding)
        case _:
            assert_never(photo.coding)
