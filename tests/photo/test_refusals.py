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
from defocusfix.photo import ifd
from defocusfix.photo.limits import Limits
from defocusfix.photo.read import read_photo
from tests.photo import sample_files as samples
from tests.photo.damaged_files import SOUND


def _tiff_with(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", **options)
    return buffer.getvalue()


def _animated(file_format: str) -> bytes:
    frames = [Image.fromarray(samples.scene()), Image.fromarray(samples.scene()[::-1])]
    buffer = io.BytesIO()
    frames[0].save(buffer, file_format, save_all=True, append_images=frames[1:], duration=100)
    return buffer.getvalue()


def _jpeg2000_of_12_bits() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((16, 16), 4095, np.uint16)).save(buffer, "JPEG2000")
    file = bytearray(buffer.getvalue())
    size = file.index(b"\xff\x4f\xff\x51")
    file[size + 42] = 11
    return bytes(file)


RGB = Image.fromarray(samples.scene())
REFUSED = {
    "fax": (_tiff_with(RGB.convert("1"), compression="group4"), "CCITT"),
    "CMYK TIFF": (_tiff_with(RGB.convert("CMYK")), "SEPARATED"),
    "palette TIFF": (_tiff_with(RGB.quantize(8)), "PALETTE"),
    "one bit": (_tiff_with(RGB.convert("1")), "bits per channel"),
    "half precision": (samples.tiff(samples.scene().astype(np.float16)), "16 bits .* floating"),
    "no number": (samples.tiff(np.full((8, 8, 3), np.nan, np.float32)), "no numbers"),
    "with a sign": (samples.tiff(samples.scene().astype(np.int16)), "with a sign"),
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
    "animated AVIF": (_animated("AVIF"), "animation"),
    "JPEG 2000 of 12 bits": (_jpeg2000_of_12_bits(), "1 channels of 12 bits"),
    "JPEG 2000 in YCC": (
        samples.jpeg2000(samples.scene()).replace(b"colr\1\0\0\0\0\0\x10", b"colr\1\0\0\0\0\0\x12"),
        "unusual colour space",
    ),
    "GIF": (b"GIF89a" + bytes(60), "is a GIF"),
    "Photoshop": (b"8BPS" + bytes(60), "Photoshop document"),
    "text": (b"hello", "not a photo"),
    "nothing": (b"", "is empty"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_kept_is_refused_with_a_reason(kind):
    file, words = REFUSED[kind]
    with pytest.raises(InputError, match=words):
        read_photo(file, name="photo.tif")


WRITERS = {
    "JPEG": samples.jpeg,
    "PNG": samples.png,
    "WebP": samples.webp,
    "TIFF": samples.tiff,
    "AVIF": samples.avif,
    "BMP": samples.bmp,
    "JPEG 2000": samples.jpeg2000,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_huge_picture_is_refused_before_it_is_decoded_unless_the_limit_is_raised(kind):
    file = WRITERS[kind](samples.scene())
    with pytest.raises(
        InputError, match=r"64 x 48 is 0\.003 megapixels, the limit is 0\.001"
    ) as refusal:
        read_photo(file, limits=Limits(megapixels=0.001))
    assert "--max-megapixels" in str(refusal.value)
    assert read_photo(file, limits=Limits(megapixels=0.01)).width == 64


@pytest.mark.parametrize(
    ("height", "width", "limit", "said"),
    [
        (15_020, 20_000, 300, "300.4"),
        (15_001, 20_000, 300, "300.02"),
        (200, 300, 0.05, "0.1"),
        (1001, 1000, 1.0009, "1.001"),
    ],
)
def test_the_size_reads_as_more_than_the_limit_and_the_advice_is_enough(height, width, limit, said):
    with pytest.raises(InputError) as refusal:
        Limits(megapixels=limit).check_size("photo.png", height, width)
    assert f"{width} x {height} is {said} megapixels, the limit is {limit}" in refusal.value.why
    _, advised, *_ = refusal.value.fix.split()
    Limits(megapixels=float(advised)).check_size("photo.png", height, width)


def test_a_huge_file_is_refused_unless_the_limit_is_raised(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(samples.png(samples.scene()))
    with pytest.raises(InputError, match="too large"):
        read_photo(path, limits=Limits(bytes=100))
    assert read_photo(path, limits=Limits(bytes=100_000)).width == 64


def test_a_tiff_with_giant_tiles_is_refused():
    file = bytearray(samples.tiff(samples.scene(), tile=(16, 16)))
    for place in ifd.places(file, ifd.first_directory(file)):
        if place.tag in (322, 323):
            ifd.set_integer(file, place, 65520)
    with pytest.raises(InputError, match="too large"):
        read_photo(bytes(file))


def test_a_picture_that_does_not_fit_into_memory_is_refused(monkeypatch):
    def refuse(source):
        raise MemoryError

    monkeypatch.setattr("defocusfix.photo.read.decode_tiff", refuse)
    with pytest.raises(InputError, match="too large"):
        read_photo(samples.tiff(samples.scene()))


def test_a_png_that_claims_a_huge_size_is_refused():
    file = bytearray(samples.png(samples.scene()))
    header = samples.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 99_999, 99_999, 8, 2, 0, 0, 0))
    file[8 : 8 + 25] = header
    with pytest.raises(InputError, match="too large"):
        read_photo(bytes(file), name="photo.png")


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (1_000_001, 1), (1, 1_000_001)])
def test_a_png_beyond_what_opencv_decodes_is_sent_to_tiff_and_not_called_damaged(
    width, height, capfd
):
    file = bytearray(samples.png(samples.scene()))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    file[8 : 8 + 25] = samples.png_chunk(b"IHDR", header)
    with pytest.raises(InputError, match=r"photo\.png is too large") as refusal:
        read_photo(bytes(file), name="photo.png", limits=Limits(megapixels=4000))
    assert "1073 megapixels and 1000000 pixels each way" in refusal.value.why
    assert "TIFF" in refusal.value.fix
    assert capfd.readouterr() == ("", "")


def test_a_png_that_claims_more_than_its_data_can_hold_is_refused_before_it_is_decoded(capfd):
    file = bytearray(samples.png(samples.scene()))
    header = struct.pack(">IIBBBBB", 15_000, 20_000, 8, 2, 0, 0, 0)
    file[8 : 8 + 25] = samples.png_chunk(b"IHDR", header)
    with pytest.raises(InputError, match="too little picture data"):
        read_photo(bytes(file), name="photo.png")
    assert capfd.readouterr() == ("", "")


def test_the_most_compressed_png_is_read():
    black = np.zeros((2000, 3000, 3), np.uint8)
    file = samples.png(black, compress_level=9)
    assert len(file) < black.nbytes / 1000
    assert not read_photo(file).pixels.any()


def test_a_png_that_claims_more_rows_than_it_has_is_refused():
    file = bytearray(samples.png(samples.scene()))
    file[8 : 8 + 25] = samples.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 480, 8, 2, 0, 0, 0))
    with pytest.raises(InputError, match="cannot be read"):
        read_photo(bytes(file), name="photo.png")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_photo(tmp_path / "nothing.jpg")
    with pytest.raises(InputError, match="is a folder"):
        read_photo(tmp_path)


@settings(max_examples=60)
@given(kind=st.sampled_from(sorted(SOUND)), share=st.floats(0.02, 0.98))
def test_a_file_that_is_cut_off_is_refused_or_has_lost_only_metadata(kind, share):
    whole = read_photo(SOUND[kind], name="photo")
    try:
        photo = read_photo(SOUND[kind][: int(len(SOUND[kind]) * share)], name="photo")
    except InputError:
        return
    assert np.array_equal(photo.pixels, whole.pixels)


@settings(max_examples=150)
@given(
    kind=st.sampled_from(sorted(SOUND)),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
)
def test_a_flipped_byte_gives_a_photo_or_a_refusal_and_nothing_else(kind, place, value):
    file = bytearray(SOUND[kind])
    file[int(place * len(file))] = value
    try:
        photo = read_photo(bytes(file), name="photo")
    except InputError:
        return
    assert photo.pixels.ndim == 3
