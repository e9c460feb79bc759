"""A photo back into a file of the format it came from, or of another."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from defocusfix.errors import OutputError
from defocusfix.photo import metadata
from defocusfix.photo.avif import encode_avif
from defocusfix.photo.bmp import encode_bmp
from defocusfix.photo.coding import (
    AvifCoding,
    BmpCoding,
    Jpeg2000Coding,
    JpegCoding,
    PngCoding,
    TiffCoding,
    WebpCoding,
)
from defocusfix.photo.jpeg import encode_jpeg
from defocusfix.photo.jpeg2000 import encode_jpeg2000
from defocusfix.photo.photo import Photo
from defocusfix.photo.png import encode_png
from defocusfix.photo.replace import Version, replacement
from defocusfix.photo.safe_write import new_file
from defocusfix.photo.tiff_write import encode_tiff
from defocusfix.photo.webp import encode_webp


def write_photo(photo: Photo, path: Path, *, may_overwrite: bool = False) -> None:
    """Write a photo to `path`, whole or not at all.

    Raises OutputError if `path` exists and may not be overwritten, or cannot be written, or if the
    photo is in a format that is only read.
    """
    with new_file(path, may_overwrite=may_overwrite) as file:
        _encode(photo, file)


def replace_with_photo(photo: Photo, path: Path, was: Version, *, backup: Path | None) -> None:
    """Put a photo in the place of the file at `path`, which stays as `backup`.

    was: the version of the file that the photo was made from. Raises OutputError as `replacement`
    does, or if the photo is in a format that is only read.
    """
    with replacement(path, was, backup=backup) as file:
        _encode(photo, file)


def encode_photo(photo: Photo) -> bytes:
    """The bytes of a file in the format, depth and compression that `photo.coding` says.

    Raises OutputError if the photo is in a format that is only read.
    """
    file = BytesIO()
    try:
        _encode(photo, file)
    except OSError as error:
        raise _cannot_encode(photo, error) from error
    return file.getvalue()


def _cannot_encode(photo: Photo, error: Exception) -> OutputError:
    return OutputError(f"the photo cannot be saved as {photo.format.upper()}", why=str(error))


def _encode(photo: Photo, file: BinaryIO) -> None:
    try:
        _encode_true(_true(photo), file)
    except ValueError as error:
        raise _cannot_encode(photo, error) from error


def _true(photo: Photo) -> Photo:
    """The photo with metadata that are true for its pixels."""
    return replace(
        photo,
        exif=photo.exif and metadata.true_exif(photo.exif, photo.pixels),
        xmp=photo.xmp and metadata.true_xmp(photo.xmp, photo.pixels),
    )


def _encode_true(photo: Photo, file: BinaryIO) -> None:
    match photo.coding:
        case JpegCoding() as coding:
            encode_jpeg(photo, coding, file)
        case PngCoding() as coding:
            encode_png(photo, coding, file)
        case TiffCoding() as coding:
            encode_tiff(photo, coding, file)
        case WebpCoding() as coding:
            encode_webp(photo, coding, file)
        case AvifCoding() as coding:
            encode_avif(photo, coding, file)
        case BmpCoding() as coding:
            encode_bmp(photo, coding, file)
        case Jpeg2000Coding() as coding:
            encode_jpeg2000(photo, coding, file)
        case _:
            raise OutputError(
                f"{photo.format.upper()} cannot be written", fix="choose another with --format"
            )
