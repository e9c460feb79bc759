from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from defocusfix.errors import InputError
from defocusfix.evaluation.maps import (
    MaskedPhoto,
    blurredness,
    masked_photos,
    score_map,
    score_maps,
    summarise,
)
from defocusfix.evaluation.protocols import Restored, untouched
from tests.evaluation.scenes import texture

IS_BLURRED = np.zeros((20, 30), bool)
IS_BLURRED[:, 12:] = True
PHOTO = MaskedPhoto("photo", texture(20, 30), IS_BLURRED)


def test_a_map_that_separates_at_the_threshold_is_perfect_there():
    score = score_map(np.where(IS_BLURRED, 4.0, 0.0).astype(np.float32), PHOTO)
    assert score.f_at_chosen == 1
    assert score.error == 0


def test_the_best_threshold_is_one_for_the_whole_set():
    radius = np.where(IS_BLURRED, 4.0, 1.6).astype(np.float32)
    summary = summarise([score_map(radius, PHOTO)] * 3)
    assert summary.f_at_chosen < 1
    assert summary.best_f == 1
    assert summary.best_threshold_px == 2.0
    assert summary.photos == 3


def test_the_error_of_a_map_does_not_depend_on_how_strong_the_strongest_blur_is():
    radius = np.where(IS_BLURRED, 3.0, 0.25).astype(np.float32)
    stronger = radius.copy()
    stronger[IS_BLURRED] *= np.linspace(1, 8, np.count_nonzero(IS_BLURRED), dtype=np.float32)
    error = score_map(radius, PHOTO).error
    assert error == pytest.approx(0.25 / 2 * np.mean(~IS_BLURRED))
    assert score_map(stronger, PHOTO).error == error


def test_a_constant_map_is_wrong_where_the_mask_says_otherwise():
    score = score_map(np.full((20, 30), 3, np.float32), PHOTO)
    assert score.error == pytest.approx(np.mean(~IS_BLURRED))


@pytest.mark.parametrize("threshold", [0.5, 1.0, 3.0])
def test_a_radius_at_the_threshold_is_half_blurred(threshold):
    radius = np.array([[0, 0.5, 1, 2, 9]], np.float32) * threshold
    assert np.allclose(blurredness(radius, threshold), [[0, 0.25, 0.5, 1, 1]])


def test_photos_find_the_mask_of_their_stem_and_white_is_out_of_focus(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "images" / "a.jpg")
    mask = np.array([[255, 0, 0, 0, 0, 0]] * 4, np.uint8)
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    (photo,) = masked_photos(tmp_path / "images", tmp_path / "masks")
    assert photo.name == "a"
    assert np.array_equal(photo.is_blurred, mask == 255)
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "images" / "b.png")
    with pytest.raises(InputError, match=r"b\.png has no mask"):
        list(masked_photos(tmp_path / "images", tmp_path / "masks"))


def test_a_mask_of_another_size_is_refused(tmp_path):
    for name, size in (("images", (4, 6)), ("masks", (4, 5))):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / name / "a.png")
    with pytest.raises(InputError, match="differ in size"):
        list(masked_photos(tmp_path / "images", tmp_path / "masks"))


def test_a_method_without_a_map_is_refused():
    with pytest.raises(InputError, match="no defocus map"):
        score_maps(untouched, [PHOTO])


def test_the_map_of_the_method_is_what_is_scored():
    radius = np.where(IS_BLURRED, 4.0, 0.0).astype(np.float32)
    (score,) = score_maps(lambda image: Restored(image, radius), [PHOTO], threshold_px=5)
    assert score.f_at_chosen == 0
