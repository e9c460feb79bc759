from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.figures.most_changed import CELL_PX, most_changed


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_place_that_changed_is_found_in_every_kind_of_picture(dtype, channels):
    before = np.zeros((600, 900, channels), dtype)
    after = before.copy()
    after[400:430, 700:740] = 1
    top, left = most_changed(before, after, 128, 160)
    assert top <= 400 <= 430 <= top + 128
    assert left <= 700 <= 740 <= left + 160


def test_a_detail_that_was_restored_counts_though_the_mean_brightness_is_the_same():
    before = np.full((600, 900, 1), 100, np.uint8)
    after = before.copy()
    after[320:384:2, 640:704] = 80
    after[321:384:2, 640:704] = 120
    top, left = most_changed(before, after, 96, 96)
    assert top <= 320
    assert left <= 640
    assert min(top, left) > 0


def test_the_edge_of_a_photo_is_left_out_though_it_changed_most():
    before = np.zeros((640, 960, 3), np.uint8)
    after = before.copy()
    after[:20] = after[:, :20] = 255
    after[300:340, 500:540] = 30
    top, left = most_changed(before, after, 128, 128)
    assert top <= 300 <= 340 <= top + 128
    assert left <= 500 <= 540 <= left + 128


def test_where_nothing_changed_it_is_the_middle():
    picture = np.zeros((600, 900, 3), np.uint8)
    assert most_changed(picture, picture, 100, 100) == (250, 400)


@given(
    size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    crop=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    seed=st.integers(0, 99),
)
def test_a_crop_lies_in_the_photo_and_off_its_edge_where_there_is_room(size, crop, seed):
    before, after = np.random.default_rng(seed).integers(0, 256, (2, *size, 1), np.uint8)
    for begin, length, whole in zip(most_changed(before, after, *crop), crop, size, strict=True):
        assert 0 <= begin <= max(whole - length, 0)
        if whole - length >= 2 * CELL_PX:
            assert CELL_PX <= begin <= whole - length - CELL_PX
