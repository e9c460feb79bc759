"""Lenses: how surfaces are spread, and the ring-like profile."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.optics import Aperture, butterworth, disc, second_moment_radius
from defocusfix.rendering.lens import LensBlur, Ring, random_lens


@given(
    low=st.floats(-36, 36),
    width=st.floats(0, 20),
    shift=st.floats(-0.5, 0.5),
    reach=st.integers(1, 40),
)
def test_levels_cover_the_radii_and_no_light_is_lost_or_goes_too_far(low, width, shift, reach):
    lens = LensBlur(Aperture(softness=0.2), colour_shift_px=shift)
    spread = lens.spread(low, low + width, reach_px=reach)
    if len(spread.radii_px) > 1:
        assert (spread.radii_px[0], spread.radii_px[-1]) == (low, low + width)
        assert all(np.diff(spread.radii_px) > 0)
    assert spread.psfs.shape[:2] == (len(spread.radii_px), 3 if shift else 1)
    assert spread.psfs.shape[-1] <= 2 * reach + 1
    np.testing.assert_allclose(spread.psfs.sum(axis=(2, 3)), 1, atol=1e-4)


@given(low=st.floats(-36, 36), width=st.floats(0.1, 50), where=st.floats(0, 1))
def test_between_levels_blur_is_as_strong_as_its_radius_says(low, width, where):
    levels = LensBlur(Aperture()).spread(low, low + width).radii_px
    wanted = low + where * width
    above = min(max(1, int(np.searchsorted(levels, wanted))), len(levels) - 1)
    share = (wanted - levels[above - 1]) / (levels[above] - levels[above - 1])
    # The second moment of a mixture is the mean of theirs, and that of a disc goes with its square.
    mixed = math.sqrt((1 - share) * levels[above - 1] ** 2 + share * levels[above] ** 2)
    assert mixed == pytest.approx(abs(wanted), rel=0.02, abs=0.26)


def test_a_reach_that_is_wide_enough_changes_nothing():
    lens = LensBlur(Aperture(blades=5), diffraction_px=0.4)
    free, held = lens.spread(-6.0, 3.0), lens.spread(-6.0, 3.0, reach_px=20)
    np.testing.assert_array_equal(free.psfs, held.psfs)


def test_only_a_surface_in_focus_stays_where_it_is():
    assert LensBlur(Aperture()).spread(0.0, 0.0).is_identity
    assert not LensBlur(Aperture()).spread(0.0, 0.5).is_identity
    assert not LensBlur(Aperture(), diffraction_px=0.3).spread(0.0, 0.0).is_identity


@given(radius=st.floats(0, 40), order=st.sampled_from([3, 6]), diffraction=st.floats(0, 0.5))
def test_a_ring_blurs_as_much_as_an_evenly_lit_disc_of_its_radius(radius, order, diffraction):
    psf = Ring(order).point_spread_function(radius, diffraction_px=diffraction)
    assert len(psf) % 2 == 1
    assert psf.sum() == pytest.approx(1, abs=1e-4)
    expected = math.hypot(radius / math.sqrt(2), math.sqrt(2) * diffraction)
    assert second_moment_radius(psf) == pytest.approx(expected, rel=0.02, abs=0.02)


def test_a_ring_has_a_weaker_centre_than_the_disc():
    ring = Ring().point_spread_function(10.0)
    assert ring[len(ring) // 2, len(ring) // 2] < 0.5 * disc(10.0)[10, 10]
    # It is the published profile, at a smaller radius.
    assert len(ring) <= len(butterworth(10.0))


def test_random_lenses_depend_on_the_seed_only_and_some_are_rings():
    lenses = [random_lens(np.random.default_rng(seed), 5.0) for seed in range(100)]
    assert lenses[3] == random_lens(np.random.default_rng(3), 5.0) != lenses[4]
    assert 2 <= sum(isinstance(lens.aperture, Ring) for lens in lenses) <= 20
