"""Files that cannot be kept as they are, or are damaged, are refused with a reason."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from defocusfix.errors import InputError
from defocusfix.photo import limits
from defocusfix.photo.read import decode_photo, read_photo
from tests.photo import sample_files as samples


def _tiff_with(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", **options)
    return buffer.getvalue()


def _animated(file_format: str) -> bytes:
    frames = [Image.fromarray(samples.scene()), Image.fromarray(samples.scene()[::-1])]
    buffer = io.BytesIO()
    frames[0].save(buffer, file_format, save_all=True, append_images=frames[1:], duration=100)
    return buffer.getvalue()


RGB = Image.fromarray(samples.scene())
REFUSED = {
    "LZW": (_tiff_with(RGB, compression="tiff_lzw"), "LZW"),
    "CMYK TIFF": (_tiff_with(RGB.convert("CMYK")), "SEPARATED"),
    "palette TIFF": (_tiff_with(RGB.quantize(8)), "PALETTE"),
    "one bit": (_tiff_with(RGB.convert("1")), "bits per channel"),
    "floating point": (samples.tiff(samples.scene().astype(np.float32)), "bits per channel"),
    "32 bits": (samples.tiff(samples.scene().astype(np.uint32)), "bits per channel"),
    "two pages": (_tiff_with(RGB, save_all=True, append_images=[RGB]), "2 pictures"),
    "five channels": (
        samples.tiff(
            np.concatenate((samples.scene(), samples.scene()), axis=2),
            extrasamples=[0, 0, 0],
            planarconfig="contig",
        ),
        "channels",
    ),
    "premultiplied": (
        samples.tiff(samples.scene(channels=4), extrasamples=["assocalpha"]),
        "multiplied",
    ),
    "animated PNG": (_animated("PNG"), "animation"),
    "animated WebP": (_animated("WEBP"), "animation"),
    "BMP": (b"BM" + bytes(60), "is a BMP"),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(60), "is a HEIC photo"),
    "text": (b"hello", "not a photo"),
    "nothing": (b"", "is empty"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_kept_is_refused_with_a_reason(kind):
    file, words = REFUSED[kind]
    with pytest.raises(InputError, match=words):
        decode_photo(file, "photo.tif")


def test_raw_files_are_refused_although_they_begin_like_a_tiff():
    with pytest.raises(InputError, match="camera raw"):
        decode_photo(samples.tiff(samples.scene()), "photo.NEF")


def test_a_huge_picture_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(limits, "MAX_MEGAPIXELS", 0.001)
    for writer in (samples.jpeg, samples.png, samples.webp, samples.tiff):
        with pytest.raises(InputError, match="too large"):
            decode_photo(writer(samples.scene()), "photo")


def test_a_png_that_claims_a_huge_size_is_refused():
    file = bytearray(samples.png(samples.scene()))
    header = samples.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 99_999, 99_999, 8, 2, 0, 0, 0))
    file[8 : 8 + 25] = header
    with pytest.raises(InputError, match="too large"):
        decode_photo(bytes(file), "photo.png")


def test_a_png_that_claims_more_rows_than_it_has_is_refused():
    file = bytearray(samples.png(samples.scene()))
    file[8 : 8 + 25] = samples.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 480, 8, 2, 0, 0, 0))
    with pytest.raises(InputError, match="cannot be read"):
        decode_photo(bytes(file), "photo.png")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_photo(tmp_path / "nothing.jpg")
    with pytest.raises(InputError, match="is a folder"):
        read_photo(tmp_path)


WHOLE = {
    "jpeg": samples.jpeg(samples.scene(), exif=samples.exif(), icc_profile=samples.PROFILE),
    "png": samples.png(samples.scene(), exif=samples.exif(), icc_profile=samples.PROFILE),
    "webp": samples.webp(samples.scene(), exif=samples.exif(), icc_profile=samples.PROFILE),
    "tiff": samples.tiff_with_exif(samples.scene()),
    "deflated tiff": samples.tiff(samples.scene(bits=16), compression="zlib", predictor=True),
}


@settings(max_examples=60)
@given(kind=st.sampled_from(sorted(WHOLE)), share=st.floats(0.02, 0.98))
def test_a_file_that_is_cut_off_is_refused_or_has_lost_only_metadata(kind, share):
    whole = decode_photo(WHOLE[kind], "photo")
    try:
        photo = decode_photo(WHOLE[kind][: int(len(WHOLE[kind]) * share)], "photo")
    except InputError:
        return
    assert np.array_equal(photo.pixels, whole.pixels)


@settings(max_examples=150)
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
)
def test_a_flipped_byte_gives_a_photo_or_a_refusal_and_nothing_else(kind, place, value):
    file = bytearray(WHOLE[kind])
    file[int(place * len(file))] = value
    try:
        photo = decode_photo(bytes(file), "photo")
    except InputError:
        return
    assert photo.pixels.ndim == 3
