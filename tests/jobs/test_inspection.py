from __future__ import annotations

import numpy as np
import pytest

from defocusfix.jobs.inspection import BLOCK_PX, forecast_of, inspect_photo, profile_name
from defocusfix.photo.limits import DEFAULT
from defocusfix.restoration.defocus_map import DefocusMap
from defocusfix.restoration.restorer import Restorer
from tests.photo import sample_files as samples
from tests.restoration.stand_in_engines import brighter


def forecast(radius_px: np.ndarray, n_levels: int = 3):
    found = DefocusMap(radius_px.astype(np.float16))
    return forecast_of(found, n_levels, seconds=1.25, seconds_for_files=0.5)


def test_what_is_sharp_is_left_alone_and_what_is_strongly_blurred_is_computed_small():
    radius_px = np.zeros((2 * BLOCK_PX, 2 * BLOCK_PX))
    radius_px[:BLOCK_PX, BLOCK_PX:] = 3
    radius_px[BLOCK_PX:] = 20
    assert forecast(radius_px).scales == {0: 0.25, 1: 0.25, 2: 0.5}


def test_the_full_size_costs_four_times_the_half_size_where_it_is_needed():
    # Half and quarter size took 1 s and 0.25 s.
    assert forecast(np.full((50, 70), 0.1)).seconds == pytest.approx(0.5 + 1.25)
    assert forecast(np.full((50, 70), 3.0)).seconds == pytest.approx(0.5 + 1.25 + 4)
    assert forecast(np.full((50, 70), 30.0)).seconds == pytest.approx(0.5 + 1.25)


def test_a_block_counts_by_its_extremes():
    radius_px = np.zeros((50, 70))
    radius_px[3, 5] = 3
    assert forecast(radius_px).scales == {1: 1.0}


def test_a_photo_is_read_and_looked_at(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(samples.jpeg(samples.scene(), exif=samples.exif()))
    shares = []
    found = inspect_photo(
        path, lambda bits: Restorer(brighter(radius_px=2.0)), DEFAULT, shares.append
    )
    assert (found.photo.width, found.camera.f_number) == (64, 1.8)
    assert found.blur.share_out_of_focus == 1.0
    assert found.forecast.seconds > 0
    assert sum(shares) == pytest.approx(1)


def test_a_profile_is_called_by_its_name_and_a_broken_one_is_said_to_be():
    assert profile_name(samples.PROFILE) == "sRGB built-in"
    assert profile_name(b"broken") == "a profile that cannot be read"
    assert profile_name(None) is None
