from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from defocusfix.errors import OutputError
from defocusfix.photo.coding import (
    AvifCoding,
    HeicCoding,
    JpegCoding,
    PngCoding,
    RawCoding,
    TiffCoding,
    WebpCoding,
)
from defocusfix.photo.convert import DTYPES, TARGETS, WRITTEN_AS, converted
from defocusfix.photo.jpeg import jpeg_coding
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.photo.suffixes import SUFFIXES, format_of
from defocusfix.photo.write import encode_photo
from tests.photo import sample_files as samples

EXACT = [target for target in TARGETS if target not in ("jpeg", "webp", "avif")]
SOURCES = {
    "a JPEG": samples.jpeg(samples.scene(), exif=samples.canon_exif(), xmp=samples.XMP),
    "a gray JPEG": samples.jpeg(samples.scene(channels=1), exif=samples.canon_exif()),
    "a TIFF of 16 bits": samples.tiff(samples.scene(bits=16), iccprofile=samples.PROFILE),
    "a TIFF of floating point": samples.tiff((samples.scene(bits=16) / 65535).astype(np.float32)),
    "a PNG with alpha": samples.png(samples.scene(channels=4), icc_profile=samples.PROFILE),
    "an AVIF": samples.avif(samples.scene(), exif=samples.exif(), icc_profile=samples.PROFILE),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", SOURCES)
def test_everything_becomes_everything_and_looks_the_same(kind, target):
    photo = read_photo(SOURCES[kind])
    if kind == "a PNG with alpha" and target == "jpeg":
        return
    again = read_photo(encode_photo(converted(photo, target).signed("defocusfix")))
    assert again.pixels.dtype == DTYPES.get(target, "uint8")
    difference = np.abs(again.to_float() - photo.to_float())
    assert difference.mean() < (0.003 if target in EXACT else 0.02)
    assert again.icc_profile == photo.icc_profile
    assert (again.alpha is None) == (photo.alpha is None)
    if photo.exif is not None:
        before, after = (Image.Exif() for _ in range(2))
        before.load(b"Exif\0\0" + photo.exif)
        after.load(b"Exif\0\0" + again.exif)
        assert dict(after.get_ifd(0x8825)) == dict(before.get_ifd(0x8825))
        assert after.get_ifd(0x8769).get(0x927C) == before.get_ifd(0x8769).get(0x927C)
        assert after[0x0131] == "defocusfix"


def test_the_depth_goes_up_exactly_and_down_to_the_nearest():
    photo = read_photo(samples.png(samples.scene()))
    assert np.array_equal(converted(photo, "png16").pixels, samples.scene().astype(int) * 257)
    deep = converted(read_photo(samples.tiff(samples.scene(bits=16))), "png")
    assert np.array_equal(deep.pixels, np.round(samples.scene(bits=16) / 257))


def test_without_a_quality_a_jpeg_stays_as_it_was_coded():
    photo = read_photo(samples.jpeg(samples.scene(), quality=71, subsampling=1))
    assert converted(photo, "jpeg").coding == photo.coding


@pytest.mark.parametrize(("quality", "subsampling"), [(30, 2), (89, 2), (90, 0), (100, 0)])
def test_a_quality_means_what_it_means_to_libjpeg(quality, subsampling):
    photo = converted(read_photo(SOURCES["a JPEG"]), "jpeg", quality=quality)
    written = Image.open(io.BytesIO(encode_photo(photo)))
    expected = samples.jpeg(samples.scene(), quality=quality)
    assert written.quantization == Image.open(io.BytesIO(expected)).quantization
    assert photo.coding.subsampling == subsampling


def test_a_quality_is_taken_by_the_other_lossy_formats_too():
    photo = read_photo(SOURCES["a JPEG"])
    assert converted(photo, "webp", quality=40).coding == WebpCoding(quality=40)
    assert converted(photo, "avif", quality=40).coding == AvifCoding(quality=40)
    for target in ("webp", "avif"):
        small, large = (
            len(encode_photo(converted(photo, target, quality=quality))) for quality in (10, 95)
        )
        assert small < large


def test_a_deep_avif_that_stays_one_keeps_its_depth():
    photo = read_photo(samples.deep_avif(samples.scene(bits=16)))
    assert converted(photo, "avif").bits == 16


def test_transparency_is_no_jpeg_but_an_opaque_alpha_channel_is_dropped():
    pixels = samples.scene()
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    opaque = Photo(pixels, PngCoding(), alpha=alpha)
    assert converted(opaque, "jpeg").alpha is None
    alpha[3, 5] = 254
    with pytest.raises(OutputError, match="transparency"):
        converted(opaque, "jpeg")


def test_colours_that_only_codes_describe_go_where_codes_go():
    photo = Photo(samples.scene(bits=16), PngCoding(), colour_codes=(9, 16))
    assert converted(photo, "png").colour_codes == (9, 16)
    assert read_photo(encode_photo(converted(photo, "avif"))).colour_codes == (9, 16)
    assert read_photo(encode_photo(photo)).colour_codes == (9, 16)
    with pytest.raises(OutputError, match="codes 9 and 16"):
        converted(photo, "tiff16")
    assert converted(Photo(samples.scene(), PngCoding(), colour_codes=(1, 13)), "jpeg")


def test_a_photo_larger_than_a_format_is_refused():
    wide = Photo(np.zeros((1, 16384, 3), np.uint8), PngCoding())
    with pytest.raises(OutputError, match="16383"):
        converted(wide, "webp")


def test_what_does_not_fit_is_said():
    long = Photo(
        np.full((4, 4, 3), 1.5, np.float32),
        TiffCoding(),
        exif=samples.canon_exif(thumbnail=bytes(66_000)),
        xmp=b"x" * 70_000,
        iptc=b"\x1c",
    )
    jpeg = converted(long, "jpeg")
    assert " ".join(jpeg.notes).count("too large") == 2
    assert "clipped" in " ".join(jpeg.notes)
    assert jpeg.iptc == b"\x1c"
    assert "Canon EOS R5" in str(Image.open(io.BytesIO(encode_photo(jpeg))).getexif())
    assert "IPTC" in " ".join(converted(long, "png").notes)


def test_padding_of_xmp_is_given_up_first():
    xmp = b"<x/>" + b" " * 70_000 + b"<?xpacket end='w'?>"
    photo = converted(Photo(samples.scene(), PngCoding(), xmp=xmp), "jpeg")
    assert photo.xmp == b"<x/>\n<?xpacket end='w'?>"
    assert photo.notes == ()


def test_broken_exif_does_not_stop_a_tiff():
    photo = converted(Photo(samples.scene(), PngCoding(), exif=b"II*\0" + b"\xff" * 30), "tiff")
    assert photo.exif is None
    assert encode_photo(photo)


@pytest.mark.parametrize("coding", [HeicCoding(), RawCoding()])
def test_formats_that_are_only_read_have_another_to_be_written_in(coding):
    photo = Photo(samples.scene(bits=16), coding)
    with pytest.raises(OutputError, match="cannot be written"):
        encode_photo(photo)
    assert encode_photo(converted(photo, WRITTEN_AS[coding.format]))


def test_a_second_loss_is_told_only_where_there_is_one():
    photo = read_photo(SOURCES["a JPEG"])
    assert "JPEG" in photo.second_loss
    assert converted(photo, "avif").second_loss
    assert not converted(photo, "png").second_loss
    assert not Photo(samples.scene(), jpeg_coding(90)).second_loss
    assert isinstance(jpeg_coding(90), JpegCoding)


@pytest.mark.parametrize(("file_format", "suffixes"), SUFFIXES.items())
def test_every_suffix_belongs_to_one_format(file_format, suffixes, tmp_path):
    for suffix in suffixes:
        assert format_of(tmp_path / f"photo{suffix.upper()}") == file_format
    assert format_of(tmp_path / "photo.txt") is None
