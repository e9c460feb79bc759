from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from defocusfix.photo.metadata import upright_xmp
from defocusfix.photo.read import decode_photo
from defocusfix.photo.write import encode_photo
from tests.photo import sample_files as samples

WRITERS = {"JPEG": samples.jpeg, "PNG": samples.png, "WebP": samples.webp}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", WRITERS)
def test_photos_are_turned_as_pillow_turns_them(kind, orientation):
    file = WRITERS[kind](samples.scene(), exif=samples.exif(orientation=orientation))
    photo = decode_photo(file, "photo")
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    assert np.array_equal(photo.pixels, np.asarray(upright))

    tags = Image.open(io.BytesIO(encode_photo(photo))).getexif()
    assert tags[0x0112] == 1
    inner = tags.get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003]) == upright.size
    assert inner[0x927C] == b"maker note \x00\x01\x02"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiffs_are_turned_too(orientation):
    file = samples.tiff(samples.scene(bits=16), extratags=[(274, 3, 1, orientation, True)])
    upright = ImageOps.exif_transpose(
        Image.open(
            io.BytesIO(samples.png(samples.scene(), exif=samples.exif(orientation=orientation)))
        )
    )
    photo = decode_photo(file, "photo")
    assert np.array_equal(np.round(photo.pixels / 257), np.asarray(upright))
    assert decode_photo(encode_photo(photo), "photo").pixels.shape == photo.pixels.shape


def test_the_thumbnail_of_the_old_pixels_is_unlinked():
    tags = Image.Exif()
    tags.load(b"Exif\0\0" + samples.exif())
    block = bytearray(samples.exif())
    order = "little" if block[:2] == b"II" else "big"
    first = int.from_bytes(block[4:8], order)
    n_tags = int.from_bytes(block[first : first + 2], order)
    pointer = first + 2 + 12 * n_tags
    block[pointer : pointer + 4] = first.to_bytes(4, order)  # any directory will do
    photo = decode_photo(samples.jpeg(samples.scene(), exif=bytes(block)), "photo")
    assert photo.exif[pointer : pointer + 4] == bytes(4)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'tiff:Orientation="6"', b'tiff:Orientation="1"'),
        (b"<tiff:Orientation>8</tiff:Orientation>", b"<tiff:Orientation>1</tiff:Orientation>"),
        (b'exif:Orientation="6"', b'exif:Orientation="6"'),
    ],
)
def test_an_orientation_in_xmp_becomes_upright(before, after):
    assert upright_xmp(before) == after


def test_broken_exif_is_carried_and_read_as_upright():
    broken = b"MM\0*" + b"\xff" * 40
    photo = decode_photo(samples.jpeg(samples.scene(), exif=broken), "photo")
    assert photo.pixels.shape == (48, 64, 3)
    assert photo.exif == broken
