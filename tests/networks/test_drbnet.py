"""DRBNet: the names and shapes of its published weights, what it computes, and in what memory.

What remains unproven: the published files could not be had, so that their tensors are those listed
in `published_drbnet`, and that they restore a photo, is taken from descriptions.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from defocusfix.networks.build import build_network
from defocusfix.networks.drbnet import DRBNet, DualPixelDRBNet, filtered
from tests.networks.published_drbnet import published_shapes

SMALL = 4  # width at full size


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 2 * torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 1


def small(kind: type = DRBNet, seed: int = 0):
    """A narrow network with weights that matter everywhere."""
    network = kind(width=SMALL).eval()
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.randn(shape, generator=generator)
        * (0.1 if len(shape) == 1 else 1.3 / math.sqrt(math.prod(shape[1:])))
        for name, shape in shapes.items()
    }
    network.load_state_dict(weights)
    return network


def pictures(kind: type, *size: int) -> list[torch.Tensor]:
    return [noise(*size, seed=seed) for seed in range(3 if kind is DualPixelDRBNet else 1)]


@pytest.mark.parametrize(
    ("name", "parameters"), [("drbnet", 11_689_616), ("drbnet-dual-pixel", 11_690_480)]
)
def test_it_has_the_tensors_that_were_published(name, parameters):
    published = published_shapes(dual_pixel=name.endswith("pixel"))
    assert len(published) == 138
    assert sum(math.prod(shape) for shape in published.values()) == parameters
    with torch.device("meta"):
        network = build_network(name)
        weights = {name: torch.empty(shape) for name, shape in published.items()}
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert own == published
    network.load_state_dict(weights, strict=True, assign=True)
    del weights["upconv0_kernel.2.bias"]
    with pytest.raises(RuntimeError, match=r"upconv0_kernel\.2\.bias"):
        network.load_state_dict(weights, strict=True, assign=True)


@settings(max_examples=40)
@given(
    size=st.tuples(*(st.integers(1, 2), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))),
    side=st.sampled_from([1, 3, 5, 7]),
    seed=st.integers(0, 2**32 - 1),
)
def test_filtering_is_what_two_loops_over_all_pixels_find(size, side, seed):
    batch, _, height, width = size
    rng = np.random.default_rng(seed)
    image = rng.normal(size=size).astype(np.float32)
    kernels = rng.normal(size=(batch, side * side, height, width)).astype(np.float32)
    rim = side // 2
    padded = np.pad(image, [(0, 0), (0, 0), (rim, rim), (rim, rim)], mode="edge")
    expected = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            seen = padded[:, :, row : row + side, column : column + side]
            kernel = kernels[:, :, row, column].reshape(batch, 1, side, side)
            expected[:, :, row, column] = (seen * kernel).sum((2, 3))
    found = filtered(torch.from_numpy(image), torch.from_numpy(kernels)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_kernel_of_its_centre_alone_gives_the_image():
    image = noise(2, 3, 16, 24)
    centre = torch.zeros(2, 49, 16, 24)
    centre[:, 24] = 1
    assert torch.equal(filtered(image, centre), image)


def test_equal_weights_give_the_mean_of_the_neighbours_with_edges_repeated():
    image = noise(1, 3, 16, 24)
    found = filtered(image, torch.full((1, 49, 16, 24), 1 / 49))
    expected = F.avg_pool2d(F.pad(image, (3, 3, 3, 3), mode="replicate"), 7, stride=1)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_gradients_of_filtering_are_those_of_finite_differences():
    image = noise(1, 2, 4, 5).double().requires_grad_()
    kernels = noise(1, 9, 4, 5, seed=1).double().requires_grad_()
    assert torch.autograd.gradcheck(filtered, (image, kernels))


def test_training_keeps_no_more_for_filtering_than_kernels_and_a_few_images():
    image, kernels = noise(1, 3, 64, 64), noise(1, 49, 64, 64, seed=1).requires_grad_()
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        filtered(image.requires_grad_(), kernels).sum().backward()
    images = 4 * 3 * (64 * 64 + 7 * 70 * 64)  # as it is, and shifted; all neighbours would be 49
    assert sum(kept.values()) <= kernels.untyped_storage().nbytes() + images


@pytest.mark.parametrize("kind", [DRBNet, DualPixelDRBNet])
def test_it_computes_what_the_description_says(kind):
    network = small(kind).double()  # rounding grows over so many layers
    given_pictures = [picture.double() for picture in pictures(kind, 2, 3, 24, 40)]
    with torch.no_grad():
        found, expected = network.estimates(*given_pictures), as_described(network, *given_pictures)
        restored = network(*given_pictures)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)
    assert (expected[-1] - given_pictures[0]).abs().max() > 0.05
    assert torch.equal(restored, found[-1].clamp(-1, 1))


def as_described(network: torch.nn.Module, image: torch.Tensor, *views: torch.Tensor):
    """The four estimates, coarse to fine, from the weights alone."""
    weights = network.state_dict()

    def linear(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        kernel = weights[f"{name}.weight"]
        padding = kernel.shape[-1] // 2
        return F.conv2d(x, kernel, weights[f"{name}.bias"], stride=stride, padding=padding)

    def leaky(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        return F.leaky_relu(linear(f"{name}.0", x, stride), 0.1)

    def residual(name: str, x: torch.Tensor) -> torch.Tensor:
        inner = F.leaky_relu(linear(f"{name}.stem.0.0", x), 0.1)
        return x + linear(f"{name}.stem.0.2", inner)

    def in_turn(name: str, x: torch.Tensor) -> torch.Tensor:
        for layer in range(3):
            is_linear = name.endswith("kernel") and layer == 2
            x = linear(f"{name}.{layer}", x) if is_linear else leaky(f"{name}.{layer}", x)
        return x

    def up(number: int, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        name = f"upconv{number}_u.0"
        wide = F.conv_transpose2d(
            x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride=2, padding=1
        )
        joined = F.leaky_relu(wide, 0.1) + skip
        return residual(f"upconv{number}_2", residual(f"upconv{number}_1", joined))

    def unfolded(x: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        B, C, H, W = x.shape
        neighbours = F.unfold(F.pad(x, (3, 3, 3, 3), mode="replicate"), 7).view(B, C, 49, H, W)
        return (neighbours * kernels[:, None]).sum(2)

    def estimate(size: int, number: int, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([features, in_turn(f"img_d{size}_feature", x)], 1)
        kernels = in_turn(f"upconv{number}_kernel", joined)
        return x + unfolded(x, kernels) + in_turn(f"upconv{number}_res", joined)

    skips, features = [], torch.cat(views, 1) if views else image
    for level in range(1, 5):
        features = leaky(f"conv{level}_1", features, stride=1 if level == 1 else 2)
        features = leaky(f"conv{level}_3", leaky(f"conv{level}_2", features))
        skips.append(features)
    features = residual("conv4_4.2", residual("conv4_4.1", leaky("conv4_4.0", features)))
    features = leaky("conv4_4.3", features)
    found = [estimate(8, 3, F.interpolate(image, scale_factor=1 / 8, mode="area"), features)]
    for size, number in ((4, 3), (2, 2), (1, 1)):
        features = up(number, features, skips[number - 1])
        enlarged = F.interpolate(found[-1], scale_factor=2, mode="area")
        found.append(estimate(size, number - 1, enlarged, features))
    return found


@pytest.mark.parametrize("kind", [DRBNet, DualPixelDRBNet])
def test_estimates_go_from_an_eighth_to_full_size_and_the_result_stays_in_range(kind):
    network = small(kind)
    given_pictures = [3 * picture for picture in pictures(kind, 1, 3, 64, 96)]
    with torch.no_grad():
        sizes = [tuple(estimate.shape) for estimate in network.estimates(*given_pictures)]
        restored = network(*given_pictures)
    assert sizes == [(1, 3, 8, 12), (1, 3, 16, 24), (1, 3, 32, 48), (1, 3, 64, 96)]
    assert restored.shape == (1, 3, 64, 96)
    assert restored.min() == -1
    assert restored.max() == 1


def test_without_kernels_and_residuals_the_smallest_image_is_repeated():
    network = small()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "_kernel.2" in name or "_res.2" in name:
                weight.zero_()
        image = noise(1, 3, 32, 40)
        expected = F.avg_pool2d(image, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
        assert torch.equal(network(image), expected)


def test_with_views_the_first_estimate_starts_from_the_image_and_kernels_from_the_views():
    network = small(DualPixelDRBNet)
    image, right, left = pictures(DualPixelDRBNet, 1, 3, 16, 16)
    with torch.no_grad():
        found = network.estimates(image, right, left)[0]
        swapped = network.estimates(image, left, right)[0]
        for name, weight in network.named_parameters():
            if "_kernel.2" in name or "_res.2" in name:
                weight.zero_()
        plain = network.estimates(image, right, left)[0]
    assert (found - swapped).abs().max() > 1e-3
    assert torch.equal(plain, F.avg_pool2d(image, 8))


def test_every_parameter_learns_from_the_result():
    network = small().train()
    network.estimates(noise(1, 3, 16, 24))[-1].square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())
