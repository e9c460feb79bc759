from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.photo.photo import Photo, PngCoding


def _photo(bits: int, channels: int = 3, seed: int = 0) -> Photo:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 2**bits, (300, 7, channels), dtype=f"uint{bits}")
    return Photo(pixels=pixels, coding=PngCoding())


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_change_below_half_a_step_leaves_every_value(bits, channels):
    photo = _photo(bits, channels)
    change = np.full((300, 7, 3), 0.49 / photo.largest_value, np.float32)
    assert np.array_equal(photo.changed_by(change).pixels, photo.pixels)
    assert np.array_equal(photo.changed_by(-change).pixels, photo.pixels)


@given(bits=st.sampled_from([8, 16]), steps=st.integers(-300, 300))
def test_a_change_of_whole_steps_is_added_and_clipped(bits, steps):
    photo = _photo(bits)
    change = np.full((300, 7, 3), steps / photo.largest_value, np.float32)
    expected = np.clip(photo.pixels.astype(int) + steps, 0, photo.largest_value)
    assert np.array_equal(photo.changed_by(change).pixels, expected)


def test_as_floating_point_black_is_0_white_is_1_and_gray_is_repeated():
    pixels = np.array([[[0], [65535]]], np.uint16)
    image = Photo(pixels=pixels, coding=PngCoding()).to_float()
    assert image.dtype == np.float32
    assert image.tolist() == [[[0, 0, 0], [1, 1, 1]]]
