"""A photo that is read and written again, with other programs looking at the result."""

from __future__ import annotations

import io
import struct

import exifread
import numpy as np
import pytest
import tifffile
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from defocusfix.photo.coding import BmpCoding, Jpeg2000Coding, PngCoding, TiffCoding, WebpCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.photo.write import encode_photo
from tests.photo import sample_files as samples

LOSSLESS = {
    "8-bit PNG": samples.png(samples.scene()),
    "8-bit gray PNG": samples.png(samples.scene(channels=1)),
    "8-bit PNG with alpha": samples.png(samples.scene(channels=4)),
    "8-bit TIFF": samples.tiff(samples.scene()),
    "16-bit TIFF": samples.tiff(samples.scene(bits=16)),
    "16-bit gray TIFF": samples.tiff(samples.scene(channels=1, bits=16)),
    "16-bit Deflate TIFF": samples.tiff(samples.scene(bits=16), compression="zlib", predictor=True),
    "16-bit big-endian TIFF": samples.tiff(samples.scene(bits=16), byteorder=">"),
    "16-bit TIFF with alpha": samples.tiff(
        samples.scene(channels=4, bits=16), extrasamples=["unassalpha"]
    ),
    "16-bit TIFF in planes": samples.tiff(
        np.moveaxis(samples.scene(bits=16), 2, 0), planarconfig="separate"
    ),
    "tiled 8-bit TIFF": samples.tiff(samples.scene(), tile=(16, 16)),
    "lossless WebP": samples.webp(samples.scene(channels=4), lossless=True, exact=True),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_photo_without_loss_keeps_every_value(kind):
    photo = read_photo(LOSSLESS[kind], name="photo")
    again = read_photo(encode_photo(photo), name="photo")
    assert again.pixels.dtype == photo.pixels.dtype
    assert np.array_equal(again.pixels, photo.pixels)
    assert (again.alpha is None) == (photo.alpha is None)
    assert photo.alpha is None or np.array_equal(again.alpha, photo.alpha)
    assert again.coding == photo.coding


def test_16_bit_colour_is_read_as_it_was_made():
    image = samples.scene(bits=16)
    assert len(np.unique(image)) > 256
    assert np.array_equal(read_photo(samples.tiff(image), name="photo").pixels, image)
    png = encode_photo(Photo(pixels=image, coding=PngCoding()))
    assert np.array_equal(read_photo(png, name="photo").pixels, image)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3]),
    has_alpha=st.booleans(),
    bits=st.sampled_from([8, 16]),
    coding=st.sampled_from(
        [PngCoding(), BmpCoding(), Jpeg2000Coding(), WebpCoding(is_lossless=True)]
    ),
    seed=st.integers(0, 99),
)
def test_formats_without_loss_keep_any_pixels(
    height, width, channels, has_alpha, bits, coding, seed
):
    if isinstance(coding, Jpeg2000Coding):  # has a smallest size
        height, width = height + 31, width + 31
    assume(bits == 8 or isinstance(coding, PngCoding | Jpeg2000Coding))
    assume(channels == 3 or isinstance(coding, PngCoding) or not has_alpha)
    assume(channels == 3 or not isinstance(coding, WebpCoding))
    rng = np.random.default_rng(seed)
    shape, dtype = (height, width, channels + has_alpha), f"uint{bits}"
    values = rng.integers(0, 2**bits, shape, dtype=dtype)
    photo = Photo(
        pixels=values[:, :, :channels],
        alpha=values[:, :, -1] if has_alpha else None,
        coding=coding,
    )
    again = read_photo(encode_photo(photo), name="photo")
    assert np.array_equal(again.pixels, photo.pixels)
    assert not has_alpha or np.array_equal(again.alpha, photo.alpha)


@pytest.mark.parametrize(("kind", "file"), LOSSLESS.items())
def test_what_we_write_others_read(kind, file):
    photo = read_photo(file, name="photo")
    written = encode_photo(photo)
    if isinstance(photo.coding, TiffCoding):
        with tifffile.TiffFile(io.BytesIO(written)) as tiff:
            assert len(tiff.pages) == 1
            values = tiff.asarray()
            assert tiff.byteorder == (">" if photo.coding.is_big_endian else "<")
    elif photo.bits == 8:
        values = np.asarray(Image.open(io.BytesIO(written)))
    else:
        return
    colours = values[:, :, None] if values.ndim == 2 else values[:, :, : photo.pixels.shape[2]]
    assert np.array_equal(colours, photo.pixels)


WITH_METADATA = {
    "JPEG": samples.jpeg(
        samples.scene(), exif=samples.exif(), icc_profile=samples.PROFILE, xmp=samples.XMP
    ),
    "PNG": samples.png(samples.scene(), exif=samples.exif(), icc_profile=samples.PROFILE),
    "WebP": samples.webp(
        samples.scene(), exif=samples.exif(), icc_profile=samples.PROFILE, xmp=samples.XMP
    ),
    "TIFF": samples.tiff_with_exif(samples.scene()),
}


@pytest.mark.parametrize("kind", WITH_METADATA)
def test_profile_exif_and_gps_are_there_afterwards(kind):
    file = WITH_METADATA[kind]
    written = encode_photo(read_photo(file, name="photo"))
    before, after = Image.open(io.BytesIO(file)), Image.open(io.BytesIO(written))
    assert after.format == before.format
    assert after.info["icc_profile"] == samples.PROFILE
    for directory in (0x8769, 0x8825):
        old, new = before.getexif().get_ifd(directory), after.getexif().get_ifd(directory)
        assert old
        assert new == old
    assert after.info.get("xmp") == before.info.get("xmp")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exifread_sees_the_same_tags_before_and_after(kind):
    file = WITH_METADATA[kind]
    before = exifread.process_file(io.BytesIO(file), details=False)
    written = encode_photo(read_photo(file, name="photo"))
    after = exifread.process_file(io.BytesIO(written), details=False)
    telling = [tag for tag in before if tag.startswith(("EXIF", "GPS", "Image Make"))]
    assert len(telling) >= 5
    for tag in telling:
        assert str(after[tag]) == str(before[tag])


def test_tiff_keeps_resolution_copyright_and_unknown_tags():
    file = samples.tiff(
        samples.scene(bits=16),
        resolution=(300, 300),
        resolutionunit="inch",
        extratags=[(33432, 2, 0, "Somebody", True), (65000, 4, 2, (7, 8), True)],
    )
    written = encode_photo(read_photo(file, name="photo"))
    with tifffile.TiffFile(io.BytesIO(written)) as tiff:
        tags = tiff.pages.first.tags
        assert tags["XResolution"].value == (300, 1)
        assert tags["Copyright"].value == "Somebody"
        assert tags[65000].value == (7, 8)


def test_png_keeps_texts_and_density():
    text = samples.png_chunk(b"tEXt", b"Author\0Somebody")
    density = samples.png_chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1))
    file = samples.png(samples.scene())
    end_of_header = 8 + 25
    file = file[:end_of_header] + density + text + file[end_of_header:]
    after = Image.open(io.BytesIO(encode_photo(read_photo(file, name="photo"))))
    assert after.text["Author"] == "Somebody"
    assert round(after.info["dpi"][0]) == 300


def test_lossy_webp_stays_lossy_and_lossless_stays_lossless():
    for is_lossless in (True, False):
        photo = read_photo(samples.webp(samples.scene(), lossless=is_lossless), name="photo")
        assert photo.coding == WebpCoding(is_lossless=is_lossless)
        assert read_photo(encode_photo(photo), name="photo").coding == photo.coding


def test_palette_pictures_become_full_colour():
    image = Image.fromarray(samples.scene()).quantize(16)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    photo = read_photo(buffer.getvalue(), name="photo")
    assert np.array_equal(photo.pixels, np.asarray(image.convert("RGB")))
