"""The simplest map that lays one photo on the other, whatever is out of focus or has moved."""

from __future__ import annotations

import numpy as np
import pytest

from defocusfix.registration.global_ecc import GlobalAlignment, align_globally
from defocusfix.registration.motion_model import LARGEST_LOSS, align_simply
from tests.evaluation.scenes import texture
from tests.pairs.photographed import SIZE, defocused, moved, scene, similarity

SHIFT = similarity(0, 1, 3.4, -2.3)
TURN_AND_ZOOM = similarity(0.3, 1.003, 2.5, -1.5)
SHEAR = np.array([[1.0, 0.012, -3], [-0.004, 1.01, 1]])


def pair(seed: int, matrix: np.ndarray, radius_px: float) -> tuple[np.ndarray, np.ndarray]:
    """The sharp and the blurred photo of a scene, whose left half is in focus in both."""
    sharp, rng = scene(seed), np.random.default_rng(seed)
    is_far = (np.arange(SIZE[1]) >= SIZE[1] // 2)[None, :, None]
    views = moved(sharp, matrix), np.where(is_far, defocused(sharp, radius_px), sharp)
    noisy = (view + rng.normal(0, 0.004, view.shape) for view in views)
    moving, fixed = (view.clip(0, 1).astype(np.float32) for view in noisy)
    return moving, fixed


def error_px(found: GlobalAlignment, matrix: np.ndarray) -> float:
    """At the corner where it is largest."""
    corners = np.array([[x, y, 1] for x in (0, SIZE[1] - 1) for y in (0, SIZE[0] - 1)]).T
    return float(np.hypot(*((found.matrix - matrix) @ corners)).max())


def is_shift(found: GlobalAlignment) -> bool:
    return np.array_equal(found.matrix[:, :2], np.eye(2))


def is_similarity(found: GlobalAlignment) -> bool:
    (a, b), (c, d) = found.matrix[:, :2]
    return (a, b) == pytest.approx((d, -c), abs=1e-9) and not is_shift(found)


@pytest.mark.parametrize("radius_px", [0.5, 3, 10])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_shift_stays_a_shift_however_blurred_a_part_of_the_photo_is(seed, radius_px):
    found = align_simply(*pair(seed, SHIFT, radius_px))
    assert is_shift(found)
    assert error_px(found, SHIFT) < 0.1


@pytest.mark.parametrize("radius_px", [0.5, 3, 10])
def test_a_small_turn_and_zoom_are_found_and_nothing_else(radius_px):
    found = align_simply(*pair(2, TURN_AND_ZOOM, radius_px))
    assert is_similarity(found)
    assert error_px(found, TURN_AND_ZOOM) < 0.15


@pytest.mark.parametrize("matrix", [SHIFT, TURN_AND_ZOOM], ids=["shift", "turn and zoom"])
def test_where_all_is_out_of_focus_it_is_nearer_than_an_affine_map(matrix):
    moving, fixed = moved(scene(3), matrix), defocused(scene(3), 5)
    simple, affine = align_simply(moving, fixed), align_globally(moving, fixed)
    assert error_px(simple, matrix) < min(0.2, error_px(affine, matrix))


def test_an_affine_map_is_taken_where_the_photos_ask_for_one():
    found = align_simply(*pair(4, SHEAR, 3))
    assert not is_shift(found)
    assert not is_similarity(found)
    assert error_px(found, SHEAR) < 0.2


def test_what_moved_by_itself_does_not_bend_the_map():
    moving, fixed = pair(5, SHIFT, 2)
    for top, left, by in ((20, 250, (6, 0)), (60, 320, (5, 3)), (200, 300, (7, -2))):
        there = slice(top, top + 60), slice(left, left + 55)
        moving[there] = np.roll(moving, by, (1, 0))[there]
    found = align_simply(moving, fixed)
    assert is_shift(found)
    assert error_px(found, SHIFT) < 0.15
    assert error_px(align_globally(moving, fixed), SHIFT) > 2 * error_px(found, SHIFT)


def test_a_photo_that_is_mostly_sky_is_aligned_by_the_rest():
    moving, fixed = pair(6, SHIFT, 3)
    for view in (moving, fixed):
        view[:200] = 0.7 + 0.002 * texture(200, SIZE[1], 1)
    found = align_simply(moving, fixed)
    assert found.is_found
    assert np.hypot(*(found.matrix - SHIFT) @ [SIZE[1] / 2, 240, 1]) < 0.3


def test_of_two_movements_the_one_that_the_whole_photo_follows_best_is_kept():
    sharp = scene(7)
    is_left = (np.arange(SIZE[1]) < SIZE[1] // 2)[None, :, None]
    moving = np.where(is_left, np.roll(sharp, 5, 1), np.roll(sharp, -5, 1))
    whole, found = align_globally(moving, sharp), align_simply(moving, sharp)
    assert whole.is_found
    assert found.correlation >= whole.correlation - LARGEST_LOSS


def test_photos_of_different_scenes_are_not_aligned():
    assert not align_simply(scene(1), scene(0)).is_found


def test_photos_of_unequal_size_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        align_simply(scene(0), scene(0)[:-1])
