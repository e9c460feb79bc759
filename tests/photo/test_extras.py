"""HEIC and camera raw, which need packages that not everybody installs."""

from __future__ import annotations

import io
import struct
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from defocusfix.errors import InputError
from defocusfix.photo.coding import HeicCoding, RawCoding
from defocusfix.photo.convert import WRITTEN_AS, converted
from defocusfix.photo.limits import DEFAULT, Limits
from defocusfix.photo.raw import is_raw_tiff
from defocusfix.photo.read import read_photo
from defocusfix.photo.source import Source
from defocusfix.photo.write import encode_photo
from tests.photo import sample_files as samples


def heic(image: np.ndarray, **options: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    bits = 8 * image.dtype.itemsize
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[image.shape[2]] + (";16" if bits == 16 else "")
    size = (image.shape[1], image.shape[0])
    file = pillow_heif.from_bytes(mode=mode, size=size, data=image.tobytes())
    buffer = io.BytesIO()
    file.save(buffer, quality=-1, chroma=444, matrix_coefficients=0, **options)
    return buffer.getvalue()


def dng(*, height: int = 64, width: int = 96) -> bytes:
    """Raw data of a scene that is brighter on the right, in a mosaic of red, green and blue."""
    values = np.linspace(200, 16000, width).round().astype(np.uint16)
    mosaic = np.broadcast_to(values, (height, width))
    matrix = [10_000 if n in (0, 4, 8) else 0 for n in range(9)]
    rationals = struct.pack("<18i", *(n for value in matrix for n in (value, 10_000)))
    return samples.tiff(
        mosaic,
        photometric=32803,
        extratags=[
            (271, 2, 0, "Maker", True),
            (272, 2, 0, "Model", True),
            (274, 3, 1, 1, True),
            (33421, 3, 2, (2, 2), True),
            (33422, 1, 4, b"\0\1\1\2", True),
            (50706, 1, 4, b"\1\4\0\0", True),
            (50708, 2, 0, "Maker Model", True),
            (50714, 3, 1, 0, True),
            (50717, 4, 1, 16383, True),
            (50721, 10, 9, tuple(struct.unpack("<18i", rationals)), True),
            (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),
            (50778, 3, 1, 21, True),
        ],
    )


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_heic_is_read_and_becomes_something_else(channels):
    image = samples.scene(channels=channels)
    photo = read_photo(heic(image, exif=b"Exif\0\0" + samples.canon_exif()))
    assert photo.coding == HeicCoding()
    assert np.abs(photo.pixels.astype(int) - image[:, :, :3]).max() <= 2
    assert channels != 4 or np.array_equal(photo.alpha, image[:, :, 3])
    assert photo.exif == samples.canon_exif()
    target = "png" if channels == 4 else WRITTEN_AS["heic"]
    assert read_photo(encode_photo(converted(photo, target))).exif == samples.canon_exif()


def test_deep_heic_keeps_more_than_8_bits_until_it_becomes_a_jpeg():
    photo = read_photo(heic(samples.scene(bits=16)))
    assert photo.bits == 16
    assert np.abs(photo.pixels.astype(int) - samples.scene(bits=16)).max() <= 65535 // 1023 * 2
    assert len(np.unique(photo.pixels)) > 256
    assert any("8 bits" in note for note in converted(photo, "jpeg").notes)
    assert converted(photo, "tiff16").notes == photo.notes


def test_a_turned_heic_is_upright_and_says_so():
    exif = samples.exif(orientation=6)
    photo = read_photo(heic(samples.scene(), exif=b"Exif\0\0" + exif))
    tags = Image.Exif()
    tags.load(b"Exif\0\0" + photo.exif)
    assert tags[0x0112] == 1


def test_a_huge_heic_is_refused_before_it_is_decoded():
    with pytest.raises(InputError, match="too large"):
        read_photo(heic(samples.scene()), limits=Limits(megapixels=0.001))


def test_a_raw_file_is_developed():
    pytest.importorskip("rawpy")
    photo = read_photo(dng(), name="photo.dng")
    assert photo.coding == RawCoding()
    assert photo.bits == 16
    assert photo.pixels.shape == (64, 96, 3)
    brightness = photo.pixels.astype(float).mean(axis=(0, 2))
    assert brightness[-5] > 3 * brightness[4]
    assert photo.icc_profile
    assert any("developed" in note for note in photo.notes)
    written = converted(photo.signed("defocusfix"), WRITTEN_AS["raw"])
    again = read_photo(encode_photo(written))
    assert np.array_equal(again.pixels, photo.pixels)
    tags = Image.Exif()
    tags.load(b"Exif\0\0" + again.exif)
    assert tags[0x0110] == "Model"
    assert 50706 not in tags  # what is no longer raw must not claim to be


def test_a_raw_file_without_its_suffix_is_known_as_one():
    pytest.importorskip("rawpy")
    assert read_photo(dng()).coding == RawCoding()


def test_a_preview_at_the_beginning_of_a_raw_file_is_not_taken_for_the_photo():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        preview = samples.scene(16, 24)
        writer.write(preview, photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        writer.write(samples.scene(bits=16)[:, :, 0], photometric="minisblack", metadata=None)
    assert is_raw_tiff(Source.of_bytes("photo", buffer.getvalue(), DEFAULT))
    assert not is_raw_tiff(Source.of_bytes("photo", samples.tiff(samples.scene()), DEFAULT))


def test_a_huge_raw_file_is_refused_before_it_is_developed():
    pytest.importorskip("rawpy")
    with pytest.raises(InputError, match="too large"):
        read_photo(dng(), limits=Limits(megapixels=0.001))


@pytest.mark.parametrize("start", [b"II*\0", b"FUJIFILMCCD-RAW 0201", b"\0\0\0\x18ftypcrx \0"])
def test_damaged_raw_files_are_refused(start):
    pytest.importorskip("rawpy")
    with pytest.raises(InputError, match=r"photo\.nef cannot be"):
        read_photo(start + bytes(2000), name="photo.nef")


@pytest.mark.parametrize(
    ("package", "extra", "file"),
    [
        ("pillow_heif", "heif", b"\0\0\0\x18ftypheic" + bytes(60)),
        ("rawpy", "raw", samples.tiff(samples.scene())),
    ],
)
def test_without_the_package_the_extra_is_named(package, extra, file, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError) as refusal:
        read_photo(file, name="photo.nef")
    assert f'pip install "defocusfix[{extra}]"' in refusal.value.fix
