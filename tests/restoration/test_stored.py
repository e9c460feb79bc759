"""Stored values: read as floats, changed, and left exactly as they are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.restoration.stored import (
    changed,
    doubled,
    first_row_read,
    to_image,
    window_of,
)
from defocusfix.restoration.tiles import Span

DTYPES = [np.uint8, np.uint16, np.float32]


def stored(height: int, width: int, dtype: type, channels: int = 3, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).random((height, width, channels))
    return (values * (1 if dtype is np.float32 else np.iinfo(dtype).max)).astype(dtype)


@st.composite
def windows(draw):
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    level = draw(st.integers(0, 2))
    spans = []
    for side in (height, width):
        padded = -(-side // 32) * 32 // 2**level
        start = draw(st.integers(0, padded - 1))
        spans.append(Span(start, draw(st.integers(start + 1, padded))))
    return height, width, level, *spans


@given(case=windows(), dtype=st.sampled_from(DTYPES), channels=st.sampled_from([1, 3]))
def test_a_window_is_that_part_of_the_reflected_and_averaged_photo(case, dtype, channels):
    height, width, level, rows, columns = case
    pixels = stored(height, width, dtype, channels)
    image = to_image(pixels).transpose(2, 0, 1)
    beyond = [(0, 0), (0, -height % 32), (0, -width % 32)]
    whole = np.pad(image, beyond, mode="reflect" if min(height, width) > 1 else "symmetric")
    if 1 in (height, width):  # numpy cannot reflect about a single row
        whole = np.pad(image, beyond[:1] + beyond[1:2] + [(0, 0)], mode=_mode(height))
        whole = np.pad(whole, [(0, 0), (0, 0), beyond[2]], mode=_mode(width))
    factor = 2**level
    _, tall, wide = whole.shape
    small = whole.reshape(3, tall // factor, factor, wide // factor, factor).mean(axis=(2, 4))
    found = window_of(pixels, rows, columns, level)
    assert found.dtype == np.float32
    expected = small[:, rows.indices, columns.indices]
    assert np.abs(found - expected).max() < 1e-6


def _mode(side: int) -> str:
    return "edge" if side == 1 else "reflect"


@given(start=st.integers(0, 200), length=st.integers(1, 100), height=st.integers(1, 150))
def test_no_row_above_the_first_one_read_matters(start, length, height):
    pixels = stored(height, 4, np.uint8)
    rows = Span(start, start + length)
    first = first_row_read(rows, height)
    before = window_of(pixels, rows, Span(0, 4), 0)
    pixels[:first] = 0
    assert np.array_equal(window_of(pixels, rows, Span(0, 4), 0), before)


@given(height=st.integers(1, 20), width=st.integers(1, 20))
def test_doubling_is_opencvs_bilinear_enlargement(height, width):
    values = np.random.default_rng(0).random((2, height, width), dtype=np.float32)
    expected = [
        cv2.resize(v, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR) for v in values
    ]
    assert np.abs(doubled(values) - np.stack(expected)).max() < 1e-6


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_where_nothing_changes_stored_values_stay_exact(dtype, channels):
    pixels = stored(40, 30, dtype, channels)
    nothing = np.zeros((3, 40, 30), np.float32)
    assert np.array_equal(changed(pixels, nothing, np.float32(1)), pixels)
    amount = np.zeros((40, 30), np.float32)
    assert np.array_equal(changed(pixels, nothing + 0.3, amount), pixels)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_change_is_rounded_to_the_nearest_stored_value_and_kept_in_range(dtype):
    pixels = stored(40, 30, dtype)
    change = np.random.default_rng(1).normal(0, 0.3, (3, 40, 30)).astype(np.float32)
    found = changed(pixels, change, np.float32(1))
    assert found.dtype == pixels.dtype
    wanted = (to_image(pixels) + change.transpose(1, 2, 0)).clip(0, 1)
    step = 1e-6 if dtype is np.float32 else 1 / np.iinfo(dtype).max
    assert np.abs(to_image(found) - wanted).max() <= step / 2 * 1.01


def test_gray_takes_the_mean_of_the_colours():
    pixels = np.full((2, 2, 1), 100, np.uint8)
    change = np.array([0.1, 0.2, 0.3], np.float32)[:, None, None] * np.ones((3, 2, 2), np.float32)
    assert changed(pixels, change, np.float32(1)).tolist() == [[[151]] * 2] * 2


def test_a_float_photo_keeps_what_is_brighter_than_white_and_what_is_no_number():
    pixels = np.array([[[2.5, 0.5, np.nan]], [[-0.1, np.inf, 1.0]]], np.float32)
    assert window_of(pixels, Span(0, 2), Span(0, 1), 0).min() >= 0
    assert window_of(pixels, Span(0, 2), Span(0, 1), 0).max() <= 1
    untouched = changed(pixels, np.zeros((3, 2, 1), np.float32), np.float32(1))
    assert np.array_equal(untouched, pixels, equal_nan=True)
    darker = changed(pixels, np.full((3, 2, 1), -0.25, np.float32), np.float32(1))
    assert darker[0, 0, :2].tolist() == [2.25, 0.25]
    assert np.isnan(darker[0, 0, 2])
