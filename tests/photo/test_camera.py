from __future__ import annotations

import math
import struct
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from defocusfix.photo.camera import camera_of, taken_at
from defocusfix.photo.coding import PngCoding
from defocusfix.photo.photo import Photo

MAKE, MODEL = 0x010F, 0x0110
EXPOSURE_TIME, F_NUMBER, ISO, FOCAL_LENGTH = 0x829A, 0x829D, 0x8827, 0x920A
SUBJECT_DISTANCE, MAKER_NOTE, FULL_FRAME, LENS = 0x9206, 0x927C, 0xA405, 0xA434
FOCAL_PLANE_X, FOCAL_PLANE_UNIT = 0xA20E, 0xA210
TAKEN, TAKEN_FRACTION = 0x9003, 0x9291
INCH, CENTIMETRE = 2, 3
PIXELS = np.zeros((400, 600, 1), np.uint8)


def photo(tags: dict[int, object], *, xmp: bytes | None = None) -> Photo:
    """A photo of 600 x 400 pixels with these tags."""
    return Photo(PIXELS, PngCoding(), exif=exif_of(tags), xmp=xmp)


def exif_of(tags: dict[int, object]) -> bytes:
    block = Image.Exif()
    inner = block.get_ifd(0x8769)
    for tag, value in tags.items():
        (block if tag in (MAKE, MODEL) else inner)[tag] = value
    return block.tobytes().removeprefix(b"Exif\0\0")


def test_camera_lens_and_settings_are_read():
    camera = camera_of(
        photo(
            {
                MAKE: "FUJIFILM",
                MODEL: "X-T5",
                LENS: "XF56mmF1.2 R WR",
                F_NUMBER: IFDRational(12, 10),
                FOCAL_LENGTH: IFDRational(56, 1),
                EXPOSURE_TIME: IFDRational(1, 250),
                ISO: 400,
                SUBJECT_DISTANCE: IFDRational(187, 100),
            }
        )
    )
    assert (camera.name, camera.lens) == ("FUJIFILM X-T5", "XF56mmF1.2 R WR")
    assert (camera.f_number, camera.focal_length_mm) == (1.2, 56)
    assert (camera.exposure_seconds, camera.iso) == (1 / 250, 400)
    assert camera.focus_distance == 1.87


def test_a_make_that_the_model_repeats_is_said_once():
    tags = {MAKE: "NIKON CORPORATION", MODEL: "NIKON Z 6 \0"}
    assert camera_of(photo(tags)).name == "NIKON Z 6"


def test_a_photo_that_says_nothing_has_no_facts():
    camera = camera_of(Photo(PIXELS, PngCoding()))
    assert camera.name is camera.lens is camera.f_number is camera.pixel_pitch is None


def test_the_distance_of_infinity_is_infinite_and_an_unknown_one_is_none():
    assert camera_of(photo({SUBJECT_DISTANCE: IFDRational(2**32 - 1, 1)})).focus_distance == (
        math.inf
    )
    assert camera_of(photo({SUBJECT_DISTANCE: IFDRational(0, 1)})).focus_distance is None


@pytest.mark.parametrize(
    "text",
    [
        b'<rdf:Description aux:Lens="EF85mm f/1.8 USM" aux:ApproximateFocusDistance="212/100"/>',
        b"<aux:Lens>EF85mm f/1.8 USM</aux:Lens>"
        b"<aux:ApproximateFocusDistance>2.12</aux:ApproximateFocusDistance>",
    ],
)
def test_lens_and_distance_are_taken_from_xmp_where_exif_lacks_them(text):
    camera = camera_of(photo({}, xmp=text))
    assert (camera.lens, camera.focus_distance) == ("EF85mm f/1.8 USM", 2.12)


def test_a_distance_in_a_canon_maker_note_is_in_centimetres():
    marker = b"\xee" * 60
    block = exif_of({MAKE: "Canon", MODEL: "Canon EOS 5D", MAKER_NOTE: marker})
    order = "<" if block.startswith(b"II") else ">"
    start = block.index(marker)
    shot_info = struct.pack(order + "20H", *[0] * 19, 212)
    note = struct.pack(order + "HHHIII", 1, 4, 3, 20, start + 18, 0) + shot_info
    block = block.replace(marker, note.ljust(60, b"\0"))
    assert camera_of(Photo(PIXELS, PngCoding(), exif=block)).focus_distance == 2.12


def test_the_size_of_a_pixel_follows_from_the_resolution_of_the_focal_plane():
    # 166.7 pixels a millimetre are 6 micrometres each, whatever the unit.
    for per_unit, unit in ((1666.67, CENTIMETRE), (4233.33, INCH)):
        tags = {FOCAL_PLANE_X: IFDRational(round(per_unit * 100), 100), FOCAL_PLANE_UNIT: unit}
        pitch = camera_of(photo(tags)).pixel_pitch
        assert pitch.micrometres == pytest.approx(6, rel=1e-3)
        assert pitch.source == "FocalPlaneXResolution"


def test_the_size_of_a_pixel_follows_from_the_equivalent_focal_length():
    # Half of full frame: 18 mm wide over 600 pixels.
    tags = {FOCAL_LENGTH: IFDRational(25, 1), FULL_FRAME: 50}
    pitch = camera_of(photo(tags)).pixel_pitch
    assert pitch.micrometres == pytest.approx(30, rel=1e-3)
    assert "35 mm equivalent" in pitch.source


def test_two_ways_to_a_pixels_size_that_contradict_each_other_give_none():
    tags = {
        FOCAL_LENGTH: IFDRational(25, 1),
        FULL_FRAME: 50,
        FOCAL_PLANE_X: IFDRational(1667, 1),
        FOCAL_PLANE_UNIT: CENTIMETRE,
    }
    assert camera_of(photo(tags)).pixel_pitch is None


def test_a_sensor_larger_than_any_is_not_believed():
    tags = {FOCAL_PLANE_X: IFDRational(72, 1), FOCAL_PLANE_UNIT: INCH}
    assert camera_of(photo(tags)).pixel_pitch is None


def test_control_characters_do_not_reach_the_terminal():
    assert camera_of(photo({MODEL: "Evil\x1b[31m\nCam"})).name == "Evil [31m Cam"


WHOLE = exif_of(
    {
        MAKE: "Canon",
        MODEL: "Canon EOS 5D",
        MAKER_NOTE: bytes(range(60)),
        F_NUMBER: IFDRational(18, 10),
        FOCAL_LENGTH: IFDRational(85, 1),
        SUBJECT_DISTANCE: IFDRational(212, 100),
        FOCAL_PLANE_X: IFDRational(1667, 1),
    }
)


@given(
    changes=st.dictionaries(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), max_size=6),
    length=st.integers(0, len(WHOLE)),
)
def test_a_broken_block_raises_nothing(changes, length):
    block = bytearray(WHOLE)
    for position, value in changes.items():
        block[position] = value
    camera = camera_of(Photo(PIXELS, PngCoding(), exif=bytes(block[:length])))
    assert camera.f_number is None or camera.f_number > 0


def write_dated(path) -> None:
    """A small photo of the evening of 3 May 2026."""
    exif = Image.Exif()
    exif[MAKE] = "a camera"
    exif.get_ifd(0x8769)[TAKEN] = "2026:05:03 19:20:21"
    exif.get_ifd(0x8769)[TAKEN_FRACTION] = "25"
    Image.new("RGB", (16, 16)).save(path, exif=exif)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_when_a_photo_was_taken_is_read_whatever_the_format(tmp_path, suffix):
    write_dated(tmp_path / f"a.{suffix}")
    assert taken_at(tmp_path / f"a.{suffix}") == datetime(2026, 5, 3, 19, 20, 21, 250000)


def test_a_webp_that_is_cut_off_or_without_exif_has_no_time(tmp_path):
    path = tmp_path / "a.webp"
    write_dated(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert taken_at(path) in (None, datetime(2026, 5, 3, 19, 20, 21, 250000))
    Image.new("RGB", (16, 16)).save(path)
    assert taken_at(path) is None
