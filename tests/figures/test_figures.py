from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from defocusfix.figures.contact_sheet import Panel, contact_sheet, crop_around, write_sheet
from defocusfix.figures.kernel_sheet import kernel_sheet, signed_map
from defocusfix.figures.map_image import FULL_SCALES_PX, coloured, full_scale_of, with_legend

RED = np.zeros((10, 20, 3), np.float32) + np.array([1, 0, 0], np.float32)
BLUE = np.zeros((12, 16, 3), np.float32) + np.array([0, 0, 1], np.float32)


def test_every_pixel_of_a_panel_is_repeated_and_none_is_lost():
    sheet = contact_sheet([[Panel("red", RED), Panel("blue", BLUE)], [Panel("red", RED)]], 3)
    assert (sheet == [255, 0, 0]).all(-1).sum() == 2 * 10 * 20 * 9
    assert (sheet == [0, 0, 255]).all(-1).sum() == 12 * 16 * 9


def test_labels_are_drawn_and_cut_before_the_next_panel():
    plain = contact_sheet([[Panel("", RED), Panel("", RED)]])
    labelled = contact_sheet([[Panel("a very long label indeed", RED), Panel("", RED)]])
    columns = np.flatnonzero((plain != labelled).any((0, 2)))
    assert columns.size
    assert columns.max() < plain.shape[1] // 2


def test_a_sheet_without_panels_is_refused():
    with pytest.raises(ValueError, match="at least one panel"):
        contact_sheet([[]])


def test_a_sheet_is_written_as_png_without_loss(tmp_path):
    sheet = contact_sheet([[Panel("red", RED)]])
    write_sheet(tmp_path / "sheet.png", sheet)
    with Image.open(tmp_path / "sheet.png") as picture:
        assert np.array_equal(np.asarray(picture), sheet)


@given(x=st.integers(0, 49), y=st.integers(0, 29), side=st.integers(1, 80))
def test_a_crop_lies_in_the_photo_and_contains_its_centre(x, y, side):
    crop = crop_around((x, y), side, (30, 50))
    assert (crop.height, crop.width) == (min(side, 30), min(side, 50))
    assert 0 <= crop.top <= y < crop.top + crop.height <= 30
    assert 0 <= crop.left <= x < crop.left + crop.width <= 50


def test_colours_of_a_map_brighten_with_the_radius_and_saturate():
    ramp = np.linspace(0, 20, 64, dtype=np.float32)[None]
    colours = coloured(ramp, full_scale_px=10).astype(float)
    brightness = colours[0] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness[:32]) > 0).all()
    assert (colours[0, 33:] == colours[0, -1]).all()
    assert colours[0, 0, 2] > colours[0, 0, 1]  # violet is bluer than green
    assert colours[0, -1, 1] > colours[0, -1, 2]  # yellow is not blue


def test_the_legend_runs_from_the_colour_of_zero_at_the_bottom_to_the_full_scale_on_top():
    picture = coloured(np.zeros((80, 30), np.float32), 8)
    sheet = with_legend(picture, 8)
    assert sheet.shape == (80, 94, 3)
    assert np.array_equal(sheet[:, :30], picture)
    bar = sheet[12:68, 38]
    full = coloured(np.full((1, 1), 8, np.float32), 8)[0, 0]
    assert np.array_equal(bar[0], full)
    assert np.array_equal(bar[-1], picture[0, 0])


def test_a_legend_grows_with_its_picture_so_that_it_can_be_read():
    large = with_legend(np.zeros((2400, 200, 3), np.uint8), 8)
    assert large.shape == (2400, 200 + 3 * 64, 3)


@given(radius=st.floats(0, 200))
def test_the_full_scale_of_a_map_is_the_next_round_number_above_it(radius):
    scale = full_scale_of(np.full((4, 4), radius, np.float32))
    assert scale in FULL_SCALES_PX
    assert scale >= min(np.float32(radius), 64)
    assert scale == FULL_SCALES_PX[0] or scale / 2 < radius or scale == 64


def test_kernels_are_drawn_in_rows_on_one_grid_with_negative_cells_in_red():
    small, large = np.ones((1, 1), np.float32), np.zeros((5, 5), np.float32)
    large[2, 2], large[0, 0] = 0.5, -0.25
    sheet = kernel_sheet([[small, large], [large]], cell_px=10)
    assert sheet.shape == (2 * 12 + 2, 2 * 12 + 2, 3)
    assert tuple(sheet[2 + 4, 2 + 4]) == (255, 255, 255)  # the middle of the small one
    assert tuple(sheet[2, 2]) == (0, 0, 0)  # and beside it
    assert tuple(sheet[2, 14]) == (128, 0, 0)  # half as large as the largest, and negative
    assert tuple(sheet[20, 20]) == (255, 255, 255)  # there is no second kernel in the second row


def test_a_signed_map_is_white_in_focus_and_has_a_colour_for_each_side():
    drawn = signed_map(np.array([[0.0, 4.0, -4.0, -9.0]], np.float32), 4.0)
    assert tuple(drawn[0, 0]) == (247, 247, 247)
    red, blue = drawn[0, 1].astype(int), drawn[0, 2].astype(int)
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert tuple(drawn[0, 3]) == tuple(drawn[0, 2])
