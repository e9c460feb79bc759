from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from defocusfix.photo.coding import PngCoding
from defocusfix.photo.metadata import upright_xmp
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.photo.write import encode_photo
from tests.photo import sample_files as samples

WRITERS = {
    "JPEG": samples.jpeg,
    "PNG": samples.png,
    "WebP": samples.webp,
    "AVIF": samples.avif,
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", WRITERS)
def test_photos_are_turned_as_pillow_turns_them(kind, orientation):
    file = WRITERS[kind](samples.scene(), exif=samples.exif(orientation=orientation))
    photo = read_photo(file, name="photo")
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    assert np.array_equal(photo.pixels, np.asarray(upright))

    tags = Image.open(io.BytesIO(encode_photo(photo))).getexif()
    assert tags.get(0x0112, 1) == 1
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
    photo = read_photo(file, name="photo")
    assert np.array_equal(np.round(photo.pixels / 257), np.asarray(upright))
    assert read_photo(encode_photo(photo), name="photo").pixels.shape == photo.pixels.shape


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
    photo = read_photo(samples.jpeg(samples.scene(), exif=broken), name="photo")
    assert photo.pixels.shape == (48, 64, 3)
    assert photo.exif == broken


def test_width_and_height_in_xmp_become_true():
    xmp = b'tiff:ImageWidth="48" exif:PixelYDimension="64"'
    photo = Photo(pixels=np.zeros((4, 6, 3), np.uint8), coding=PngCoding(), xmp=xmp)
    again = read_photo(encode_photo(photo))
    assert again.xmp == b'tiff:ImageWidth="6" exif:PixelYDimension="4"'
