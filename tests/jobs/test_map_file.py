from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile

from defocusfix.errors import OutputError
from defocusfix.jobs.map_file import encode_map, write_map
from defocusfix.photo.read import read_photo
from defocusfix.restoration.defocus_map import DefocusMap

RADIUS_PX = np.linspace(0, 70, 40 * 60, dtype=np.float32).reshape(40, 60)
MAP = DefocusMap(RADIUS_PX)


def test_png16_has_1024_codes_for_each_pixel_and_ends_at_64():
    codes = read_photo(encode_map(MAP, "png16")).pixels[:, :, 0]
    assert codes.dtype == np.uint16
    expected = np.clip(np.rint(RADIUS_PX.astype(float) * 1024), 0, 65535)
    assert np.abs(codes - expected).max() <= 1
    assert b"1024 is one pixel" in encode_map(MAP, "png16")


def test_npy_holds_the_radius_in_pixels():
    assert np.array_equal(np.load(io.BytesIO(encode_map(MAP, "npy"))), RADIUS_PX)


def test_tiff_holds_the_radius_in_pixels_for_other_readers_too():
    values = tifffile.imread(io.BytesIO(encode_map(MAP, "tiff")))
    assert values.dtype == np.float32
    assert np.array_equal(values, RADIUS_PX)


def test_color_is_a_picture_with_a_legend_and_of_a_size_to_look_at():
    picture = read_photo(encode_map(MAP, "color"))
    assert (picture.bits, picture.pixels.shape[2]) == (8, 3)
    assert picture.width > 60
    huge = DefocusMap(np.zeros((10, 5000), np.float16))
    assert read_photo(encode_map(huge, "color")).width < 2500


def test_a_map_is_not_written_over_another_file_unasked(tmp_path):
    path = tmp_path / "map.npy"
    write_map(MAP, path, "npy", may_overwrite=False)
    with pytest.raises(OutputError, match="exists already"):
        write_map(MAP, path, "npy", may_overwrite=False)
    write_map(MAP, path, "npy", may_overwrite=True)
