"""Which format a file is in, told by its first bytes, and the photo in it."""

from __future__ import annotations

from pathlib import Path

from defocusfix.errors import InputError
from defocusfix.photo.jpeg import decode_jpeg
from defocusfix.photo.limits import check_file_size
from defocusfix.photo.photo import Photo
from defocusfix.photo.png import SIGNATURE, decode_png
from defocusfix.photo.tiff import decode_tiff
from defocusfix.photo.webp import decode_webp

# Suffixes of files that start like a TIFF and are raw data of a camera.
RAW_SUFFIXES = frozenset(
    (".dng", ".nef", ".nrw", ".cr2", ".arw", ".srf", ".sr2", ".pef", ".erf", ".3fr", ".iiq")
)


def read_photo(path: Path) -> Photo:
    """The photo in a file, upright, with all that its file says about it.

    Raises InputError if there is no such file, or it is damaged, too large or of a kind that could
    not be written back without loss.
    """
    name = path.name
    try:
        check_file_size(name, path.stat().st_size)
        data = path.read_bytes()
    except IsADirectoryError as error:
        raise InputError(
            f"{path} is a folder", fix=f"name the photos in it: {path}/*.jpg"
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{path} cannot be read", why=reason) from error
    return decode_photo(data, name)


def decode_photo(data: bytes, name: str) -> Photo:
    """The photo in the bytes of a file. `name` is what errors call it. Errors: see `read_photo`."""
    check_file_size(name, len(data))
    if data.startswith(b"\xff\xd8\xff"):
        return decode_jpeg(data, name)
    if data.startswith(SIGNATURE):
        return decode_png(data, name)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return decode_webp(data, name)
    if data.startswith((b"II*\0", b"MM\0*")):
        if Path(name).suffix.lower() in RAW_SUFFIXES:
            raise _unsupported(name, "a camera raw file")
        return decode_tiff(data, name)
    raise _unsupported(name, _kind_in_words(data))


def _kind_in_words(data: bytes) -> str:
    if data.startswith((b"II+\0", b"MM\0+")):
        return "a BigTIFF"
    if data[4:8] == b"ftyp":
        return "an AVIF photo" if data[8:12] in (b"avif", b"avis") else "a HEIC photo"
    starts = {
        b"GIF8": "a GIF",
        b"BM": "a BMP",
        b"8BPS": "a Photoshop document",
        b"\0\0\0\x0cjP": "a JPEG 2000 photo",
        b"\xff\x4f\xff\x51": "a JPEG 2000 photo",
        b"\xff\x0a": "a JPEG XL photo",
        b"\0\0\0\x0cJXL": "a JPEG XL photo",
    }
    return next((words for start, words in starts.items() if data.startswith(start)), "")


def _unsupported(name: str, kind: str) -> InputError:
    return InputError(
        f"{name} is {kind}" if kind else f"{name} is not a photo in a known format",
        why="JPEG, PNG, TIFF and WebP can be restored",
        fix="export it as a 16-bit TIFF or as a JPEG",
    )
