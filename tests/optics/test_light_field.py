"""Refocused light fields, against views that are known everywhere."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defocusfix.optics.light_field import (
    LightField,
    pieces_per_step,
    refocus,
    sample_pupil,
    shifted,
    signed_radius,
    view_slopes,
)
from defocusfix.optics.psf import Aperture, disc
from tests.optics import light_fields
from tests.optics.light_fields import Texture, box_view, field_of, plane

SIZE = (72, 80)
INNER = np.s_[16:-16, 16:-16]
SHAPES = {
    "disc": Aperture(),
    "hexagon": Aperture(blades=6),
    "pentagon": Aperture(blades=5),
    "square": Aperture(blades=4, rotation=math.pi / 4),
    "cat's eye": Aperture(cats_eye=0.5),
}
FIELD = plane(0.0, size=(16, 16), grid=(9, 9))


def constant_slopes(field: LightField, slope: float) -> np.ndarray:
    return np.full((*field.grid, *field.size), slope, np.float32)


@given(
    shape=st.sampled_from(sorted(SHAPES)),
    radius=st.floats(0.4, 4.0),
    pieces=st.sampled_from([1, 3]),
)
@settings(max_examples=12, deadline=None)
def test_a_sampled_aperture_keeps_its_light_its_middle_and_its_second_moment(shape, radius, pieces):
    aperture = SHAPES[shape]
    pupil = sample_pupil(FIELD, aperture, radius, pieces)
    weights = np.array([sample.weight for sample in pupil.samples])
    places = np.array([sample.position for sample in pupil.samples])
    offsets = np.array([sample.offset for sample in pupil.samples])
    views = np.array([sample.view for sample in pupil.samples]) - 4
    assert weights.min() > 0
    assert weights.sum() == pytest.approx(1)
    assert weights @ places == pytest.approx([0, 0], abs=1e-3)
    wanted = radius**2 * aperture.mean_square
    assert weights @ np.square(places).sum(axis=1) == pytest.approx(wanted, rel=1e-4)
    assert pupil.radius_steps == radius
    assert views + offsets == pytest.approx(places)
    assert np.abs(offsets).max() <= 0.5


def test_an_aperture_beyond_the_views_is_refused():
    with pytest.raises(ValueError, match="reaches beyond 9 x 9 views"):
        sample_pupil(FIELD, Aperture(), 4.6, 1)
    with pytest.raises(ValueError, match="no aperture"):
        sample_pupil(FIELD, Aperture(), 0, 1)
    with pytest.raises(ValueError, match="no aperture"):
        sample_pupil(FIELD, Aperture(), 2, 2)


def test_a_view_left_out_takes_the_opposite_one_with_it_so_that_nothing_moves():
    usable = np.ones((9, 9), bool)
    usable[4, 0] = usable[0, 0] = False
    field = replace(FIELD, usable=usable)
    pupil = sample_pupil(field, Aperture(), 4.0, 1)
    assert pupil.dropped == 2  # the corner was not under the disc anyway
    assert not {(4, 0), (4, 8)} & {sample.view for sample in pupil.samples}
    weights = np.array([sample.weight for sample in pupil.samples])
    places = np.array([sample.position for sample in pupil.samples])
    assert weights @ places == pytest.approx([0, 0], abs=1e-9)
    moment = weights @ np.square(places).sum(axis=1)
    assert pupil.radius_steps == pytest.approx(math.sqrt(moment / Aperture().mean_square))
    assert pupil.radius_steps < 4


@given(down=st.floats(-5, 5), right=st.floats(-5, 5))
@settings(max_examples=12, deadline=None)
def test_a_shift_moves_what_a_texture_shows_and_nothing_else(down, right):
    texture = Texture(3, highest=0.35)
    row, column = light_fields.positions((48, 48))
    image = texture.at(row, column).astype(np.float32)
    moved = shifted(image, (down, right))
    wanted = texture.at(row - down, column - right)
    assert moved[INNER] == pytest.approx(wanted[INNER], abs=0.01)
    flat = np.full((48, 48, 3), 0.3, np.float32)
    assert shifted(flat, (down, right)) == pytest.approx(flat, abs=1e-6)


def test_a_shift_by_whole_pixels_changes_no_value():
    image = np.random.default_rng(0).random((40, 50, 3), np.float32)
    moved = shifted(image, (3, -2))
    np.testing.assert_array_equal(moved[3:, :-2], image[:-3, 2:])
    with pytest.raises(ValueError, match="leaves nothing"):
        shifted(image, (60, 0))


@pytest.mark.parametrize("slope", [-0.7, 0.0, 1.3])
def test_a_plane_in_focus_is_the_middle_view(slope):
    field = plane(slope)
    pupil = sample_pupil(field, Aperture(), 2.0, 1)
    photo = refocus(field, pupil, slope)
    assert photo.image[INNER] == pytest.approx(field.middle[INNER], abs=2e-3)
    assert photo.whole[INNER].all()


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_a_plane_out_of_focus_is_the_sum_over_the_aperture_written_out(shape):
    slope, focus = 0.3, 1.1
    field = plane(slope)
    pupil = sample_pupil(field, SHAPES[shape], 2.0, 1)
    photo = refocus(field, pupil, focus)
    row, column = light_fields.positions(SIZE)
    wanted = sum(
        sample.weight
        * Texture(1).at(
            row + (slope - focus) * sample.position[0],
            column + (slope - focus) * sample.position[1],
        )
        for sample in pupil.samples
    )
    assert photo.image[INNER] == pytest.approx(wanted[INNER], abs=2e-3)


@pytest.mark.parametrize(("slope", "focus"), [(0.2, 1.2), (1.2, 0.2)])
def test_its_blur_is_the_disc_of_the_radius_that_the_relation_gives(slope, focus):
    field = plane(slope, grid=(7, 7), size=(64, 64))
    pupil = sample_pupil(field, Aperture(), 3.0, 3)
    radius_px = float(signed_radius(np.float32(slope), focus, pupil.radius_steps))
    assert radius_px == pytest.approx(3 * (focus - slope))
    assert (radius_px > 0) == (slope < focus)  # farther than the plane of focus
    photo = refocus(field, pupil, focus, constant_slopes(field, slope))
    blurred = cv2.filter2D(field.middle, -1, disc(abs(radius_px)))
    contrast = float(field.middle[INNER].std())
    error = photo.image[INNER] - blurred[INNER]
    assert np.sqrt(np.mean(error**2)) < 0.03 * contrast


def test_a_constant_stays_constant_and_light_is_neither_lost_nor_made():
    flat = field_of(lambda step: np.full((*SIZE, 3), 0.25))
    pupil = sample_pupil(flat, SHAPES["hexagon"], 2.0, 3)
    photo = refocus(flat, pupil, 0.8, constant_slopes(flat, 0.3))
    assert photo.image == pytest.approx(np.full((*SIZE, 3), 0.25), abs=1e-5)
    dot = field_of(lambda step: _spot(0.4, step))
    pupil = sample_pupil(dot, Aperture(), 2.0, 3)
    photo = refocus(dot, pupil, 1.6, constant_slopes(dot, 0.4))
    assert photo.image.sum() == pytest.approx(dot.middle.sum(), rel=2e-3)


@pytest.mark.parametrize("focus", [-0.4, 0.5, 1.4])
@pytest.mark.parametrize("shape", ["disc", "pentagon"])
def test_input_and_target_lie_over_each_other_to_a_fiftieth_of_a_pixel(focus, shape):
    field = plane(0.5, size=(96, 96), seed=5)
    pupil = sample_pupil(field, SHAPES[shape], 2.0, 1)
    photo = refocus(field, pupil, focus)
    target, blurred = (image[INNER].mean(axis=2) for image in (field.middle, photo.image))
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-7)
    start = np.eye(2, 3, dtype=np.float32)
    _, found = cv2.findTransformECC(target, blurred, start, cv2.MOTION_TRANSLATION, stop)
    assert np.hypot(*found[:, 2]) < 0.02


def test_a_plane_that_is_not_in_focus_moves_to_neither_side_of_its_place():
    spot = field_of(lambda step: _spot(0.4, step))
    for focus in (-0.5, 1.6):
        pupil = sample_pupil(spot, SHAPES["cat's eye"], 2.0, 1)
        light = refocus(spot, pupil, focus).image.mean(axis=2)
        row, column = light_fields.positions(SIZE)
        middle = (light * row).sum() / light.sum(), (light * column).sum() / light.sum()
        assert middle == pytest.approx((36, 40), abs=5e-3)


def test_views_in_between_take_the_ghosts_away():
    slope, focus, grid = 0.0, 3.0, (5, 5)
    spot = field_of(lambda step: _spot(slope, step, sigma=0.8), grid)
    slopes = constant_slopes(spot, slope)
    finest = sample_pupil(plane(0.0, size=(8, 8), grid=grid), Aperture(), 2.0, 15)
    row, column = light_fields.positions(SIZE)
    truth = sum(
        sample.weight
        * _spot_at(row - focus * sample.position[0], column - focus * sample.position[1], 0.8)
        for sample in finest.samples
    )
    errors = {}
    for pieces in (1, pieces_per_step(slopes, focus, 1.0)):
        pupil = sample_pupil(spot, Aperture(), 2.0, pieces)
        photo = refocus(spot, pupil, focus, slopes)
        errors[pieces] = float(np.abs(photo.image - truth).sum() / truth.sum())
    assert sorted(errors) == [1, 3]
    assert errors[1] > 0.4
    assert errors[3] < errors[1] / 4


def test_a_view_in_between_is_what_a_lens_there_would_see():
    size = (64, 72)
    scene = {"far": 0.2, "near": 1.4}
    field = field_of(lambda step: box_view(step, size, **scene), (3, 3))
    row, column = light_fields.positions(size)
    slopes = np.where(light_fields.is_box(row, column, size), 1.4, 0.2).astype(np.float32)
    pupil = sample_pupil(field, Aperture(), 1.0, 3)
    found = refocus(field, pupil, 0.2, view_slopes(slopes, field.grid)).image
    wanted = sum(s.weight * _shifted_box(s.position, size, 0.2, scene) for s in pupil.samples)
    part = np.s_[12:-12, 12:-12]
    apart = np.abs(found[part] - wanted[part])
    assert np.median(apart) < 2e-3
    assert np.mean(apart) < 0.01  # what only the views between see is around the box


def test_slopes_of_a_view_show_what_it_sees_nearer_over_farther():
    size = (40, 60)
    row, column = light_fields.positions(size)
    slopes = np.where(light_fields.is_box(row, column, size), 2.0, 0.0).astype(np.float32)
    found = view_slopes(slopes, (3, 5))
    np.testing.assert_array_equal(found[1, 2], cv2.medianBlur(slopes, 3))
    for v, u in ((1, 0), (0, 4), (2, 2)):
        dv, du = v - 1, u - 2
        wanted = np.where(light_fields.is_box(row + 2 * dv, column + 2 * du, size), 2.0, 0.0)
        assert np.mean(found[v, u] != wanted) < 0.02  # corners, rounded by the median


def test_pieces_are_odd_and_no_farther_apart_than_asked():
    assert pieces_per_step(np.float32([0, 1]), 0.5, 1.0) == 1
    assert pieces_per_step(np.float32([0, 1]), 0.0, 1.0) == 1
    assert pieces_per_step(np.float32([0, 1]), -0.2, 1.0) == 3
    assert pieces_per_step(np.float32([0, 1]), 5.0, 1.0) == 5
    field = plane(0.0)
    with pytest.raises(ValueError, match="need the slopes"):
        refocus(field, sample_pupil(field, Aperture(), 2.0, 3), 1.0)


def test_what_a_view_does_not_show_is_not_whole():
    field = plane(0.0)
    field.seen[0, 2, :10] = False
    pupil = sample_pupil(field, Aperture(), 2.0, 1)
    whole = refocus(field, pupil, 1.0).whole
    assert not whole[:15].any()  # 10 unseen rows, moved up by 2, and 7 that its filter needs
    assert not whole[:, :6].any()
    assert whole[24:-12, 12:-12].all()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"views": np.zeros((4, 5, 8, 8, 3), np.float32)}, "none in the middle"),
        ({"views": np.zeros((5, 5, 8, 8), np.float32)}, "views are"),
        ({"usable": np.ones((3, 3), bool)}, "do not belong"),
        ({"usable": np.zeros((5, 5), bool)}, "must be usable"),
    ],
)
def test_what_is_no_light_field_is_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        replace(plane(0.0, size=(8, 8)), **change)


def _spot_at(y: np.ndarray, x: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian of light in the middle of SIZE."""
    square = (y - SIZE[0] / 2) ** 2 + (x - SIZE[1] / 2) ** 2
    return np.repeat(np.exp(-square / (2 * sigma**2))[..., None], 3, axis=2)


def _spot(slope: float, step: tuple[float, float], sigma: float = 1.2) -> np.ndarray:
    row, column = light_fields.positions(SIZE)
    return _spot_at(row + slope * step[0], column + slope * step[1], sigma)


def _shifted_box(step, size, focus: float, scene) -> np.ndarray:
    """The exact view from `step`, moved as focusing does; both in one."""
    row, column = light_fields.positions(size)
    y, x = row - focus * step[0], column - focus * step[1]
    front = light_fields.is_box(y + scene["near"] * step[0], x + scene["near"] * step[1], size)
    near = Texture(2).at(y + scene["near"] * step[0], x + scene["near"] * step[1])
    far = Texture(1).at(y + scene["far"] * step[0], x + scene["far"] * step[1])
    return np.where(front[..., None], near, far)
