"""What one map and one gain leave between two photos: parallax, and light that varies."""

from __future__ import annotations

import numpy as np
import pytest

from defocusfix.pairs.blur import measure_blur
from defocusfix.pairs.geometry import find_geometry
from defocusfix.pairs.remainder import (
    NOTHING_LEFT,
    Remainder,
    find_remainder,
    remainder_from_json,
)
from defocusfix.registration.exposure import to_display, to_linear, with_gains
from defocusfix.registration.warp import affine_flow, warp
from tests.pairs.photographed import SIZE, as_8_bits, defocused, scene

HEIGHT, WIDTH = SIZE
MIDDLE = slice(48, -48)


def found(blurred: np.ndarray, sharp: np.ndarray) -> Remainder:
    photos = as_8_bits(blurred), as_8_bits(sharp)
    geometry = find_geometry(*photos)
    return find_remainder(*photos, geometry, measure_blur(*photos, geometry))


def out_of_focus(image: np.ndarray, radius_px: float) -> np.ndarray:
    """As a lens does it: in linear light."""
    return to_display(defocused(to_linear(image), radius_px))


def whole(remainder: Remainder) -> tuple[np.ndarray, np.ndarray]:
    return remainder.at((0, 0), SIZE, 1)


def near_and_far() -> np.ndarray:
    """A flow (H, W, 2): what lies to the right is displaced to the right, the left half left."""
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[..., 0] = 2.5 * np.tanh((np.arange(WIDTH) - WIDTH / 2) / 60)
    return flow


def test_parallax_is_found_through_the_blur():
    sharp, parallax = scene(1), near_and_far()
    blurred = out_of_focus(warp(sharp, parallax).clip(0, 1), 4.0)
    flow, _ = whole(found(blurred, sharp))
    matrix = find_geometry(as_8_bits(blurred), as_8_bits(sharp)).matrix
    without = np.abs(affine_flow(matrix, SIZE) - parallax)[MIDDLE, MIDDLE].mean()
    all_of_it = affine_flow(matrix, SIZE) + flow @ matrix[:, :2].T
    assert np.abs(all_of_it - parallax)[MIDDLE, MIDDLE].mean() < 0.5 * without


def test_photos_that_lie_over_each_other_are_left_in_place():
    sharp = scene(2)
    flow, shade = whole(found(out_of_focus(sharp, 3.0), sharp))
    assert np.abs(flow).max() < 0.1
    assert shade[MIDDLE, MIDDLE] == pytest.approx(1, abs=0.03)


def test_darker_corners_are_found_and_detail_is_not_taken_for_light():
    sharp = scene(3)
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    light = np.repeat((1 - 0.15 * (x * x + y * y))[..., None], 3, axis=2).astype(np.float32)
    photos = as_8_bits(out_of_focus(with_gains(sharp, light), 3.0)), as_8_bits(sharp)
    geometry = find_geometry(*photos)
    remainder = find_remainder(*photos, geometry, measure_blur(*photos, geometry))
    ratio = (whole(remainder)[1] * geometry.gains / light)[16:-16, 16:-16]
    assert ratio == pytest.approx(1, abs=0.06)


def test_a_part_at_any_scale_is_that_part_of_the_whole():
    rng = np.random.default_rng(0)
    flow, shade = rng.random((4, 5, 2), np.float32), rng.random((4, 5, 3), np.float32)
    remainder = Remainder(32.0, flow, shade)
    all_flow, all_shade = remainder.at((0, 0), (128, 160), 1)
    part_flow, part_shade = remainder.at((40, 24), (16, 8), 1)
    assert part_flow == pytest.approx(all_flow[24:40, 40:48], abs=1e-5)
    assert part_shade == pytest.approx(all_shade[24:40, 40:48], abs=1e-5)
    half_flow, half_shade = remainder.at((0, 0), (64, 80), 2)
    means = all_flow.reshape(64, 2, 80, 2, 2).mean(axis=(1, 3)) / 2
    assert half_flow[8:-8, 8:-8] == pytest.approx(means[8:-8, 8:-8], abs=0.01)
    assert half_shade.shape == (64, 80, 3)


def test_what_was_kept_is_read_back():
    sharp = scene(1)
    first = found(out_of_focus(warp(sharp, near_and_far()).clip(0, 1), 4.0), sharp)
    again = remainder_from_json(first.to_json())
    for one, other in zip(whole(first), whole(again), strict=True):
        assert other == pytest.approx(one, abs=1e-3)


def test_of_photos_of_different_scenes_nothing_is_said():
    remainder = found(out_of_focus(scene(4), 3.0), scene(5))
    assert remainder is NOTHING_LEFT
    flow, shade = whole(remainder)
    assert not flow.any()
    assert (shade == 1).all()
