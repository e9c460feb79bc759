from __future__ import annotations

import numpy as np
import pytest

from defocusfix.figures.before_after import (
    CROP_HEIGHT_PX,
    GAP_PX,
    LABEL_HEIGHT_PX,
    PANEL_WIDTH_PX,
    before_after,
)


def test_a_small_photo_is_shown_pixel_for_pixel_on_both_sides():
    rng = np.random.default_rng(1)
    before, after = rng.integers(0, 256, (2, 40, 60, 3), np.uint8)
    sheet = before_after(before, after)
    assert sheet.shape == (2 * GAP_PX + LABEL_HEIGHT_PX + 40, 3 * GAP_PX + 120, 3)
    top = GAP_PX + LABEL_HEIGHT_PX
    assert np.array_equal(sheet[top : top + 40, GAP_PX : GAP_PX + 60], before)
    assert np.array_equal(sheet[top : top + 40, 2 * GAP_PX + 60 : 2 * GAP_PX + 120], after)


def test_of_a_large_photo_the_place_that_changed_is_shown_pixel_for_pixel_too():
    before = np.full((1500, 2500, 3), 90, np.uint8)
    after = before.copy()
    mark = np.random.default_rng(2).integers(0, 256, (60, 60, 3), np.uint8)
    after[1300:1360, 2200:2260] = mark
    sheet = before_after(before, after)
    assert sheet.shape[1] == 3 * GAP_PX + 2 * PANEL_WIDTH_PX
    crops = sheet[-GAP_PX - CROP_HEIGHT_PX : -GAP_PX, 2 * GAP_PX + PANEL_WIDTH_PX :]
    windows = np.lib.stride_tricks.sliding_window_view(crops[:, :, 0], (60, 60))
    assert (windows == mark[:, :, 0]).all((2, 3)).sum() == 1


@pytest.mark.parametrize("size", [(3, 3000), (3000, 3), (1, 1), (460, 901)])
def test_every_shape_of_a_photo_can_be_shown(size):
    picture = np.zeros((*size, 3), np.uint8)
    assert before_after(picture, picture + 1).dtype == np.uint8


def test_two_sizes_are_refused():
    with pytest.raises(ValueError, match="two sizes"):
        before_after(np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4, 3), np.uint8))
