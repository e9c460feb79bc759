"""Metadata carried as bytes: only what the upright pixels make untrue is changed, in place.

Nothing moves inside an EXIF block, so maker notes keep the positions they refer to.
"""

from __future__ import annotations

import re
import struct

import numpy as np

from defocusfix.photo import ifd
from defocusfix.photo.photo import Pixels

ORIENTATION = 274
WIDTH_TAGS, HEIGHT_TAGS = (256, 40962), (257, 40963)  # in the image and in the Exif directory
TURNED_SIDEWAYS = frozenset({5, 6, 7, 8})

# Both spellings of the property; only the digit is replaced, so no length changes.
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>\s*))[2-8](?=\s*[\"'<])")


def orientation_of(exif: bytes | None) -> int:
    """How the stored pixels must be turned, 1 to 8 as EXIF counts; 1 if nothing is said."""
    if exif is None:
        return 1
    try:
        for place in ifd.places(exif, ifd.first_directory(exif)):
            if place.tag == ORIENTATION:
                value = ifd.inline_integer(exif, place)
                return value if 1 <= value <= 8 else 1
    except ifd.BrokenTagsError:
        return 1
    return 1


def turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels (H, W) or (H, W, C) as they should be seen. Source: Exif 2.32, tag Orientation."""
    if orientation in TURNED_SIDEWAYS:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def upright_exif(exif: bytes, *, height: int, width: int) -> bytes:
    """EXIF for upright pixels of this size: orientation 1, true size, old thumbnail unlinked.

    A block whose directories are broken comes back as it was.
    """
    block = bytearray(exif)
    try:
        first = ifd.first_directory(block)
        for place in ifd.places(block, first):
            if place.tag == ifd.EXIF_POINTER:
                for inner in ifd.places(block, ifd.inline_integer(block, place)):
                    _correct(block, inner, height=height, width=width)
            else:
                _correct(block, place, height=height, width=width)
        thumbnail = ifd.next_pointer(block, first)
        if thumbnail + 4 <= len(block):
            struct.pack_into("I", block, thumbnail, 0)
    except (ifd.BrokenTagsError, struct.error):
        return exif
    return bytes(block)


def upright_xmp(xmp: bytes) -> bytes:
    """XMP for upright pixels: an orientation in it becomes 1."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def _correct(block: bytearray, place: ifd.Place, *, height: int, width: int) -> None:
    if place.tag == ORIENTATION:
        ifd.set_inline_integer(block, place, 1)
    elif place.tag in WIDTH_TAGS:
        ifd.set_inline_integer(block, place, width)
    elif place.tag in HEIGHT_TAGS:
        ifd.set_inline_integer(block, place, height)
