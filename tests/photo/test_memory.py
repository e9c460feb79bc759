"""A photo of 100 megapixels and 16 bits takes 600 MB; a second copy of it must not."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from defocusfix.photo.coding import BmpCoding, PngCoding, TiffCoding
from defocusfix.photo.jpeg import jpeg_coding
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.photo.write import write_photo

CODINGS = {
    # name: dtype, coding, most copies while reading (the photo included), and while writing
    "TIFF": (np.uint16, TiffCoding(), 1.1, 0.1),
    "big-endian TIFF": (np.uint16, TiffCoding(is_big_endian=True), 1.1, 0.2),
    "BigTIFF": (np.uint16, TiffCoding(is_big=True), 1.1, 0.1),
    "TIFF of floating point": (np.float32, TiffCoding(), 1.1, 0.1),
    "Deflate TIFF": (np.uint16, TiffCoding(compression="deflate"), 1.5, 0.5),
    "PNG": (np.uint16, PngCoding(), 2, 1),
    "JPEG": (np.uint8, jpeg_coding(90), 2, 0.5),
    "BMP": (np.uint8, BmpCoding(), 3, 0.3),
}


def _peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        kept = work()
        del kept
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", CODINGS)
def test_a_large_photo_is_in_memory_about_once(kind, tmp_path):
    dtype, coding, copies_reading, copies_writing = CODINGS[kind]
    ramp = np.linspace(0, 1 if dtype == np.float32 else np.iinfo(dtype).max, 2000)
    pixels = np.empty((1500, 2000, 3), dtype)
    pixels[:] = ramp[:, None]
    photo = Photo(pixels, coding)
    path = tmp_path / "photo"
    write_photo(photo.cropped(0, 0, 8, 8), tmp_path / "first")  # imports what is needed
    read_photo(tmp_path / "first")

    assert _peak(lambda: write_photo(photo, path)) < copies_writing * pixels.nbytes
    assert _peak(lambda: read_photo(path)) < copies_reading * pixels.nbytes
