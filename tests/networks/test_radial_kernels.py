"""Radial kernels: what seeds mean, cell by cell, and the ring sums against shifted copies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from defocusfix.networks.radial_kernels import (
    BRANCHES,
    REACHES,
    SEED_COUNTS,
    SEEDS,
    Outside,
    Padding,
    RadialKernels,
    apply_kernels,
)
from defocusfix.optics.psf import disc, second_moment_radius


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mixture(*shape: int, seed: int = 0) -> torch.Tensor:
    return noise(shape[0], BRANCHES, *shape[1:], seed=seed).softmax(dim=1)


def by_copies(
    kernels: RadialKernels, image: torch.Tensor, seeds: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    blurred = [image] + [apply_kernels(image, k, kernels.padding) for k in kernels.kernels(seeds)]
    return (torch.stack(blurred, dim=1) * weights.unsqueeze(2)).sum(dim=1)


def seeds_of(reach: int, values: list[float]) -> torch.Tensor:
    """(1, 35, 1, 1), zero but for the kernel with this reach."""
    groups = [torch.zeros(count) for count in SEED_COUNTS]
    groups[REACHES.index(reach)] = torch.tensor(values)
    return torch.cat(groups).view(1, SEEDS, 1, 1)


def logits(kernel: torch.Tensor) -> torch.Tensor:
    """What went into the softmax, relative to a corner, (K, K)."""
    side = math.isqrt(kernel.shape[1])
    square = kernel.view(side, side).log()
    return square - square[0, 0]


def test_the_smallest_kernel_has_the_first_seed_in_the_middle_and_the_second_at_its_sides():
    kernel = RadialKernels().kernels(seeds_of(1, [2.0, 1.5]))[0]
    expected = torch.tensor([[0.0, 1.5, 0.0], [1.5, 2.0, 1.5], [0.0, 1.5, 0.0]])
    torch.testing.assert_close(logits(kernel), expected)


def test_a_cell_between_two_radii_interpolates_linearly():
    kernel = RadialKernels().kernels(seeds_of(2, [0.0, 1.0, 3.0]))[1]
    share = math.sqrt(2) - 1  # of the seed at radius 2, for the cell at (1, 1)
    assert logits(kernel)[3, 3].item() == pytest.approx((1 - share) * 1.0 + share * 3.0)


def test_the_sign_of_a_seed_does_not_matter():
    kernels, seeds = RadialKernels(), noise(1, SEEDS, 4, 4)
    for positive, negative in zip(kernels.kernels(seeds), kernels.kernels(-seeds), strict=True):
        assert torch.equal(positive, negative)


@pytest.mark.parametrize("outside", ["exp0", "zero"])
def test_kernels_sum_to_one_and_look_the_same_turned_and_mirrored(outside: Outside):
    kernels = RadialKernels(outside=outside).kernels(3 * noise(2, SEEDS, 3, 5))
    for reach, kernel in zip(REACHES, kernels, strict=True):
        torch.testing.assert_close(kernel.sum(dim=1), torch.ones(2, 3, 5))
        square = kernel.unflatten(1, (2 * reach + 1, 2 * reach + 1))
        torch.testing.assert_close(square.rot90(1, (1, 2)), square)
        torch.testing.assert_close(square.flip(1), square)


def test_corners_weigh_little_in_the_reference_and_nothing_in_a_true_disc():
    seeds = torch.full((1, SEEDS, 1, 1), 2.0)
    for kernel in RadialKernels(outside="exp0").kernels(seeds):
        assert (kernel[0, 0] / kernel.max()).item() == pytest.approx(math.exp(-2))
    for reach, kernel in zip(REACHES, RadialKernels(outside="zero").kernels(seeds), strict=True):
        square = kernel.view(2 * reach + 1, 2 * reach + 1)
        line = torch.arange(-reach, reach + 1) ** 2
        is_inside = line[:, None] + line[None, :] <= reach**2
        torch.testing.assert_close(square, is_inside / is_inside.sum())


@pytest.mark.parametrize("outside", ["exp0", "zero"])
@pytest.mark.parametrize("padding", ["reflect", "replicate", "zeros"])
def test_ring_sums_equal_shifted_copies(outside: Outside, padding: Padding):
    kernels = RadialKernels(outside=outside, padding=padding)
    image, seeds = noise(2, 3, 12, 17), 3 * noise(2, SEEDS, 12, 17, seed=1)
    weights = mixture(2, 12, 17, seed=2)
    found = kernels.blur(image, seeds, weights)
    torch.testing.assert_close(found, by_copies(kernels, image, seeds, weights), atol=1e-5, rtol=0)


@given(scale=st.floats(0, 300), seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_ring_sums_equal_shifted_copies_for_seeds_of_any_size(scale: float, seed: int):
    kernels = RadialKernels()
    image, seeds = noise(1, 1, 9, 9, seed=seed), scale * noise(1, SEEDS, 9, 9, seed=seed + 1)
    weights = mixture(1, 9, 9, seed=seed + 2)
    found = kernels.blur(image, seeds, weights)
    torch.testing.assert_close(found, by_copies(kernels, image, seeds, weights), atol=1e-5, rtol=0)


@pytest.mark.parametrize("outside", ["exp0", "zero"])
def test_gradients_of_ring_sums_equal_those_of_shifted_copies(outside: Outside):
    kernels = RadialKernels(outside=outside)
    leaves = (noise(1, 3, 9, 10), noise(1, SEEDS, 9, 10, seed=1), mixture(1, 9, 10, seed=2))
    image, seeds, weights = (leaf.requires_grad_() for leaf in leaves)
    ours = kernels.blur(image, seeds, weights).square().mean()
    theirs = by_copies(kernels, image, seeds, weights).square().mean()
    for found, expected in zip(
        torch.autograd.grad(ours, (image, seeds, weights)),
        torch.autograd.grad(theirs, (image, seeds, weights)),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


@given(level=st.floats(0, 1), seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_a_constant_image_stays_constant_to_its_border(level: float, seed: int):
    image = torch.full((1, 3, 9, 11), level)
    blurred = RadialKernels().blur(image, noise(1, SEEDS, 9, 11, seed=seed), mixture(1, 9, 11))
    torch.testing.assert_close(blurred, image, atol=1e-5, rtol=0)


def test_padding_with_zeros_darkens_a_frame_of_seven_pixels_only():
    image = torch.ones(1, 1, 24, 24)
    blurred = RadialKernels(padding="zeros").blur(
        image, torch.zeros(1, SEEDS, 24, 24), mixture(1, 24, 24)
    )
    torch.testing.assert_close(blurred[..., 7:-7, 7:-7], image[..., 7:-7, 7:-7])
    assert (blurred[..., 6, 7:-7] < 1 - 1e-4).all()


def test_the_first_branch_alone_gives_the_image_back_exactly():
    image = noise(1, 3, 10, 10)
    weights = F.one_hot(torch.zeros(1, 10, 10, dtype=torch.long), BRANCHES).permute(0, 3, 1, 2)
    found = RadialKernels().blur(image, noise(1, SEEDS, 10, 10), weights.float())
    assert torch.equal(found, image)


def test_every_pixel_is_blurred_by_its_own_kernel():
    image = noise(1, 1, 20, 20)
    seeds = torch.zeros(1, SEEDS, 20, 20)
    seeds[..., 10:] = 2.0
    weights = mixture(1, 20, 20)
    both = RadialKernels().blur(image, seeds, weights)
    left = RadialKernels().blur(image, torch.zeros_like(seeds), weights)
    right = RadialKernels().blur(image, torch.full_like(seeds, 2.0), weights)
    torch.testing.assert_close(both[..., :10], left[..., :10])
    torch.testing.assert_close(both[..., 10:], right[..., 10:])


@pytest.mark.parametrize("reach", REACHES)
def test_the_radius_is_that_of_the_disc_that_spreads_light_as_far(reach: int):
    seeds = noise(1, SEEDS, 1, 1, seed=reach)
    branch = torch.tensor([[1 + REACHES.index(reach)]])
    weights = F.one_hot(branch, BRANCHES).float().view(1, BRANCHES, 1, 1)
    kernel = RadialKernels().kernels(seeds)[REACHES.index(reach)]
    psf = kernel.view(2 * reach + 1, 2 * reach + 1).double().numpy()
    expected = math.sqrt(2) * second_moment_radius(psf)
    assert RadialKernels().radius_px(seeds, weights).item() == pytest.approx(expected, rel=1e-4)


def test_the_radius_counts_the_sharp_share_of_the_image():
    seeds = noise(1, SEEDS, 1, 1)
    shares = torch.zeros(1, BRANCHES, 1, 1)
    shares[0, 0], shares[0, 3] = 0.75, 0.25
    kernel = RadialKernels().kernels(seeds)[2].view(7, 7).double().numpy()
    together = 0.25 * kernel
    together[3, 3] += 0.75
    expected = math.sqrt(2) * second_moment_radius(together)
    assert RadialKernels().radius_px(seeds, shares).item() == pytest.approx(expected, rel=1e-4)


def test_without_weights_the_radius_takes_all_kernels_alike():
    kernels, seeds = RadialKernels(), noise(1, SEEDS, 2, 2)
    alike = torch.full((1, BRANCHES, 2, 2), 1 / 7)
    torch.testing.assert_close(kernels.radius_px(seeds), kernels.radius_px(seeds, alike))


def test_a_disc_can_be_told_by_seeds_and_is_measured_at_its_radius():
    middle = len(psf := disc(5.0)) // 2
    shares = np.maximum(psf[middle, middle:], 1e-9)
    values = [max(0.0, 12 + math.log(share / shares[0])) for share in shares]
    seeds = seeds_of(7, (values + 8 * [0.0])[:8])
    weights = F.one_hot(torch.tensor([[7]]), BRANCHES).float().view(1, BRANCHES, 1, 1)
    assert RadialKernels().radius_px(seeds, weights).item() == pytest.approx(5.0, abs=0.2)


def test_a_radius_of_nothing_has_a_finite_slope():
    seeds = torch.full((1, SEEDS, 1, 1), 1.0, requires_grad=True)
    weights = F.one_hot(torch.tensor([[0]]), BRANCHES).float().view(1, BRANCHES, 1, 1)
    radius = RadialKernels().radius_px(seeds, weights)
    radius.sum().backward()
    assert radius.item() < 0.001
    assert seeds.grad is not None
    assert torch.isfinite(seeds.grad).all()


def test_an_image_too_small_to_be_mirrored_is_refused_in_words():
    with pytest.raises(ValueError, match="7 px beyond its border"):
        RadialKernels().blur(noise(1, 3, 7, 20), noise(1, SEEDS, 7, 20), mixture(1, 7, 20))


def test_unknown_words_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="reflect"):
        RadialKernels(padding="wrap")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="exp0"):
        RadialKernels(outside="none")  # type: ignore[arg-type]


def test_fixed_filters_are_neither_parameters_nor_stored():
    kernels = RadialKernels()
    assert not list(kernels.parameters())
    assert not kernels.state_dict()
    assert kernels.filters.shape == (24 + 7, 1, 15, 15)
