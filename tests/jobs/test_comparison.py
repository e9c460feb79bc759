from __future__ import annotations

import base64
import re

import numpy as np
import pytest

from defocusfix.jobs.comparison import write_comparison
from defocusfix.photo.coding import PngCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from tests.photo import sample_files as samples


def photo(value: int, *, channels: int = 3, dtype: str = "uint8", **facts: object) -> Photo:
    return Photo(np.full((30, 40, channels), value, dtype), PngCoding(), **facts)


@pytest.fixture
def compare(tmp_path):
    def compared(before, after, kind):
        path = tmp_path / "out"
        write_comparison(
            before, after, path, kind, title="rose.jpg", facts="40 x 30", may_overwrite=True
        )
        return path.read_bytes()

    return compared


def pictures(page: bytes) -> list[Photo]:
    found = re.findall(rb"data:image/jpeg;base64,([^\"]+)", page)
    return [read_photo(base64.b64decode(data)) for data in found]


def test_a_page_holds_both_photos_with_their_profile(compare):
    page = compare(
        photo(60, icc_profile=samples.PROFILE), photo(180, icc_profile=samples.PROFILE), "html"
    )
    before, after = pictures(page)
    assert np.abs(before.pixels.astype(int) - 60).max() <= 2
    assert np.abs(after.pixels.astype(int) - 180).max() <= 2
    assert before.icc_profile == after.icc_profile == samples.PROFILE
    assert b"rose.jpg" in page


def test_a_picture_side_by_side_keeps_the_profile(compare):
    sheet = read_photo(compare(photo(60, icc_profile=samples.PROFILE), photo(180), "side"))
    assert sheet.icc_profile == samples.PROFILE
    assert {60, 180} <= set(np.unique(sheet.pixels))


@pytest.mark.parametrize("kind", ["html", "side"])
@pytest.mark.parametrize(
    ("value", "dtype", "channels"), [(30000, "uint16", 3), (0.5, "float32", 3), (90, "uint8", 1)]
)
def test_every_depth_and_gray_can_be_shown(compare, kind, value, dtype, channels):
    one = photo(value, dtype=dtype, channels=channels, icc_profile=samples.PROFILE)
    assert compare(one, one, kind)


def test_transparent_parts_are_shown_on_white(compare):
    alpha = np.zeros((30, 40), np.uint8)
    alpha[:, 20:] = 255
    clear = photo(10, alpha=alpha)
    first, _ = pictures(compare(clear, clear, "html"))
    assert first.pixels[:, :12].min() > 250
    assert first.pixels[:, 28:].max() < 16


def test_a_photo_too_large_for_a_browser_is_shown_smaller_and_that_is_said(compare):
    long = Photo(np.zeros((8, 16000, 3), np.uint8), PngCoding())
    page = compare(long, long, "html")
    assert b"shown at 50% of its size" in page
    assert pictures(page)[0].width == 8000
