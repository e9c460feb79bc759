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
