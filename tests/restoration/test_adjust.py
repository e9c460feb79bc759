"""Protecting what is sharp, and blur that is meant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.restoration import Restorer, RestoreSettings
from defocusfix.restoration.adjust import share_restored
from tests.restoration.stand_in_engines import NumpyEngine

RADII = np.linspace(0, 30, 3001, dtype=np.float32)


def test_without_such_wishes_everything_is_restored():
    assert share_restored(RADII, RestoreSettings()) == 1


@given(protect=st.floats(0.05, 1))
def test_what_is_in_focus_is_left_out_and_restoration_rises_smoothly_from_there(protect):
    share = share_restored(RADII, RestoreSettings(protect_sharp=protect))
    assert (share[protect >= RADII] == 0).all()
    assert (share[2 * protect + 0.01 < RADII] == 1).all()
    assert (np.diff(share) >= 0).all()


@given(kept_px=st.floats(0.5, 25))
def test_meant_blur_is_left_out_and_restoration_falls_smoothly_towards_it(kept_px):
    share = share_restored(RADII, RestoreSettings(keep_bokeh_px=kept_px))
    assert (share[kept_px + 0.01 < RADII] == 0).all()
    assert (share[kept_px / 2 >= RADII] == 1).all()
    assert (np.diff(share) <= 0).all()
    steepest = 1.5 / (kept_px / 4) * 0.01  # of 3 t^2 - 2 t^3 over a quarter of the radius
    assert np.abs(np.diff(share)).max() < 1.01 * steepest + 1e-5


def radius_from_red() -> NumpyEngine:
    """10 px in full size where red is 1, and 0.1 brighter everywhere."""
    return NumpyEngine(lambda image, coarse: (image + 0.1, 10 * image[:, :1]))


@pytest.fixture
def pixels():
    """In focus on the left, out of focus by 10 px on the right, in 16 bit."""
    values = np.random.default_rng(0).integers(10000, 40000, (96, 256, 3)).astype(np.uint16)
    values[:, :, 0] = np.linspace(0, 65535, 256)
    return values


def test_a_missed_focus_is_repaired_while_the_soft_background_keeps_its_exact_pixels(pixels):
    settings = RestoreSettings(scale=1, keep_bokeh_px=5)
    restored = Restorer(radius_from_red(), settings).restore_pixels(pixels).pixels
    assert np.array_equal(restored[:, 130:], pixels[:, 130:])
    assert (restored[:, 10:90, 1] - pixels[:, 10:90, 1] > 6500).all()


def test_what_is_sharp_keeps_its_exact_pixels(pixels):
    settings = RestoreSettings(scale=1, protect_sharp=0.8)
    restored = Restorer(radius_from_red(), settings).restore_pixels(pixels).pixels
    assert np.array_equal(restored[:, :20], pixels[:, :20])
    assert (restored[:, 45:250, 1] - pixels[:, 45:250, 1] > 6500).all()


def test_strength_and_wishes_work_together(pixels):
    both = RestoreSettings(scale=1, strength=0.5, protect_sharp=0.8, keep_bokeh_px=8)
    restored = Restorer(radius_from_red(), both).restore_pixels(pixels).pixels
    change = (restored.astype(int) - pixels)[:, :, 1]
    assert (change[:, :20] == 0).all()
    assert (change[:, 210:] == 0).all()
    assert np.abs(change[:, 60:140] - 0.05 * 65535).max() < 10
