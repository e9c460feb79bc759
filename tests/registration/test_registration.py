from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from defocusfix.registration.exposure import exposure_gains, with_gains
from defocusfix.registration.flow import dis_flow, is_consistent
from defocusfix.registration.global_ecc import align_globally
from defocusfix.registration.local_shift import local_shifts, tiled_shifts
from defocusfix.registration.warp import affine_flow, compose, inside, warp
from tests.evaluation.scenes import blurred, texture
from tests.pairs.photographed import defocused, moved, scene, similarity

SIZE = (96, 128)
PHOTO = texture(*SIZE)


def constant_flow(x: float, y: float) -> np.ndarray:
    return np.broadcast_to(np.array([x, y], np.float32), (*SIZE, 2)).copy()


@given(arrays.arrays(np.float32, (5, 7, 3), elements=st.floats(-2, 2, width=32)))
def test_a_zero_flow_returns_the_image_to_the_last_bit(image):
    assert np.array_equal(warp(image, np.zeros((5, 7, 2), np.float32)), image)


def test_a_whole_flow_moves_whole_pixels_from_where_it_points():
    moved = warp(PHOTO, constant_flow(3, -2))
    assert np.array_equal(moved[2:, :-3], PHOTO[:-2, 3:])
    is_inside = inside(constant_flow(3, -2))
    assert is_inside[2:, :-3].all()
    assert not is_inside[:2].any()
    assert not is_inside[:, -3:].any()


def test_a_flow_of_another_size_is_refused():
    with pytest.raises(ValueError, match="differ in size"):
        warp(PHOTO, np.zeros((4, 4, 2), np.float32))


def test_composed_flows_warp_as_two_do():
    inner, outer = constant_flow(1.5, 0.25), constant_flow(-2, 3)
    once = warp(PHOTO, compose(outer, inner))
    twice = warp(warp(PHOTO, inner), outer)
    assert np.abs(once - twice)[8:-8, 8:-8].max() < 1e-6


def test_an_affine_flow_points_where_its_matrix_does():
    flow = affine_flow(np.array([[1.1, 0.2, 3], [-0.1, 0.9, 5]]), (4, 6))
    assert flow[3, 5] == pytest.approx([1.1 * 5 + 0.2 * 3 + 3 - 5, -0.1 * 5 + 0.9 * 3 + 5 - 3])


@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 0, 9.3], [0, 1, -6.7]],
        [[0.998, -0.03, 2], [0.03, 0.998, -1]],
        [[1.03, 0, -2.5], [0, 1.03, -1.2]],
    ],
    ids=["shift", "rotation", "zoom"],
)
def test_a_global_map_is_found_although_one_photo_is_blurred_and_darker(matrix):
    moved = 0.7 * warp(PHOTO, affine_flow(np.array(matrix), SIZE))
    found = align_globally(moved, blurred(PHOTO))
    assert found.is_found
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    error = found.flow(SIZE) - affine_flow(inverse, SIZE)
    assert np.hypot(error[..., 0], error[..., 1]).max() < 0.5


def test_photos_of_different_scenes_are_not_aligned():
    stranger = texture(*SIZE, seed=5)
    for other in (stranger, np.full_like(PHOTO, 0.5)):
        found = align_globally(other, PHOTO)
        assert not found.is_found
        assert np.array_equal(found.matrix, np.eye(2, 3))


def test_local_shifts_follow_a_slow_wave_and_stay_within_their_limit():
    flow = constant_flow(0, 0)
    flow[..., 0] = 1.2 * np.sin(np.arange(SIZE[0]) / SIZE[0] * 2 * np.pi)[:, None]
    found = local_shifts(PHOTO, blurred(warp(PHOTO, flow)))
    assert np.abs(found - flow)[12:-12, 12:-12].mean() < 0.25
    limited = local_shifts(PHOTO, warp(PHOTO, flow), limit_px=0.5)
    assert np.hypot(limited[..., 0], limited[..., 1]).max() <= 0.5 + 1e-5


def test_flat_photos_have_no_local_shift():
    flat = np.full((20, 20, 3), 0.4, np.float32)
    assert not local_shifts(flat, flat).any()


def test_each_tile_gets_the_whole_shift_that_suits_it_best():
    is_left = (np.arange(SIZE[1]) < 64)[None, :, None]
    flow = np.where(is_left, constant_flow(2, -1), constant_flow(-1, 0))
    found = tiled_shifts(PHOTO, blurred(warp(PHOTO, flow), 1.0), tile_px=32)
    assert found.dtype == np.float32
    wrong = (found != flow).any(axis=2)
    assert not wrong[:, :32].any()
    assert not wrong[:, 96:].any()


@given(limit_px=st.integers(0, 3), tile_px=st.integers(8, 200), seed=st.integers(0, 99))
def test_tiled_shifts_are_whole_and_within_their_limit(limit_px, tile_px, seed):
    photo, other = texture(24, 40, seed), texture(24, 40, seed + 100)
    found = tiled_shifts(photo, other, limit_px, tile_px)
    assert found.shape == (24, 40, 2)
    assert np.array_equal(found, np.rint(found))
    assert np.abs(found).max() <= limit_px


def test_a_tile_without_anything_to_hold_on_to_stays_in_place():
    flat = np.full((20, 30, 3), 0.4, np.float32)
    assert not tiled_shifts(flat, 0.5 * flat).any()


def test_optical_flow_lays_the_moving_photo_on_the_fixed_one():
    fixed = warp(PHOTO, constant_flow(2.5, -1.5))
    flow = dis_flow(PHOTO, fixed)
    assert np.median(flow[..., 0]) == pytest.approx(2.5, abs=0.15)
    assert np.median(flow[..., 1]) == pytest.approx(-1.5, abs=0.15)


def test_only_a_flow_that_returns_is_consistent():
    there, back = constant_flow(3, 0), constant_flow(-3, 0)
    assert is_consistent(there, back)[:, :-3].all()
    assert not is_consistent(there, back)[:, -3:].any()
    assert not is_consistent(there, there).any()


@pytest.mark.parametrize("method", [align_globally, local_shifts, tiled_shifts, dis_flow])
def test_photos_of_unequal_size_are_refused(method):
    with pytest.raises(ValueError, match="differ in shape"):
        method(PHOTO, PHOTO[:-1])


def test_gains_in_linear_light_are_found_and_undone_although_one_photo_is_blurred():
    gains = np.array([0.8, 1.0, 0.9], np.float32)
    darker = with_gains(PHOTO, gains)
    found = exposure_gains(darker, blurred(PHOTO, 1.0), np.ones(SIZE, bool))
    assert found == pytest.approx(1 / gains, rel=0.01)
    assert with_gains(darker, found) == pytest.approx(PHOTO, abs=0.01)


@pytest.mark.parametrize(("degrees", "zoom"), [(9, 1.0), (-10, 1.08), (0, 1.15)])
def test_a_photo_turned_by_several_degrees_is_still_found(degrees, zoom):
    sharp = scene(3)
    matrix = similarity(degrees, zoom, 12, -9)
    found = align_globally(moved(sharp, matrix), defocused(sharp, 6))
    assert found.is_found
    assert found.matrix == pytest.approx(matrix, abs=1.5)
