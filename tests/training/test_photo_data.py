"""Windows of photos without truth, for teachers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from defocusfix.errors import InputError
from defocusfix.rendering.photos import dead_leaves
from defocusfix.training.photo_data import PhotoSource

SIDE = 64


@pytest.fixture
def photos(tmp_path):
    for seed in range(3):
        cv2.imwrite(str(tmp_path / f"{seed}.png"), dead_leaves(np.random.default_rng(seed), 150))
    return tmp_path


def test_a_window_depends_on_seed_and_number_only(photos):
    source = PhotoSource([photos], seed=3, size=SIDE)
    with ThreadPoolExecutor(4) as threads:
        asked = list(threads.map(source.sample, range(24)))
    again = PhotoSource([photos], seed=3, size=SIDE)
    for k in reversed(range(24)):  # another order of asking
        np.testing.assert_array_equal(again.sample(k), asked[k])
    other = PhotoSource([photos], seed=4, size=SIDE)
    assert not np.array_equal(other.sample(0), asked[0])
    assert len({window.tobytes() for window in asked}) == 24


def test_a_photo_as_large_as_a_window_is_taken_whole(tmp_path):
    photo = dead_leaves(np.random.default_rng(0), SIDE)
    cv2.imwrite(str(tmp_path / "whole.png"), photo)
    source = PhotoSource([tmp_path], seed=0, size=SIDE)
    contrasts = [source.sample(k).std() / photo.std() for k in range(20)]
    assert 0.55 < min(contrasts) < max(contrasts) < 1.3  # brightness and JPEG, nothing cut away


def test_a_folder_without_photos_is_an_error(tmp_path):
    with pytest.raises(InputError, match="holds no photos"):
        PhotoSource([tmp_path], seed=0, size=SIDE)
