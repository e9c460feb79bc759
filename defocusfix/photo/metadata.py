"""Metadata carried as bytes: only what new pixels make untrue is changed, in place.

Nothing moves inside an EXIF block, so maker notes keep the positions they refer to.
"""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from dataclasses import replace
from io import BytesIO

import numpy as np
from PIL import Image

from defocusfix.photo import ifd
from defocusfix.photo.pixels import Pixels, with_depth

ORIENTATION, THUMBNAIL, THUMBNAIL_BYTES = 274, 513, 514
MAKER_NOTE = 37500
# In the image, in the Exif and in the interoperability directory.
WIDTH_TAGS, HEIGHT_TAGS = (256, 40962, 4097), (257, 40963, 4098)
THUMBNAIL_SIZE = 160  # pixels of the longer side; Exif 2.32, 4.5.5
THUMBNAIL_QUALITIES = (85, 70, 50, 30)  # the first that fits where the old one was

# Both spellings of the property; only the digit is replaced, so no length changes.
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>\s*))[2-8](?=\s*[\"'<])")
_XMP_NUMBERS = {
    "width": re.compile(
        rb"((?:tiff:ImageWidth|exif:PixelXDimension)(?:\s*=\s*[\"']|>\s*))\d+(?=\s*[\"'<])"
    ),
    "height": re.compile(
        rb"((?:tiff:ImageLength|exif:PixelYDimension)(?:\s*=\s*[\"']|>\s*))\d+(?=\s*[\"'<])"
    ),
}


def orientation_of(exif: bytes | None) -> int:
    """How the stored pixels must be turned, 1 to 8 as EXIF counts; 1 if nothing is said."""
    if exif is None:
        return 1
    try:
        for place in ifd.places(exif, ifd.first_directory(exif)):
            if place.tag == ORIENTATION:
                value = ifd.integer_at(exif, place)
                return value if 1 <= value <= 8 else 1
    except ifd.BrokenTagsError:
        return 1
    return 1


def upright_exif(exif: bytes) -> bytes:
    """EXIF for upright pixels: orientation 1. A broken block comes back as it was."""
    block = bytearray(exif)
    try:
        for place in ifd.places(block, ifd.first_directory(block)):
            if place.tag == ORIENTATION:
                ifd.set_integer(block, place, 1)
    except ifd.BrokenTagsError:
        return exif
    return bytes(block)


def without_orientation(exif: bytes) -> bytes:
    """EXIF of the same length with no word on how to turn the photo."""
    try:
        return ifd.without_tag(exif, ORIENTATION)
    except ifd.BrokenTagsError:
        return exif


def exif_within(exif: bytes, n_bytes: int) -> bytes | None:
    """EXIF of at most `n_bytes`, with as much of it as fits.

    A block that is too large loses its thumbnail and what else is dead weight, then the maker
    note; None if that is not enough, or it is broken.
    """
    if len(exif) <= n_bytes:
        return exif
    try:
        order = ifd.layout_of(exif).order
        entries = ifd.read_directory(exif, ifd.first_directory(exif))
    except ifd.BrokenTagsError:
        return None
    for smaller in (entries, _without_maker_note(entries)):
        block = ifd.pack_block(smaller, order)
        if len(block) <= n_bytes:
            return block
    return None


def is_readable(exif: bytes) -> bool:
    """Whether the directories of an EXIF block can be followed."""
    try:
        ifd.read_directory(exif, ifd.first_directory(exif))
    except ifd.BrokenTagsError:
        return False
    return True


def xmp_within(xmp: bytes, n_bytes: int) -> bytes | None:
    """XMP of at most `n_bytes`, without its padding if need be; None if that is not enough."""
    trailer = xmp.rfind(b"<?xpacket end")
    if len(xmp) > n_bytes and trailer > 0:
        xmp = xmp[:trailer].rstrip() + b"\n" + xmp[trailer:]
    return xmp if len(xmp) <= n_bytes else None


def upright_xmp(xmp: bytes) -> bytes:
    """XMP for upright pixels: an orientation in it becomes 1."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def true_exif(exif: bytes, pixels: Pixels) -> bytes:
    """EXIF that is true for `pixels`: its width and height, and a thumbnail of them.

    A thumbnail that was there is replaced where it stands, or taken out if it is of a kind that
    cannot be. A block whose directories are broken comes back as it was.
    """
    block = bytearray(exif)
    try:
        first = ifd.first_directory(block)
        for place in ifd.places(block, first):
            if place.tag == ifd.EXIF_POINTER:
                _correct_exif(block, ifd.integer_at(block, place), pixels)
            else:
                _correct_size(block, place, pixels)
        position = ifd.next_pointer(block, first)
        if ifd.next_directory(block, first) and not _replace_thumbnail(block, first, pixels):
            struct.pack_into("I", block, position, 0)
    except (ifd.BrokenTagsError, struct.error):
        return exif
    return bytes(block)


def true_xmp(xmp: bytes, pixels: Pixels) -> bytes:
    """XMP that is true for `pixels`: its width and height where they are said."""
    for name, size in (("height", pixels.shape[0]), ("width", pixels.shape[1])):
        xmp = _XMP_NUMBERS[name].sub(rb"\g<1>%d" % size, xmp)
    return xmp


def _without_maker_note(entries: tuple[ifd.Entry, ...]) -> tuple[ifd.Entry, ...]:
    return tuple(
        replace(entry, directory=_without_maker_note(entry.directory))
        for entry in entries
        if entry.tag != MAKER_NOTE
    )


def _correct_exif(block: bytearray, position: int, pixels: Pixels) -> None:
    """Correct the Exif directory at `position`, and the interoperability directory it names."""
    for place in ifd.places(block, position):
        if place.tag == ifd.INTEROPERABILITY_POINTER:
            with suppress(ifd.BrokenTagsError):  # the rest can be made true without it
                for inner in ifd.places(block, ifd.integer_at(block, place)):
                    _correct_size(block, inner, pixels)
        else:
            _correct_size(block, place, pixels)


def _correct_size(block: bytearray, place: ifd.Place, pixels: Pixels) -> None:
    with suppress(ifd.BrokenTagsError):  # a tag of another kind, or too small for the number
        if place.tag in WIDTH_TAGS:
            ifd.set_integer(block, place, pixels.shape[1])
        elif place.tag in HEIGHT_TAGS:
            ifd.set_integer(block, place, pixels.shape[0])


def _replace_thumbnail(block: bytearray, first: int, pixels: Pixels) -> bool:
    """Put a picture of `pixels` in the place of the JPEG thumbnail; False if there is none."""
    tags = {place.tag: place for place in ifd.places(block, ifd.next_directory(block, first))}
    if THUMBNAIL not in tags or THUMBNAIL_BYTES not in tags:
        return False
    position = ifd.integer_at(block, tags[THUMBNAIL])
    room = ifd.integer_at(block, tags[THUMBNAIL_BYTES])
    if position + room > len(block):
        return False
    picture = _small_picture(pixels)
    for quality in THUMBNAIL_QUALITIES:
        encoded = BytesIO()
        picture.save(encoded, "JPEG", quality=quality, optimize=True)
        thumbnail = encoded.getvalue()
        if len(thumbnail) <= room:
            block[position : position + room] = thumbnail.ljust(room, b"\0")
            ifd.set_integer(block, tags[THUMBNAIL_BYTES], len(thumbnail))
            if ORIENTATION in tags:
                ifd.set_integer(block, tags[ORIENTATION], 1)
            for tag, size in ((256, picture.width), (257, picture.height)):
                if tag in tags:
                    ifd.set_integer(block, tags[tag], size)
            return True
    return False


def _small_picture(pixels: Pixels) -> Image.Image:
    """An 8-bit picture with a longer side of `THUMBNAIL_SIZE` pixels, or less for a small photo."""
    step = max(1, max(pixels.shape[:2]) // (4 * THUMBNAIL_SIZE))
    coarse = with_depth(np.ascontiguousarray(pixels[::step, ::step]), np.uint8)
    picture = Image.fromarray(coarse if coarse.shape[2] == 3 else coarse[:, :, 0])
    picture.thumbnail((THUMBNAIL_SIZE, THUMBNAIL_SIZE))
    return picture
