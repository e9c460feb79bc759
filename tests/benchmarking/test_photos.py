from __future__ import annotations

import cv2
import numpy as np
import pytest

from defocusfix.benchmarking import photos
from defocusfix.benchmarking.photos import BLURS_PX, synthetic_photo


@pytest.fixture(autouse=True)
def small_scene(monkeypatch):
    monkeypatch.setattr(photos, "SCENE_SIDE", 128)
    monkeypatch.setattr(photos, "N_LEAVES", 300)


def detail(photo: np.ndarray) -> float:
    return float(cv2.Laplacian(photo.astype(np.float32), cv2.CV_32F).std())


@pytest.mark.parametrize("megapixels", [0.01, 0.1, 0.5])
def test_a_photo_has_the_size_that_was_asked_for_and_the_shape_of_a_camera(megapixels):
    photo = synthetic_photo(megapixels, 0.0)
    height, width, colours = photo.shape
    assert (photo.dtype, colours) == (np.uint8, 3)
    assert width * height / 1e6 == pytest.approx(megapixels, rel=0.02)
    assert width / height == pytest.approx(1.5, rel=0.02)


def test_more_blur_leaves_less_detail_and_the_same_brightness():
    made = [synthetic_photo(0.02, radius) for radius in sorted(BLURS_PX.values())]
    details = [detail(photo) for photo in made]
    assert details == sorted(details, reverse=True)
    assert details[0] > 2 * details[-1]
    assert max(photo.mean() for photo in made) - min(photo.mean() for photo in made) < 12


def test_a_photo_is_the_same_every_time():
    assert np.array_equal(synthetic_photo(0.02, 1.5), synthetic_photo(0.02, 1.5))
