from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.jobs.headers import Header, header_of
from tests.photo import sample_files as samples
from tests.photo.test_extras import dng, heic

GRAY = samples.scene(50, 70, channels=1)
RGB = samples.scene(50, 70)
RGBA = samples.scene(50, 70, channels=4)
DEEP = samples.scene(50, 70, bits=16)


@pytest.mark.parametrize(
    ("name", "file", "channels", "bits"),
    [
        ("gray.jpg", samples.jpeg(GRAY), 1, 8),
        ("exif.jpg", samples.jpeg(RGB, exif=samples.exif(), progressive=True), 3, 8),
        ("gray.png", samples.png(GRAY), 1, 8),
        ("alpha.png", samples.png(RGBA), 4, 8),
        ("deep.png", cv2.imencode(".png", DEEP)[1].tobytes(), 3, 16),
        ("lossy.webp", samples.webp(RGB), 3, 8),
        ("lossless.webp", samples.webp(RGB, lossless=True), 3, 8),
        ("long.webp", samples.webp(RGBA, exif=samples.exif()), 4, 8),
        ("colour.avif", samples.avif(RGB), 3, 8),
        ("alpha.avif", samples.avif(RGBA), 4, 8),
        ("deep.avif", samples.deep_avif(DEEP), 3, 10),
        ("boxes.jp2", samples.jpeg2000(DEEP), 3, 16),
        ("colour.bmp", samples.bmp(RGB), 3, 8),
        ("colour.tif", samples.tiff(RGB), 3, 8),
        ("deep.tif", samples.tiff(DEEP, compression="zlib"), 3, 16),
        ("big.tif", samples.tiff(DEEP, bigtiff=True), 3, 16),
    ],
)
def test_the_head_of_every_format_tells_its_size_and_depth(tmp_path, name, file, channels, bits):
    path = tmp_path / name
    path.write_bytes(file)
    header = header_of(path)
    assert (header.width, header.height, header.channels, header.bits) == (70, 50, channels, bits)
    assert header.megapixels == pytest.approx(0.0035)


def test_the_format_goes_by_what_is_in_the_file(tmp_path):
    (tmp_path / "named.png").write_bytes(samples.jpeg(RGB))
    assert header_of(tmp_path / "named.png").format == "jpeg"


def test_a_bare_jpeg2000_stream_is_known_too(tmp_path):
    file = samples.jpeg2000(RGB)
    (tmp_path / "bare.j2k").write_bytes(file[file.index(b"\xff\x4f\xff\x51") :])
    assert header_of(tmp_path / "bare.j2k") == Header("jpeg2000", 70, 50, 3, 8)


def test_of_a_heic_the_largest_picture_counts(tmp_path):
    (tmp_path / "a.heic").write_bytes(heic(samples.scene(64, 64)))
    assert header_of(tmp_path / "a.heic") == Header("heic", 64, 64, 3, 8)


def test_of_raw_data_the_sensor_counts_and_not_the_preview(tmp_path):
    raw = dng(height=64, width=96)
    (tmp_path / "a.dng").write_bytes(raw)
    assert header_of(tmp_path / "a.dng") == Header("raw", 96, 64, 3, 16)
    (tmp_path / "b.dng").write_bytes(preview_ahead(8, 6, raw))
    assert header_of(tmp_path / "b.dng") == Header("raw", 96, 64, 3, 16)


def preview_ahead(width: int, height: int, raw: bytes) -> bytes:
    """A directory of a small preview, ahead of which the file now begins, with the data below."""
    tags = ((254, 4, 1), (256, 4, width), (257, 4, height), (330, 4, raw_directory(raw)))
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return raw[:4] + struct.pack("<I", len(raw)) + raw[8:] + directory + bytes(4)


def raw_directory(raw: bytes) -> int:
    return int.from_bytes(raw[4:8], "little")


def test_what_says_nothing_is_not_known(tmp_path):
    for name, file in {
        "empty.jpg": b"",
        "other.jpg": b"nothing of use",
        "cut.jpg": samples.jpeg(RGB)[:100],
        "cut.tif": samples.tiff(RGB)[:10],
        "zero.png": samples.png(RGB)[:16] + bytes(20),
    }.items():
        (tmp_path / name).write_bytes(file)
        assert header_of(tmp_path / name) is None
    assert header_of(tmp_path / "missing.jpg") is None
    assert header_of(tmp_path) is None


@given(
    file=st.sampled_from([samples.jpeg(RGB), samples.tiff(DEEP), samples.avif(RGB), dng()]),
    place=st.floats(0, 1),
    damage=st.binary(min_size=1, max_size=8),
)
def test_damage_is_never_more_than_a_wrong_or_unknown_size(tmp_path_factory, file, place, damage):
    path = tmp_path_factory.mktemp("damaged") / "a.jpg"
    at = int(place * min(len(file) - 1, 600))
    path.write_bytes(file[:at] + damage + file[at + len(damage) :])
    header = header_of(path)
    assert header is None or min(header.width, header.height) > 0


def test_a_photo_on_its_side_has_as_many_pixels(tmp_path):
    file = samples.jpeg(RGB, exif=samples.exif(orientation=6))
    (tmp_path / "a.jpg").write_bytes(file)
    assert header_of(tmp_path / "a.jpg").megapixels == np.prod(RGB.shape[:2]) / 1e6
