"""Width and height in EXIF follow the pixels, also where the interoperability directory says them.

The tags are read back by exifread.
"""

from __future__ import annotations

import io

import exifread
import numpy as np
import pytest

from defocusfix.photo import ifd
from defocusfix.photo.metadata import true_exif

TURNED = np.zeros((64, 48, 3), np.uint8)  # of a photo of 64 x 48


def _long(tag: int, value: int, order: str, directory: tuple[ifd.Entry, ...] = ()) -> ifd.Entry:
    packed = value.to_bytes(4, "little" if order == "<" else "big")
    return ifd.Entry(tag, ifd.LONG, 1, packed, directory)


def _exif(order: str) -> bytes:
    """EXIF of a photo of 64 x 48 that says so in the Exif and the interoperability directory."""
    related = (
        ifd.Entry(1, ifd.ASCII, 4, b"R98\0"),
        _long(4097, 64, order),
        _long(4098, 48, order),
    )
    inner = (
        _long(40962, 64, order),
        _long(40963, 48, order),
        _long(ifd.INTEROPERABILITY_POINTER, 0, order, related),
    )
    return ifd.pack_block((_long(ifd.EXIF_POINTER, 0, order, inner),), order)


def _numbers(exif: bytes) -> dict[str, list[int]]:
    found = exifread.process_file(io.BytesIO(exif), details=True)
    return {name.split()[-1]: tag.values for name, tag in found.items()}


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_related_size_in_the_interoperability_directory_is_made_true(order):
    exif = _exif(order)
    assert _numbers(exif)["RelatedImageWidth"] == [64]
    found = _numbers(true_exif(exif, TURNED))
    assert (found["RelatedImageWidth"], found["RelatedImageLength"]) == ([48], [64])
    assert (found["ExifImageWidth"], found["ExifImageLength"]) == ([48], [64])
    assert found["InteroperabilityIndex"] == "R98"


def test_a_broken_interoperability_directory_keeps_nothing_else_from_being_made_true():
    exif = bytearray(_exif("<"))
    (inner,) = ifd.places(exif, ifd.first_directory(exif))
    for place in ifd.places(exif, ifd.integer_at(exif, inner)):
        if place.tag == ifd.INTEROPERABILITY_POINTER:
            ifd.set_integer(exif, place, len(exif) + 5)
    found = _numbers(true_exif(bytes(exif), TURNED))
    assert (found["ExifImageWidth"], found["ExifImageLength"]) == ([48], [64])
