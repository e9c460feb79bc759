"""Kernels by level and side: sizes, sums, and reblurring against a straightforward evaluation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve2d

from defocusfix.networks.kernel_bank import KernelBank, kernel_size, reblur
from defocusfix.networks.radial_kernels import extended
from defocusfix.optics import disc
from defocusfix.training.recipes.learnable_kernel import first_kernels


def bank(levels=9, **settings):
    made = KernelBank(levels, **settings)
    made.start_from(first_kernels(levels))
    return made


def scrambled(levels=9, seed=0):
    """Kernels of any shape, different on both sides."""
    made = bank(levels)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for side in (made.positive, made.negative):
            side.add_(0.05 * torch.randn(side.shape, generator=generator))
    return made


def hat_weights(levels, count):
    """(2, count, *shape), from their definition."""
    steps = torch.arange(count).view(-1, *([1] * levels.dim()))
    weights = torch.stack(
        [(1 - (levels - steps).abs()).clamp_min(0), (1 - (levels + steps).abs()).clamp_min(0)]
    )
    weights[:, 0] /= 2
    return weights


def by_definition(sharp, levels, kernels, padding):
    """Every level of both sides blurs the whole image."""
    reach = kernels.shape[-1] // 2
    wide = extended(sharp, reach, padding).flatten(0, 1).unsqueeze(1)
    total = torch.zeros_like(levels)
    for side, of_side in enumerate(hat_weights(levels, kernels.shape[1])):
        for level, weight in enumerate(of_side):
            kernel = kernels[side, level].flip(0, 1)[None, None]  # conv2d correlates
            total = total + weight * F.conv2d(wide, kernel).view_as(levels)
    return total


@given(level=st.floats(-24, 24))
def test_weights_of_all_levels_sum_to_1(level):
    assert float(hat_weights(torch.tensor([level]), 25).sum()) == pytest.approx(1, abs=1e-5)


def test_sizes_are_the_published_ones_and_make_55730_numbers():
    expected = [1, 3, *(2 * i + 3 for i in range(2, 9)), *(2 * i + 5 for i in range(9, 16)),
                *(2 * i + 7 for i in range(16, 23)), 55, 57]  # fmt: skip
    assert [kernel_size(level) for level in range(25)] == expected
    assert sum(parameter.numel() for parameter in KernelBank().parameters()) == 55_730


def test_every_kernel_sums_to_1_in_the_beginning_on_both_sides():
    sums = bank(25).kernels().sum(dim=(2, 3))
    torch.testing.assert_close(sums, torch.ones(2, 25))


def test_a_map_of_zeros_leaves_the_image_alone():
    sharp = torch.rand(2, 3, 40, 33)
    assert torch.equal(bank()(sharp, torch.zeros_like(sharp)), sharp)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_level_between_two_is_the_average_of_both(sign):
    sharp = torch.rand(1, 3, 48, 48)
    made = scrambled()
    between, five, six = (made(sharp, torch.full_like(sharp, sign * n)) for n in (5.5, 5, 6))
    torch.testing.assert_close(between, (five + six) / 2)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("spread", [1.0, 8.0])
def test_values_and_gradients_are_those_of_the_definition(padding, spread):
    torch.manual_seed(1)
    sharp = torch.rand(2, 3, 37, 30)
    levels = (spread * (2 * torch.rand(2, 3, 37, 30) - 1)).requires_grad_()
    kernels = scrambled().kernels().detach().requires_grad_()
    towards = torch.randn(2, 3, 37, 30)

    found = [
        (value, *torch.autograd.grad((value * towards).sum(), (levels, kernels)))
        for value in (
            reblur(sharp, levels, kernels, padding),
            by_definition(sharp, levels, kernels, padding),
        )
    ]
    for ours, expected in zip(*found, strict=True):
        # Cells around the smaller kernels are zeros that are not learnt.
        torch.testing.assert_close(
            ours * (expected != 0), expected * (ours != 0), rtol=1e-4, atol=1e-4
        )


def test_gradients_of_the_numbers_that_are_learnt_are_those_of_the_definition():
    torch.manual_seed(2)
    sharp, levels = torch.rand(1, 1, 30, 30), 16 * torch.rand(1, 1, 30, 30) - 8
    ours, expected = (
        torch.autograd.grad(
            evaluate(sharp, levels, made.kernels(), "reflect").square().sum(),
            (made.positive, made.negative),
        )
        for evaluate, made in ((reblur, scrambled()), (by_definition, scrambled()))
    )
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("level", [2, 7])
def test_a_kernel_is_what_becomes_of_one_point(level):
    # By convolution in a direct and in a Fourier size; SciPy's as the witness.
    sharp = torch.rand(1, 1, 40, 40)
    made = scrambled()
    found = made(sharp, torch.full_like(sharp, level))[0, 0]
    kernel = made.kernels()[0, level].detach().numpy()
    expected = convolve2d(np.pad(sharp[0, 0].numpy(), 9, mode="reflect"), kernel, mode="valid")
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)


def test_a_gradient_shows_the_way_out_of_the_middle():
    # At a whole level the definition's hat weights have no slope at all.
    sharp = torch.rand(1, 1, 30, 30)
    levels = torch.zeros_like(sharp, requires_grad=True)
    made = bank()
    blurred = made(sharp, torch.ones_like(sharp)).detach()
    (made(sharp, levels) - blurred).square().sum().backward()
    assert float(levels.grad.max()) <= 0
    assert float(levels.grad.mean()) < 0


def test_the_image_that_is_reblurred_must_not_need_a_gradient():
    sharp = torch.rand(1, 1, 30, 30, requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        bank()(sharp, torch.ones(1, 1, 30, 30)).sum().backward()


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), size=st.floats(0.001, 1))
def test_normalised_kernels_are_not_negative_and_sum_to_1_whatever_is_learnt(seed, size):
    made = bank(4, is_normalised=True)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        made.positive.add_(size * torch.randn(made.positive.shape, generator=generator))
    kernels = made.kernels().detach()
    assert float(kernels.min()) >= 0
    torch.testing.assert_close(kernels.sum(dim=(2, 3)), torch.ones(2, 4))


def test_normalising_does_not_change_the_kernels_that_are_begun_with():
    torch.testing.assert_close(bank(is_normalised=True).kernels(), bank().kernels())


def test_normalised_cells_that_are_empty_can_still_be_learnt():
    made = bank(4, is_normalised=True)
    corner = made.kernels()[0, 3, 0, 0]
    assert corner.item() == 0
    corner.backward()
    assert float(made.positive.grad.abs().max()) > 0


def test_one_side_serves_both_where_there_is_one():
    made = bank(has_sides=False)
    with torch.no_grad():
        made.positive.mul_(torch.rand(made.positive.shape))
    sharp, levels = torch.rand(1, 3, 32, 32), 16 * torch.rand(1, 3, 32, 32) - 8
    torch.testing.assert_close(made(sharp, levels), made(sharp, -levels))


def test_what_a_bank_is_goes_with_its_weights():
    kept = bank(has_sides=False, is_normalised=True).state_dict()
    made = KernelBank(9)
    made.load_state_dict(kept)
    assert not made.has_sides
    assert made.is_normalised


def test_the_radius_of_a_level_is_that_of_the_disc_that_spreads_as_far():
    made = KernelBank(9)
    discs = []
    for level in range(9):
        drawn = torch.from_numpy(disc(0.9 * level))
        rim = (kernel_size(level) - len(drawn)) // 2
        discs.append(F.pad(drawn, (rim,) * 4))
    made.start_from(discs)
    radii = made.level_radii_px()
    np.testing.assert_allclose(radii[0].detach(), 0.9 * np.arange(9), rtol=0.012, atol=1e-6)


def test_radii_between_levels_are_interpolated_and_keep_the_sign():
    made = scrambled()
    positive, negative = made.level_radii_px().detach()
    found = made.radius_px(torch.tensor([8.0, 2.25, 0.0, -2.25, -8.0])).detach()
    expected = torch.stack(
        [positive[8], 0.75 * positive[2] + 0.25 * positive[3], torch.tensor(0.0),
         -0.75 * negative[2] - 0.25 * negative[3], -negative[8]]
    )  # fmt: skip
    torch.testing.assert_close(found, expected)


def test_kernels_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        KernelBank(3).start_from(first_kernels(4))
    with pytest.raises(ValueError, match="at least 2"):
        KernelBank(1)


def test_an_image_too_small_to_be_mirrored_is_refused():
    sharp = torch.rand(1, 1, 8, 8)
    with pytest.raises(ValueError, match="mirrored"):
        bank()(sharp, torch.full_like(sharp, 8))
