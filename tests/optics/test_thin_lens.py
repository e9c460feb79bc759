"""The thin lens gives the blur that geometry gives."""

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.optics import Lens

FULL_FRAME = 0.036

lenses = st.builds(
    lambda focal_length, f_number, times: Lens(focal_length, f_number, focal_length * times),
    st.floats(0.004, 0.6),
    st.floats(0.7, 32),
    st.floats(1.5, 1e4),
)


def portrait_lens(focus_distance=2.0):
    """85 mm at f/2: an aperture of 42.5 mm."""
    return Lens(focal_length=0.085, f_number=2.0, focus_distance=focus_distance)


def test_the_blur_of_a_portrait_is_that_of_similar_triangles():
    # Image distance of 2 m: 1 / (1 / 85 - 1 / 2000) = 88.772846 mm, and of 5 m: 86.469989 mm.
    # The cone from the 42.5 mm pupil to 86.469989 mm is cut by the sensor at 88.772846 mm:
    # 42.5 * (88.772846 - 86.469989) / 86.469989 = 1.1318538 mm.
    # At 1 m the image lies at 92.896175 mm, behind the sensor:
    # 42.5 * (88.772846 - 92.896175) / 92.896175 = -1.8864230 mm.
    diameters = portrait_lens().circle_of_confusion(np.array([1.0, 2.0, 5.0]))
    np.testing.assert_allclose(diameters, [-1.8864230e-3, 0, 1.1318538e-3], rtol=1e-6, atol=1e-15)


def test_a_radius_in_pixels_is_half_the_diameter_times_pixels_per_metre():
    # 1.1318538 mm on a sensor of 36 mm and 6000 pixels: 188.64230 pixels across.
    radius = portrait_lens().radius_px(5.0, sensor_width=FULL_FRAME, image_width=6000)
    assert radius == pytest.approx(188.64230 / 2)


@given(lenses, st.floats(1.01, 1e5))
def test_any_distance_follows_the_image_distances_of_the_thin_lens_equation(lens, times):
    distance = lens.focal_length * times

    def image_distance(of):
        return 1 / (1 / lens.focal_length - 1 / of)

    sensor, focus = image_distance(lens.focus_distance), image_distance(distance)
    expected = lens.focal_length / lens.f_number * (sensor - focus) / focus
    assert lens.circle_of_confusion(distance) == pytest.approx(
        expected, rel=1e-6, abs=1e-9 * lens.aperture_diameter
    )


@given(lenses, st.floats(1.001, 1e3))
def test_blur_is_nothing_in_focus_positive_behind_and_negative_in_front(lens, times):
    behind = lens.focus_distance * times
    in_front = lens.focal_length + (lens.focus_distance - lens.focal_length) / times
    assert lens.circle_of_confusion(lens.focus_distance) == pytest.approx(0, abs=1e-15)
    assert lens.circle_of_confusion(behind) > 0
    assert lens.circle_of_confusion(in_front) < 0


@given(lenses)
def test_blur_ends_at_that_of_infinity_behind_and_at_the_aperture_in_front(lens):
    behind, in_front = lens.circle_of_confusion([inf, lens.focal_length * (1 + 1e-9)])
    assert behind == pytest.approx(lens.blur_at_infinity)
    # The image of infinity lies at the focal length f, the sensor at s f / (s - f).
    sensor = lens.focus_distance * lens.focal_length / (lens.focus_distance - lens.focal_length)
    expected = lens.aperture_diameter * (sensor - lens.focal_length) / lens.focal_length
    assert behind == pytest.approx(expected, rel=1e-6)
    assert in_front == pytest.approx(-lens.aperture_diameter, rel=1e-6)


def test_focused_at_infinity_blur_is_the_aperture_seen_at_the_scale_of_the_picture():
    # At distance d the picture is f / d of life size, and the disc is the pupil at that scale:
    # 42.5 mm * 85 / 10000 = 0.36125 mm, in front of the focus.
    lens = portrait_lens(focus_distance=inf)
    assert lens.circle_of_confusion(10.0) == pytest.approx(-0.36125e-3)
    assert lens.circle_of_confusion(inf) == 0
    assert lens.blur_at_infinity == 0
    assert lens.distance(0.0) == inf


@given(lenses, st.lists(st.floats(1.01, 1e4), min_size=1, max_size=5))
def test_a_distance_comes_back_from_its_blur(lens, times):
    distances = lens.focal_length * np.array(times)
    back = lens.distance(lens.circle_of_confusion(distances))
    np.testing.assert_allclose(back, distances, rtol=1e-5)
    radii = lens.radius_px(distances, sensor_width=FULL_FRAME, image_width=4000)
    back = lens.distance_of_radius_px(radii, sensor_width=FULL_FRAME, image_width=4000)
    np.testing.assert_allclose(back, distances, rtol=1e-5)


@given(lenses)
def test_the_blur_of_infinity_leads_back_to_infinity(lens):
    assert lens.distance(lens.circle_of_confusion(inf)) == inf


def test_results_have_the_shape_of_the_distances():
    distances = np.full((2, 3), 4.0)
    assert portrait_lens().circle_of_confusion(distances).shape == (2, 3)
    assert portrait_lens().circle_of_confusion(4.0).shape == ()


@given(lenses, st.floats(1e-6, 1e-4))
def test_focused_at_the_hyperfocal_distance_infinity_has_the_permitted_blur(lens, circle):
    hyperfocal = lens.hyperfocal_distance(circle)
    there = Lens(lens.focal_length, lens.f_number, hyperfocal)
    assert there.circle_of_confusion(inf) == pytest.approx(circle)


def test_the_hyperfocal_distance_of_a_normal_lens():
    # f^2 / (N c) + f for 50 mm, f/8 and 0.03 mm: 2500 / 0.24 + 50 = 10466.667 mm.
    lens = Lens(focal_length=0.05, f_number=8.0, focus_distance=3.0)
    assert lens.hyperfocal_distance(30e-6) == pytest.approx(10.4666667)


def test_the_depth_of_field_of_a_normal_lens():
    # With H = 10466.667, s = 3000, f = 50 mm, the textbook's s (H - f) / (H + s - 2 f) is
    # 2337.9... : 3000 * 10416.667 / 13366.667 = 2337.9052 mm, and s (H - f) / (H - s) is
    # 3000 * 10416.667 / 7466.667 = 4185.2679 mm.
    near, far = Lens(0.05, 8.0, 3.0).depth_of_field(30e-6)
    assert near == pytest.approx(2.3379052)
    assert far == pytest.approx(4.1852679)


@given(lenses, st.floats(0.001, 0.9))
def test_the_limits_of_sharpness_enclose_the_focus_and_have_the_permitted_blur(lens, share):
    circle = share * lens.aperture_diameter
    near, far = lens.depth_of_field(circle)
    assert lens.focal_length < near < lens.focus_distance < far
    assert lens.circle_of_confusion(near) == pytest.approx(-circle)
    if far < inf:
        assert lens.circle_of_confusion(far) == pytest.approx(circle)
    else:
        assert lens.blur_at_infinity <= circle * (1 + 1e-6)


def test_beyond_the_hyperfocal_distance_everything_far_is_sharp():
    lens = Lens(focal_length=0.028, f_number=11.0, focus_distance=4.0)
    assert lens.depth_of_field(30e-6).far == inf


@pytest.mark.parametrize(
    "lens", [(0, 2, 1), (-0.05, 2, 1), (0.05, 0, 1), (nan, 2, 1), (0.05, inf, 1)]
)
def test_an_impossible_lens_is_refused(lens):
    with pytest.raises(ValueError, match="positive"):
        Lens(*lens)


@pytest.mark.parametrize("focus_distance", [0.05, 0.01, -1, nan])
def test_a_lens_cannot_focus_at_or_inside_its_focal_length(focus_distance):
    with pytest.raises(ValueError, match="focus_distance"):
        Lens(0.05, 2.0, focus_distance)


@pytest.mark.parametrize("distance", [0.085, 0.01, 0, -3, nan])
def test_a_distance_at_or_inside_the_focal_length_is_refused(distance):
    with pytest.raises(ValueError, match=r"exceed the focal length, 0\.085 m"):
        portrait_lens().circle_of_confusion(np.array([3.0, distance]))


def test_a_blur_that_no_distance_has_is_refused():
    lens = portrait_lens()
    with pytest.raises(ValueError, match="behind"):
        lens.distance(1.01 * lens.blur_at_infinity)
    with pytest.raises(ValueError, match="in front"):
        lens.distance(-lens.aperture_diameter)


@pytest.mark.parametrize("circle", [0, -1e-5, 0.0425, nan])
def test_an_impossible_permitted_circle_is_refused(circle):
    with pytest.raises(ValueError, match="permitted circle"):
        portrait_lens().depth_of_field(circle)


@pytest.mark.parametrize("circle", [0, -1e-5, nan])
def test_a_hyperfocal_distance_needs_a_positive_circle(circle):
    with pytest.raises(ValueError, match="permitted circle"):
        portrait_lens().hyperfocal_distance(circle)
