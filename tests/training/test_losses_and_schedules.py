from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.training.losses import charbonnier, l1, log_error, radius_error, spectral_l1
from defocusfix.training.recipe import Progress
from defocusfix.training.schedule import constant, cosine, halved_at, halving, part_of, ramp

fractions = st.floats(0, 1)


def at(fraction: float, steps: int = 1000) -> Progress:
    return Progress("stage", 0, steps, time_fraction=fraction)


def test_charbonnier_is_absolute_error_away_from_zero_and_epsilon_at_zero():
    here = torch.zeros(2, 3, 4, 4)
    assert charbonnier(here + 0.5, here) == pytest.approx(0.5, abs=1e-5)
    assert charbonnier(here, here) == pytest.approx(1e-3)


def test_l1_is_the_mean_absolute_error():
    here = torch.zeros(1, 3, 2, 2)
    there = here.clone()
    there[0, 0, 0, 0], there[0, 1] = -0.6, 0.3
    assert l1(there, here) == pytest.approx((0.6 + 4 * 0.3) / 12)


def test_a_radius_that_is_off_by_a_pixel_counts_more_where_the_blur_is_small():
    small, large = torch.tensor([1.0]), torch.tensor([10.0])
    assert radius_error(small, small) == 0
    # The slope of sqrt(r + 1/2) is 1 / (2 sqrt(r + 1/2)).
    assert radius_error(large + 0.1, large) == pytest.approx(0.05 / 10.5**0.5, rel=0.01)
    assert radius_error(small + 0.1, small) == pytest.approx(0.05 / 1.5**0.5, rel=0.05)


def test_the_spectral_loss_of_a_constant_is_its_mean_coefficient_alone():
    # The orthonormal transform of a constant c over N pixels is c * sqrt(N) at one of its
    # H * (W / 2 + 1) coefficients and 0 elsewhere.
    difference = torch.full((1, 1, 8, 8), 0.25)
    expected = 0.25 * 8 / (8 * 5)
    assert spectral_l1(difference, torch.zeros_like(difference)) == pytest.approx(expected)


@given(seed=st.integers(0, 20), height=st.integers(2, 9), width=st.integers(2, 9))
def test_the_spectral_loss_agrees_with_numpy(seed, height, width):
    a, b = np.random.default_rng(seed).normal(size=(2, 2, 3, height, width))
    expected = np.abs(np.fft.rfft2(a - b, norm="ortho")).mean()
    found = spectral_l1(torch.from_numpy(a), torch.from_numpy(b))
    assert found == pytest.approx(expected, rel=1e-4)


def test_halving_the_error_of_any_picture_lowers_the_log_error_alike():
    target = torch.zeros(2, 3, 4, 4)
    small_and_large = torch.stack([target[0] + 0.1, target[1] + 0.8])
    # A quarter of the square error of one picture in two is ln(4) / 2, whichever one it is.
    for index in (0, 1):
        better = small_and_large.clone()
        better[index] /= 2
        gained = log_error(small_and_large, target) - log_error(better, target)
        assert gained == pytest.approx(np.log(4) / 2, rel=1e-2)


def test_losses_are_computed_in_float32_under_autocast():
    values = torch.rand(1, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = [loss(values.bfloat16(), values) for loss in (charbonnier, log_error, spectral_l1)]
    assert all(value.dtype == torch.float32 for value in found)


@pytest.mark.parametrize("loss", [charbonnier, l1, log_error, radius_error, spectral_l1])
def test_pictures_of_different_shapes_are_refused(loss):
    with pytest.raises(ValueError, match="shapes differ"):
        loss(torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("loss", [charbonnier, l1, log_error, radius_error, spectral_l1])
def test_an_exact_picture_has_a_finite_gradient(loss):
    picture = torch.zeros(1, 3, 4, 4, requires_grad=True)
    loss(picture, torch.zeros(1, 3, 4, 4)).backward()
    assert picture.grad.isfinite().all()


@given(fraction=fractions, warm_up=st.floats(0, 0.5), final=st.floats(0, 1))
def test_the_cosine_stays_between_zero_and_its_peak(fraction, warm_up, final):
    assert 0 <= cosine(2.0, warm_up=warm_up, final=final)(at(fraction)) <= 2.0


def test_the_cosine_rises_then_falls_to_its_final_value():
    rate = cosine(1.0, warm_up=0.1, final=0.05)
    values = [rate(at(fraction)) for fraction in np.linspace(0, 1, 201)]
    top = int(np.argmax(values))
    assert values[0] > 0
    assert values[top] == pytest.approx(1.0, abs=1e-3)
    assert np.all(np.diff(values[: top + 1]) >= 0)
    assert np.all(np.diff(values[top:]) <= 0)
    assert values[-1] == pytest.approx(0.05)


def test_by_steps_the_fraction_is_the_share_of_steps_done():
    assert Progress("stage", 25, 100).fraction == 0.25
    assert Progress("stage", 25, 100, time_fraction=0.75).fraction == 0.75


@given(fraction=fractions)
def test_a_ramp_is_flat_outside_and_linear_inside(fraction):
    expected = np.interp(fraction, [0.2, 0.6], [1.0, 3.0])
    assert ramp(0.2, 0.6, low=1, high=3)(at(fraction)) == pytest.approx(expected)
    assert constant(4.0)(at(fraction)) == 4.0


def test_halving_halves_at_each_multiple_whatever_the_rounding():
    rate = halving(8.0, every=7, length=20)
    assert [rate(Progress("stage", epoch, 20)) for epoch in range(20)] == [8] * 7 + [4] * 7 + [
        2
    ] * 6


def test_the_parts_of_stages_make_the_schedule_of_the_run():
    whole = ramp(0.2, 0.6)
    first, second = part_of(whole, 0, 0.25), part_of(whole, 0.25, 1)
    found = [first(Progress("a", step, 25)) for step in range(25)]
    found += [second(Progress("b", step, 75)) for step in range(75)]
    assert found == pytest.approx([whole(at(step / 100)) for step in range(100)])


def test_impossible_schedules_are_refused():
    with pytest.raises(ValueError, match="halving"):
        halving(1.0, 0, 10)
    with pytest.raises(ValueError, match="part"):
        part_of(constant(1.0), 0.5, 0.5)
    with pytest.raises(ValueError, match="warm_up"):
        cosine(1.0, warm_up=1.0)
    with pytest.raises(ValueError, match="ramp"):
        ramp(0.6, 0.2)


def test_a_rate_is_halved_where_it_is_told_to():
    rate = halved_at(8.0, (0.6, 0.8))
    assert [rate(at(fraction)) for fraction in (0, 0.599, 0.6, 0.799, 0.8, 1)] == [8, 8, 4, 4, 2, 2]
    assert halved_at(8.0, ())(at(1)) == 8
    with pytest.raises(ValueError, match="between 0 and 1"):
        halved_at(8.0, (60,))
