from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.photo.coding import PngCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.pixels import exceeds_white, from_depth, to_depth, with_depth


def _pixels(bits: int, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 2**bits, (30, 7, channels), dtype=f"uint{bits}")


def test_with_other_pixels_all_else_stays():
    photo = Photo(_pixels(8), PngCoding(), icc_profile=b"p", exif=b"e", notes=("n",))
    changed = photo.with_pixels(255 - photo.pixels)
    assert np.array_equal(changed.pixels, 255 - photo.pixels)
    assert (changed.icc_profile, changed.exif, changed.notes) == (b"p", b"e", ("n",))


@pytest.mark.parametrize("pixels", [np.zeros((3, 7, 3), np.uint8), np.zeros((30, 7, 3), np.uint16)])
def test_pixels_of_another_shape_or_depth_are_no_restoration_of_the_photo(pixels):
    with pytest.raises(ValueError, match="cannot take the place"):
        Photo(_pixels(8), PngCoding()).with_pixels(pixels)


@given(x=st.integers(0, 6), y=st.integers(0, 29), data=st.data())
def test_a_crop_is_the_rectangle_it_names(x, y, data):
    width, height = data.draw(st.integers(1, 7 - x)), data.draw(st.integers(1, 30 - y))
    photo = Photo(_pixels(16), PngCoding(), alpha=_pixels(16, 1)[:, :, 0])
    crop = photo.cropped(x, y, width, height)
    assert np.array_equal(crop.pixels, photo.pixels[y : y + height, x : x + width])
    assert np.array_equal(crop.alpha, photo.alpha[y : y + height, x : x + width])


@pytest.mark.parametrize("area", [(-1, 0, 2, 2), (0, 0, 0, 2), (6, 0, 2, 2), (0, 29, 1, 2)])
def test_a_crop_outside_the_photo_is_refused(area):
    with pytest.raises(ValueError, match="rectangle"):
        Photo(_pixels(8), PngCoding()).cropped(*area)


@pytest.mark.parametrize("bits", [8, 16])
def test_values_survive_floating_point_and_twice_the_depth(bits):
    pixels = np.arange(2**bits, dtype=f"uint{bits}").reshape(-1, 16, 1)
    assert np.array_equal(with_depth(with_depth(pixels, "float32"), pixels.dtype), pixels)
    if bits == 8:
        assert np.array_equal(with_depth(with_depth(pixels, "uint16"), "uint8"), pixels)


def test_sixteen_bits_become_the_nearest_of_eight():
    pixels = np.arange(2**16, dtype=np.uint16).reshape(-1, 16, 1)
    assert np.array_equal(with_depth(pixels, "uint8"), np.round(pixels / 257).astype(np.uint8))


def test_floating_point_beyond_white_is_clipped_as_whole_numbers():
    pixels = np.array([[[-0.5], [0.5], [7.0]]], np.float32)
    assert with_depth(pixels, "uint8").ravel().tolist() == [0, 128, 255]
    assert exceeds_white(pixels)
    assert not exceeds_white(pixels[:, 1:2])


@pytest.mark.parametrize("depth", [10, 12])
def test_depths_between_8_and_16_are_stretched_and_come_back(depth):
    values = np.arange(2**depth, dtype=np.uint16)
    stretched = from_depth(values, depth)
    assert (stretched[0], stretched[-1]) == (0, 65535)
    assert np.array_equal(to_depth(stretched, depth), values)


def test_as_floating_point_black_is_0_white_is_1_and_gray_is_repeated():
    pixels = np.array([[[0], [65535]]], np.uint16)
    image = Photo(pixels=pixels, coding=PngCoding()).to_float()
    assert image.dtype == np.float32
    assert image.tolist() == [[[0, 0, 0], [1, 1, 1]]]


def test_reading_and_writing_do_not_wait_for_what_few_formats_need():
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, defocusfix.photo.read, defocusfix.photo.write\n"
            "print({'cv2', 'rawpy', 'pillow_heif', 'PIL.ImageCms'} & set(sys.modules))",
        ],
        capture_output=True,
        check=True,
        text=True,
    )
    assert told.stdout.strip() == "set()"
