"""Metadata with less in it, for photos that are published."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from defocusfix.photo import ifd

Policy: TypeAlias = Literal["keep", "minimal", "none"]

# Orientation, date, author and copyright; the dates of taking and their fractions and time zones;
# the colour space, without which the colours would be another's.
MINIMAL_TAGS = frozenset(
    {274, 306, 315, 33432, 36867, 36868, 36880, 36881, 36882, 37520, 37521, 37522, 40961}
)
# Whoever's property it is: EXIF's own, or one that a drone or a phone adds under a name of its own.
_XMP_PLACE = re.compile(
    rb"(?<=\s)[\w.-]+:GPS[\w.-]*\s*=\s*(?:\"[^\"]*\"|'[^']*')"
    rb"|<([\w.-]+:GPS[\w.-]*)(?=[\s/>])[^<>]*(?:/>|>[^<>]*</\1\s*>)",
    re.IGNORECASE,
)


def exif_without_place(exif: bytes) -> bytes:
    """EXIF without the GPS directory, nothing else changed; a broken block is cut to nothing."""
    try:
        return ifd.without_tag(exif, ifd.GPS_POINTER)
    except ifd.BrokenTagsError:
        return ifd.pack_block((), "<")


def xmp_without_place(xmp: bytes) -> bytes:
    """XMP without its GPS properties."""
    return _XMP_PLACE.sub(b"", xmp)


def minimal_exif(exif: bytes) -> bytes | None:
    """EXIF of date, author, copyright and colour space; None if nothing of it is there."""
    try:
        order = ifd.layout_of(exif).order
        entries = ifd.read_directory(exif, ifd.first_directory(exif))
    except ifd.BrokenTagsError:
        return None
    kept = []
    for entry in entries:
        if entry.tag == ifd.EXIF_POINTER:
            inner = tuple(tag for tag in entry.directory if tag.tag in MINIMAL_TAGS)
            if inner:
                kept.append(ifd.Entry(entry.tag, entry.kind, 1, entry.value, inner))
        elif entry.tag in MINIMAL_TAGS:
            kept.append(entry)
    return ifd.pack_block(tuple(kept), order) if kept else None
