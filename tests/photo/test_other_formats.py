"""AVIF, BMP and JPEG 2000."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from defocusfix.errors import InputError, OutputError
from defocusfix.photo.coding import AvifCoding, BmpCoding, Jpeg2000Coding, WebpCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.photo.write import encode_photo, write_photo
from tests.photo import sample_files as samples

JPEG2000 = {
    f"{bits} bits, {channels} channels": samples.scene(channels=channels, bits=bits)
    for bits in (8, 16)
    for channels in (1, 3, 4)
}


@pytest.mark.parametrize("kind", JPEG2000)
def test_jpeg_2000_keeps_every_value(kind):
    image = JPEG2000[kind]
    photo = read_photo(samples.jpeg2000(image))
    again = read_photo(encode_photo(photo))
    for read in (photo, again):
        assert np.array_equal(read.pixels, image[:, :, :3])
        assert image.shape[2] != 4 or np.array_equal(read.alpha, image[:, :, 3])
    assert again.coding == photo.coding


def test_jpeg_2000_keeps_profile_exif_xmp_and_iptc_and_others_read_it():
    photo = Photo(
        samples.scene(),
        Jpeg2000Coding(),
        icc_profile=samples.PROFILE,
        exif=samples.exif(),
        xmp=samples.XMP,
        iptc=b"\x1c\x02\x05\x00\x04Name",
    )
    file = encode_photo(photo)
    again = read_photo(file)
    assert (again.icc_profile, again.exif) == (photo.icc_profile, photo.exif)
    assert (again.xmp, again.iptc) == (photo.xmp, photo.iptc)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(file))), photo.pixels)
    assert encode_photo(again) == file


def test_a_photo_too_small_for_the_encoder_of_jpeg_2000_is_refused(tmp_path):
    photo = Photo(samples.scene(31, 64), Jpeg2000Coding())
    with pytest.raises(OutputError, match="64 x 31"):
        write_photo(photo, tmp_path / "photo.jp2")
    assert list(tmp_path.iterdir()) == []


def test_what_an_encoder_refuses_is_told_in_words():
    with pytest.raises(OutputError, match="WEBP"):
        encode_photo(Photo(np.zeros((1, 20_000, 3), np.uint8), WebpCoding()))


def test_a_bare_codestream_stays_one():
    boxed = samples.jpeg2000(samples.scene())
    stream = boxed[boxed.index(b"\xff\x4f\xff\x51") :]
    photo = read_photo(stream)
    assert photo.coding == Jpeg2000Coding(is_bare_stream=True)
    written = encode_photo(photo)
    assert written.startswith(b"\xff\x4f\xff\x51")
    assert np.array_equal(read_photo(written).pixels, samples.scene())


@pytest.mark.parametrize("channels", [1, 3])
def test_bmp_keeps_every_value_and_its_density(channels):
    image = samples.scene(37, 51, channels=channels)
    photo = read_photo(samples.bmp(image))
    assert photo.coding == BmpCoding(pixels_per_metre=(11811, 11811))
    written = encode_photo(photo)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(written))).reshape(image.shape), image)
    again = read_photo(written)
    assert again.coding == photo.coding
    assert np.array_equal(again.pixels, image)


def test_a_bmp_keeps_its_alpha():
    image = samples.scene(37, 51, channels=4)
    written = encode_photo(Photo(image[:, :, :3], BmpCoding(), alpha=image[:, :, 3]))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(written))), image)
    assert np.array_equal(read_photo(written).alpha, image[:, :, 3])


def _bmp_with(at: int, letters: str, *numbers: int) -> bytes:
    """A BMP whose header says something else from byte `at` on."""
    image = samples.scene(37, 51, channels=4)
    written = bytearray(encode_photo(Photo(image[:, :, :3], BmpCoding(), alpha=image[:, :, 3])))
    struct.pack_into(letters, written, at, *numbers)
    return bytes(written)


UNUSUAL_BMPS = {
    "2 bits": _bmp_with(28, "<HI", 2, 0),
    "a JPEG inside": _bmp_with(28, "<HI", 0, 4),
    "masks with alpha": _bmp_with(30, "<I", 6),
    "channels in unusual places": _bmp_with(54, "<4I", 0xFF00, 0xFF, 0xFF0000, 0),
    "16 bits, four each": _bmp_with(28, "<HI", 16, 3),
    "a short header of OS/2": _bmp_with(14, "<I", 16),
}
DAMAGED_BMPS = {
    "30000 bits": _bmp_with(28, "<H", 30_000),
    "a header of 66 bytes": _bmp_with(14, "<I", 66),
    "compression 99": _bmp_with(30, "<I", 99),
    "cut off": _bmp_with(28, "<H", 32)[:-300],
}


@pytest.mark.parametrize("kind", UNUSUAL_BMPS)
def test_a_sound_bmp_of_an_unusual_kind_is_not_called_damaged_and_gets_advice(kind):
    with pytest.raises(InputError, match=r"photo\.bmp is a BMP of a kind") as refusal:
        read_photo(UNUSUAL_BMPS[kind], name="photo.bmp")
    assert "PNG or TIFF" in refusal.value.fix


@pytest.mark.parametrize("kind", DAMAGED_BMPS)
def test_a_bmp_that_says_what_none_may_is_called_damaged(kind):
    with pytest.raises(InputError, match="damaged BMP"):
        read_photo(DAMAGED_BMPS[kind], name="photo.bmp")


def test_a_profile_in_a_bmp_is_kept():
    photo = Photo(samples.scene(), BmpCoding(), icc_profile=samples.PROFILE)
    written = encode_photo(photo)
    assert read_photo(written).icc_profile == samples.PROFILE
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(written))), photo.pixels)


@pytest.mark.parametrize("depth", [10, 12])
def test_deep_avif_keeps_depth_values_and_metadata(depth):
    image = samples.scene(bits=16)
    photo = read_photo(samples.deep_avif(image, depth=depth))
    assert isinstance(photo.coding, AvifCoding)
    assert (photo.coding.depth, photo.bits) == (depth, 16)
    assert np.abs(photo.pixels.astype(int) - image).max() < 2 ** (16 - depth)

    fuller = Photo(
        photo.pixels,
        photo.coding,
        icc_profile=samples.PROFILE,
        exif=samples.exif(),
        xmp=samples.XMP,
    )
    again = read_photo(encode_photo(fuller))
    assert np.array_equal(again.pixels, photo.pixels)
    assert again.coding == photo.coding
    assert (again.icc_profile, again.exif) == (fuller.icc_profile, fuller.exif)
    assert again.xmp == fuller.xmp


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_avif_keeps_its_subsampling_and_nearly_its_values(channels, subsampling):
    image = samples.scene(channels=channels)
    source = image[:, :, 0] if channels == 1 else image
    options = {} if channels == 1 else {"subsampling": subsampling}
    photo = read_photo(samples.avif(source, quality=90, **options))
    assert photo.coding.subsampling == ("4:0:0" if channels == 1 else subsampling)
    again = read_photo(encode_photo(photo))
    assert again.coding == photo.coding
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 2
    assert channels != 4 or np.abs(again.alpha.astype(int) - image[:, :, 3]).mean() < 2


@pytest.mark.parametrize("depth", [8, 10])
def test_avif_keeps_the_codes_that_say_what_its_colours_mean(depth):
    image = samples.scene(bits=16)
    file = samples.avif(samples.scene()) if depth == 8 else samples.deep_avif(image)
    at = file.index(b"colrnclx") + 8
    rec_2100 = (9).to_bytes(2, "big") + (16).to_bytes(2, "big")
    photo = read_photo(file[:at] + rec_2100 + file[at + 4 :])
    assert photo.colour_codes == (9, 16)
    assert read_photo(encode_photo(photo)).colour_codes == (9, 16)
