from __future__ import annotations

import numpy as np
import pytest

from defocusfix.restoration import DefocusMap


def test_statistics_of_a_photo_of_which_a_quarter_is_blurred():
    radius_px = np.zeros((40, 40), np.float32)
    radius_px[:20, :20] = 8
    defocus_map = DefocusMap(radius_px)
    assert defocus_map.share_out_of_focus == 0.25
    assert defocus_map.median_px == 0
    assert defocus_map.percentile_95_px == 8


@pytest.mark.parametrize(
    ("radius_px", "code"), [(0, 0), (1, 1024), (2.5, 2560), (64, 65535), (500, 65535)]
)
def test_a_16_bit_map_has_1024_codes_for_each_pixel_of_radius(radius_px, code):
    codes = DefocusMap(np.full((2, 2), radius_px, np.float32)).to_uint16()
    assert codes.dtype == np.uint16
    assert codes.tolist() == [[code] * 2] * 2


def test_a_percentile_is_the_radius_that_so_much_of_the_photo_stays_under():
    defocus_map = DefocusMap(np.arange(101, dtype=np.float32).reshape(1, 101))
    assert defocus_map.percentile(0) == 0
    assert defocus_map.percentile(30) == pytest.approx(30)
    assert defocus_map.percentile(100) == 100


def test_the_statistics_of_a_large_map_come_from_pixels_all_over_it():
    ramp = np.linspace(0, 10, 3000, dtype=np.float16)
    defocus_map = DefocusMap(np.broadcast_to(ramp, (1500, 3000)))
    assert defocus_map.median_px == pytest.approx(5, abs=0.02)
    assert defocus_map.share_out_of_focus == pytest.approx(0.9, abs=0.005)


def test_a_map_kept_as_float16_is_given_out_as_float32():
    stored = np.full((3, 4), 2.5, np.float16)
    assert DefocusMap(stored).radius_px.dtype == np.float32
    assert (DefocusMap(stored).to_uint16() == 2560).all()
