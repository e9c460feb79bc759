from __future__ import annotations

import cv2
import numpy as np
import pytest

from defocusfix.jobs.motion_blur import LARGEST_SIDE_PX, looks_like_motion, small_luminance
from defocusfix.optics import disc
from defocusfix.photo.coding import PngCoding
from defocusfix.photo.photo import Photo
from defocusfix.rendering.photos import dead_leaves


def blurred(psf: np.ndarray, dtype=np.uint8) -> Photo:
    leaves = dead_leaves(np.random.default_rng(5), 384)
    picture = cv2.filter2D(leaves.astype(np.float32) / 255, -1, psf)
    picture += np.random.default_rng(6).normal(0, 0.004, picture.shape).astype(np.float32)
    white = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    return Photo(pixels=(picture.clip(0, 1) * white).astype(dtype), coding=PngCoding())


def path_psf(length: int, *, is_upright: bool) -> np.ndarray:
    psf = np.zeros((2 * length + 1, 2 * length + 1), np.float32)
    psf[length, length // 2 : length // 2 + length] = 1 / length
    return psf.T if is_upright else psf


@pytest.mark.parametrize("is_upright", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_photo_that_moved_is_told_from_one_out_of_focus(is_upright, dtype):
    assert looks_like_motion(blurred(path_psf(12, is_upright=is_upright), dtype))
    assert not looks_like_motion(blurred(disc(5), dtype))


def test_where_there_is_nothing_to_see_nothing_is_said():
    flat = Photo(pixels=np.full((300, 300, 1), 90, np.uint8), coding=PngCoding())
    tiny = Photo(pixels=np.zeros((3, 5, 3), np.uint8), coding=PngCoding())
    assert not looks_like_motion(flat)
    assert not looks_like_motion(tiny)


def test_large_photos_are_looked_at_small():
    wide = Photo(pixels=np.full((100, 2 * LARGEST_SIDE_PX, 1), 51, np.uint8), coding=PngCoding())
    small = small_luminance(wide)
    assert small.shape == (50, LARGEST_SIDE_PX)
    assert small == pytest.approx(0.2)
