"""The ring-like discs that a generalised Butterworth filter gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from defocusfix.optics import butterworth, second_moment_radius


@pytest.mark.parametrize(
    ("radius", "size"), [(0, 1), (1, 3), (2, 7), (8, 19), (9, 23), (16, 39), (23, 55), (24, 57)]
)
def test_whole_radii_have_the_published_sizes(radius, size):
    assert butterworth(radius).shape == (size, size)


def test_a_whole_radius_follows_the_recipe_step_by_step():
    radius, reach = 10, 2  # smoothing width: round(21 / 7) + 1 = 4, made odd 5, so 2 to each side
    sigma = 0.3 * ((5 - 1) / 2 - 1) + 0.8
    expected = np.zeros((25, 25))
    corner = (2 * radius**2 / (2 * radius / 2.5) ** 2) ** 3
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            if x * x + y * y <= radius**2:
                rise = ((x * x + y * y) / (2 * radius / 2.5) ** 2) ** 3
                share = (rise / (1 + rise)) / (corner / (1 + corner))
                expected[y + radius + reach, x + radius + reach] = 0.1 + 0.9 * share
    expected = gaussian_filter(expected, sigma, radius=reach, mode="constant")
    np.testing.assert_allclose(butterworth(radius), expected / expected.sum(), atol=1e-7)


def test_the_centre_is_darker_than_the_ring():
    psf = butterworth(12)
    middle = len(psf) // 2
    assert psf[middle, middle] < 0.3 * psf.max()


def test_a_fractional_radius_blends_its_neighbours():
    blend = butterworth(4.25)
    expected = 0.25 * butterworth(5)
    expected[1:-1, 1:-1] += 0.75 * butterworth(4)
    np.testing.assert_allclose(blend, expected, atol=1e-7)


@given(st.floats(0, 24), st.integers(1, 6), st.floats(1, 4), st.floats(0, 1))
def test_every_setting_shares_out_all_light_and_takes_none(radius, order, cutoff, floor):
    psf = butterworth(radius, order, cutoff, floor)
    assert psf.dtype == np.float32
    assert psf.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert psf.min() >= 0


@given(st.floats(0.01, 23), st.floats(0.05, 1))
def test_a_larger_radius_blurs_more(radius, more):
    smaller, larger = butterworth(radius), butterworth(radius + more)
    assert second_moment_radius(larger) > second_moment_radius(smaller)
