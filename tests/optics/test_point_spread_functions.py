"""Blur discs have the size, the place and the light that their aperture gives them."""

from dataclasses import replace
from math import atan2, pi, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import j1

from defocusfix.optics import (
    Aperture,
    butterworth,
    channel_radii,
    disc,
    gaussian,
    random_aperture,
    second_moment_radius,
)

angles = st.floats(0, 2 * pi)
apertures = st.builds(
    Aperture,
    blades=st.sampled_from((0, 3, 5, 6, 7, 9)),
    rotation=angles,
    roundness=st.floats(0, 1),
    cats_eye=st.floats(0, 0.8),
    field_angle=angles,
    spherical=st.floats(-1, 1),
    softness=st.floats(0, 1),
)
radii = st.floats(0, 15)


def centroid(psf):
    along = np.arange(len(psf)) - len(psf) // 2
    weights = psf.astype(np.float64)
    return weights.sum(0) @ along, weights.sum(1) @ along


def transfer(psf, frequency, direction):
    """What the psf leaves of a wave of so many radians per pixel."""
    along = np.arange(len(psf)) - len(psf) // 2
    x_wave = np.exp(1j * frequency * np.cos(direction) * along)
    y_wave = np.exp(1j * frequency * np.sin(direction) * along)
    return (y_wave @ psf.astype(np.float64) @ x_wave).real


def moments_by_counting(inside, light, count=1500):
    """RMS distance from the centroid of a shape in the unit square, point by point."""
    along = (np.arange(count) + 0.5) / count * 2 - 1
    x, y = np.meshgrid(along, along)
    weights = np.where(inside(x, y), light(x, y), 0.0)
    weights /= weights.sum()
    middle_x, middle_y = (weights * x).sum(), (weights * y).sum()
    return sqrt((weights * ((x - middle_x) ** 2 + (y - middle_y) ** 2)).sum())


@given(apertures, radii, st.floats(0, 2))
def test_every_psf_is_an_odd_square_that_shares_out_all_light_and_takes_none(
    aperture, radius, diffraction
):
    psf = aperture.point_spread_function(radius, diffraction_px=diffraction)
    assert psf.dtype == np.float32
    assert psf.shape == (len(psf), len(psf))
    assert len(psf) % 2 == 1
    assert psf.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert psf.min() >= 0


@given(apertures, radii)
def test_no_aperture_shifts_the_picture(aperture, radius):
    x, y = centroid(aperture.point_spread_function(radius))
    assert np.hypot(x, y) < 0.1


@given(apertures, st.floats(0, 2))
def test_a_point_in_focus_stays_a_point(aperture, diffraction):
    assert aperture.point_spread_function(0).tolist() == [[1]]
    in_focus = aperture.point_spread_function(0, diffraction_px=diffraction)
    np.testing.assert_allclose(in_focus, gaussian(diffraction), atol=1e-7)


@given(apertures, st.floats(1e-6, 1e-3))
def test_a_vanishing_blur_tends_to_the_identity(aperture, radius):
    psf = aperture.point_spread_function(radius)
    assert psf[len(psf) // 2, len(psf) // 2] > 1 - 2 * radius**2 - 1e-6


@given(st.floats(0.01, 45))
def test_a_disc_has_the_second_moment_of_its_radius(radius):
    assert second_moment_radius(disc(radius)) == pytest.approx(radius / sqrt(2), rel=0.007)


@given(st.floats(0.01, 45))
def test_a_disc_is_as_wide_as_high_and_no_larger_than_it_must_be(radius):
    psf = disc(radius)
    np.testing.assert_allclose(psf, psf.T, atol=1e-7)
    np.testing.assert_allclose(psf, psf[::-1], atol=1e-7)
    assert len(psf) <= max(5, 2 * np.ceil(radius + 1) + 1)
    assert psf[0].any()


@pytest.mark.parametrize(
    ("radius", "error"), [(0.3, 0.03), (0.7, 0.12), (1.5, 0.08), (3, 0.04), (8, 0.015), (20, 0.005)]
)
def test_a_disc_passes_waves_as_the_airy_of_its_radius_says(radius, error):
    for frequency in np.linspace(0.05, 0.75 * pi, 20):
        expected = 2 * j1(radius * frequency) / (radius * frequency)
        for direction in (0, pi / 8, pi / 4):
            left = transfer(disc(radius), frequency, direction)
            assert left == pytest.approx(expected, abs=error)


@given(apertures, st.floats(0.05, 12), st.floats(1.05, 2))
def test_a_larger_radius_blurs_more(aperture, radius, factor):
    smaller = aperture.point_spread_function(radius)
    larger = aperture.point_spread_function(radius * factor)
    assert second_moment_radius(larger) > second_moment_radius(smaller)


@given(apertures, st.floats(0.5, 15), st.floats(0.05, 2))
def test_diffraction_adds_its_variance_to_that_of_the_shape(aperture, radius, diffraction):
    hard = replace(aperture, softness=0)
    squared = second_moment_radius(hard.point_spread_function(radius)) ** 2
    blurred = hard.point_spread_function(radius, diffraction_px=diffraction)
    expected = sqrt(squared + 2 * diffraction**2)
    assert second_moment_radius(blurred) == pytest.approx(expected, rel=0.005)


@given(apertures, st.floats(2.5, 15))
def test_softness_keeps_the_second_moment(aperture, radius):
    hard = replace(aperture, softness=0).point_spread_function(radius)
    soft = aperture.point_spread_function(radius)
    assert second_moment_radius(soft) == pytest.approx(second_moment_radius(hard), rel=0.02)


@given(st.floats(0.5, 15))
def test_the_softest_blur_is_a_gaussian(radius):
    soft = Aperture(softness=1).point_spread_function(radius)
    for frequency in (0.2, 0.5, 1.0):  # the disc's moment is sampled, to 0.1 %
        expected = transfer(gaussian(radius / 2), frequency, 0)
        assert transfer(soft, frequency, 0) == pytest.approx(expected, abs=5e-4)


@given(st.floats(2, 15), st.floats(0.02, 0.98))
def test_softness_is_the_gaussians_share_of_the_variance(radius, softness):
    soft = Aperture(softness=softness).point_spread_function(radius)
    disc_alone = Aperture().point_spread_function(radius * sqrt(1 - softness))
    gaussian_alone = gaussian(radius / 2 * sqrt(softness))
    for frequency in (0.2, 0.5):
        expected = transfer(disc_alone, frequency, 0) * transfer(gaussian_alone, frequency, 0)
        assert transfer(soft, frequency, 0) == pytest.approx(expected, abs=5e-4)


@given(apertures, st.floats(1, 15), st.integers(1, 3))
def test_quarter_turns_of_the_aperture_are_quarter_turns_of_the_psf(aperture, radius, quarters):
    turned = replace(
        aperture,
        rotation=aperture.rotation + quarters * pi / 2,
        field_angle=aperture.field_angle + quarters * pi / 2,
    )
    psf = aperture.point_spread_function(radius)
    turned_psf = turned.point_spread_function(radius)
    # y points down, so a growing angle turns clockwise; np.rot90 turns the other way.
    np.testing.assert_allclose(np.rot90(psf, -quarters), turned_psf, atol=0.02 * psf.max())


@given(angles, st.sampled_from((3, 5, 6, 8)), st.floats(2, 15))
def test_a_polygon_looks_the_same_one_blade_further(rotation, blades, radius):
    psf = Aperture(blades=blades, rotation=rotation).point_spread_function(radius)
    further = Aperture(blades=blades, rotation=rotation + 2 * pi / blades)
    np.testing.assert_allclose(psf, further.point_spread_function(radius), atol=1e-6)


@given(angles, st.floats(0, 0.8), st.floats(3, 15))
def test_turning_a_cats_eye_keeps_its_size(field_angle, cats_eye, radius):
    upright = Aperture(cats_eye=cats_eye).point_spread_function(radius)
    turned = Aperture(cats_eye=cats_eye, field_angle=field_angle).point_spread_function(radius)
    assert second_moment_radius(turned) == pytest.approx(second_moment_radius(upright), rel=0.01)


@given(angles, st.floats(3, 15))
def test_fully_round_blades_are_a_disc(rotation, radius):
    psf = Aperture(blades=6, rotation=rotation, roundness=1).point_spread_function(radius)
    np.testing.assert_allclose(psf, disc(radius), atol=0.02 * disc(radius).max())


def hexagon(x, y):
    """Corners on the unit circle, one of them on the x axis."""
    across = np.abs(
        np.stack([x * np.cos(a) + y * np.sin(a) for a in np.arange(6) * pi / 3 + pi / 6])
    )
    return across.max(0) < sqrt(3) / 2


def lens_of_two_circles(x, y):
    return (np.hypot(x, y) < 1) & (np.hypot(x - 0.6, y) < 1)


def circle(x, y):
    return np.hypot(x, y) < 1


@pytest.mark.parametrize(
    ("aperture", "inside", "light"),
    [
        (Aperture(blades=6), hexagon, lambda x, y: 1),
        (Aperture(cats_eye=0.6), lens_of_two_circles, lambda x, y: 1),
        (Aperture(spherical=0.8), circle, lambda x, y: 1 + 0.8 * (2 * (x**2 + y**2) - 1)),
        (Aperture(blades=6, spherical=-1), hexagon, lambda x, y: 1 - x**2 - y**2),
    ],
)
@pytest.mark.parametrize("radius", [0.4, 2.5, 7, 25])
def test_other_shapes_have_the_size_that_counting_their_points_gives(
    aperture, inside, light, radius
):
    expected = radius * moments_by_counting(inside, light)
    psf = aperture.point_spread_function(radius)
    assert second_moment_radius(psf) == pytest.approx(
        expected, rel=0.025 if aperture.spherical > 0 else 0.015
    )


def test_a_cats_eye_is_whole_on_the_axis_and_cut_most_in_the_corners():
    whole = Aperture(blades=7)
    areas = [
        np.count_nonzero(whole.seen_from(x, 0.0, vignetting=0.6).point_spread_function(12.0))
        for x in (0.0, 0.5, 1.0)
    ]
    assert whole.seen_from(0.0, 0.0, vignetting=0.6) == whole
    assert areas[0] > areas[1] > areas[2]
    corner = whole.seen_from(-0.8, 0.6, vignetting=0.6)
    assert corner.cats_eye == pytest.approx(0.6)
    assert corner.field_angle == pytest.approx(atan2(0.6, -0.8))
    with pytest.raises(ValueError, match="cats_eye"):
        whole.seen_from(1.2, 0.9, vignetting=0.8)


@pytest.mark.parametrize("shape", [Aperture(blades=6, rotation=0.3), Aperture(cats_eye=0.5)])
def test_a_large_psf_matches_the_area_each_pixel_has_of_the_shape(shape):
    radius, fineness = 12, 25
    psf = shape.point_spread_function(radius)
    size = len(psf)
    along = ((np.arange(size * fineness) + 0.5) / fineness - size / 2) / radius
    x, y = np.meshgrid(along, along)
    if shape.blades:
        turned_x = x * np.cos(0.3) + y * np.sin(0.3)
        turned_y = y * np.cos(0.3) - x * np.sin(0.3)
        inside = hexagon(turned_x, turned_y)
    else:
        inside = (np.hypot(x + 0.25, y) < 1) & (np.hypot(x - 0.25, y) < 1)
    area = inside.reshape(size, fineness, size, fineness).sum((1, 3))
    assert np.abs(psf - area / area.sum()).sum() < 0.03


def test_spherical_aberration_moves_light_to_the_rim_or_to_the_centre():
    middle = {s: Aperture(spherical=s).point_spread_function(10)[10, 10] for s in (-1, 0, 1)}
    assert middle[-1] == pytest.approx(2 * middle[0], rel=0.03)
    assert middle[1] < 0.03 * middle[0]


@given(apertures, st.floats(2, 12))
def test_across_the_focus_the_shape_is_turned_by_half_a_turn(aperture, radius):
    even = replace(aperture, spherical=0)
    psf = even.point_spread_function(radius)
    across = even.across_focus().point_spread_function(radius)
    np.testing.assert_allclose(across, psf[::-1, ::-1], atol=0.02 * psf.max())


def test_across_the_focus_a_bright_rim_becomes_a_bright_centre():
    assert Aperture(spherical=0.4).across_focus().spherical == -0.4


@pytest.mark.parametrize(
    "contradiction",
    [
        {"blades": 2},
        {"blades": -5},
        {"roundness": 1.1},
        {"cats_eye": -0.1},
        {"cats_eye": 1.5},
        {"spherical": -1.01},
        {"softness": -0.1},
        {"rotation": float("nan")},
        {"field_angle": float("inf")},
        {"spherical": float("nan")},
    ],
)
def test_an_impossible_aperture_is_refused(contradiction):
    with pytest.raises(ValueError, match=next(iter(contradiction)) + "|finite"):
        Aperture(**contradiction)


@pytest.mark.parametrize("length", [-0.1, float("nan"), float("inf")])
def test_an_impossible_size_is_refused(length):
    with pytest.raises(ValueError, match="radius_px"):
        disc(length)
    with pytest.raises(ValueError, match="diffraction_px"):
        Aperture().point_spread_function(1, diffraction_px=length)
    with pytest.raises(ValueError, match="sigma_px"):
        gaussian(length)
    with pytest.raises(ValueError, match="radius_px"):
        butterworth(length)


@given(st.floats(0.01, 12))
def test_a_gaussian_has_its_variance_even_below_a_pixel(sigma):
    psf = gaussian(sigma)
    assert psf.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert second_moment_radius(psf) == pytest.approx(sqrt(2) * sigma, rel=0.01)


def test_a_wide_gaussian_is_the_familiar_curve():
    psf = gaussian(4)
    along = np.arange(len(psf)) - len(psf) // 2
    curve = np.exp(-(along[:, None] ** 2 + along[None, :] ** 2) / (2 * 4**2))
    np.testing.assert_allclose(psf, curve / curve.sum(), atol=0.02 * psf.max())


def test_a_second_moment_does_not_depend_on_the_sum_of_the_psf():
    cross = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], np.float32)
    assert second_moment_radius(cross) == pytest.approx(sqrt(4 / 8))


def test_channels_focus_at_different_distances():
    assert channel_radii(3, 0.5) == (3.5, 3, 2.5)
    assert channel_radii(-3, 0.5) == (2.5, 3, 3.5)
    assert channel_radii(0.25, 0.5) == (0.75, 0.25, 0.25)


def test_random_apertures_repeat_with_their_seed_and_vary_without():
    first, again, other = (random_aperture(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_random_apertures_mix_round_bladed_and_cut_shapes():
    rng = np.random.default_rng(0)
    drawn = [random_aperture(rng) for _ in range(1000)]
    cut = sum(aperture.cats_eye > 0 for aperture in drawn)
    bladed = sum(aperture.cats_eye == 0 and aperture.blades > 0 for aperture in drawn)
    assert 200 < cut < 320
    assert 200 < bladed < 320
    assert {aperture.blades for aperture in drawn} == {0, 5, 6, 7, 8, 9}
    assert 40 < sum(aperture.softness > 0.5 for aperture in drawn) < 100  # 5/6 of 8 %
    assert 620 < sum(aperture.softness < 0.2 for aperture in drawn) < 760  # 60 %, 2/7 of 32 %
    assert min(aperture.spherical for aperture in drawn) < -0.5
    assert max(aperture.spherical for aperture in drawn) > 0.5
