"""Which format a file is in, told by its first bytes, and the photo in it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from defocusfix.errors import InputError
from defocusfix.photo.avif import decode_avif
from defocusfix.photo.bmp import decode_bmp
from defocusfix.photo.heic import decode_heic
from defocusfix.photo.jpeg import decode_jpeg
from defocusfix.photo.jpeg2000 import decode_jpeg2000
from defocusfix.photo.limits import DEFAULT, Limits
from defocusfix.photo.photo import Photo
from defocusfix.photo.png import decode_png
from defocusfix.photo.raw import decode_raw, is_raw_tiff
from defocusfix.photo.source import Source
from defocusfix.photo.suffixes import SUFFIXES
from defocusfix.photo.tiff import decode_tiff
from defocusfix.photo.webp import decode_webp

Decode: TypeAlias = Callable[[Source], Photo]
# What a file holds at which position, the name of its format, and what decodes it.
SIGNATURES: tuple[tuple[bytes, int, str, Decode], ...] = (
    (b"\xff\xd8\xff", 0, "JPEG", decode_jpeg),
    (b"\x89PNG\r\n\x1a\n", 0, "PNG", decode_png),
    (b"WEBP", 8, "WebP", decode_webp),
    (b"II+\0", 0, "BigTIFF", decode_tiff),
    (b"MM\0+", 0, "BigTIFF", decode_tiff),
    (b"ftypavif", 4, "AVIF", decode_avif),
    (b"ftypavis", 4, "AVIF", decode_avif),
    (b"ftypcrx ", 4, "camera raw file", decode_raw),
    (b"ftyp", 4, "HEIC", decode_heic),
    (b"\0\0\0\x0cjP  ", 0, "JPEG 2000", decode_jpeg2000),
    (b"\xff\x4f\xff\x51", 0, "JPEG 2000", decode_jpeg2000),
    (b"FUJIFILMCCD-RAW", 0, "camera raw file", decode_raw),
    (b"IIRO", 0, "camera raw file", decode_raw),
    (b"IIRS", 0, "camera raw file", decode_raw),
    (b"MMOR", 0, "camera raw file", decode_raw),
    (b"IIU\0", 0, "camera raw file", decode_raw),
    (b"\0MRM", 0, "camera raw file", decode_raw),
    (b"FOVb", 0, "camera raw file", decode_raw),
    (b"HEAPCCDR", 6, "camera raw file", decode_raw),
    (b"BM", 0, "BMP", decode_bmp),
)
REFUSED = {
    b"GIF8": "a GIF",
    b"8BPS": "a Photoshop document",
    b"\xff\x0a": "a JPEG XL photo",
    b"\0\0\0\x0cJXL": "a JPEG XL photo",
}
# What the libraries raise on damaged files; only they and the reading of headers run within.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    struct.error,
    zlib.error,
)


def read_photo(source: Path | bytes, *, limits: Limits = DEFAULT, name: str | None = None) -> Photo:
    """The photo in a file, or in the bytes of one, upright, with all that its file says about it.

    name: what errors call it; the name of the file, or "the photo" for bytes. Raises InputError if
    there is no such file, or it is damaged, too large or of a kind that could not be written back
    without loss.
    """
    if isinstance(source, bytes):
        name = name or "the photo"
        limits.check_file_size(name, len(source))
        return _decode(Source.of_bytes(name, source, limits))
    name = name or source.name
    try:
        limits.check_file_size(name, source.stat().st_size)
        with source.open("rb") as file:
            return _decode(Source(name, file, limits))
    except IsADirectoryError as error:
        raise InputError(
            f"{source} is a folder", fix=f"name the photos in it: {source}/*.jpg"
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"there is no file {source}") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{source} cannot be read", why=reason) from error


def _decode(source: Source) -> Photo:
    kind, decode = _decoder(source)
    try:
        return decode(source)
    except MemoryError as error:
        raise InputError(
            f"{source.name} is too large", why="its picture does not fit into memory"
        ) from error
    except DAMAGE as error:
        raise InputError(f"{source.name} cannot be read", why=f"damaged {kind}: {error}") from error


def _decoder(source: Source) -> tuple[str, Decode]:
    """The name of the format and what decodes it. Raises InputError if it is not known."""
    start = source[:16]
    if start.startswith((b"II*\0", b"MM\0*")):
        is_raw = Path(source.name).suffix.lower() in SUFFIXES["raw"] or is_raw_tiff(source)
        return ("camera raw file", decode_raw) if is_raw else ("TIFF", decode_tiff)
    for begins, at, kind, decode in SIGNATURES:
        if start[at : at + len(begins)] == begins:
            return kind, decode
    known = (words for begins, words in REFUSED.items() if start.startswith(begins))
    kind = next(known, "not a photo in a known format")
    raise InputError(
        f"{source.name} is {kind}",
        why="JPEG, PNG, TIFF, WebP, AVIF, BMP, JPEG 2000, HEIC and camera raw can be restored",
        fix="export it as a 16-bit TIFF or as a JPEG",
    )
