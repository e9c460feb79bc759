"""The estimator of signed defocus maps: sizes, range, what it reads."""

import pytest
import torch

from defocusfix.network_spec import NetworkSpec
from defocusfix.networks.blur_map import (
    SIZES,
    BlurMap,
    BlurMapConfig,
    BlurMapEstimator,
    as_views,
    blur_map_small,
)
from defocusfix.networks.build import build_network
from defocusfix.training.export import export_onnx, load_network
from defocusfix.training.recipes.learnable_kernel import first_kernels
from defocusfix.training.weights import write_weights

TINY = BlurMapConfig(width=4, branches=(0, 1), levels=4)


def test_the_estimator_has_the_published_number_of_parameters():
    # Head, tail; 16 layers of one block, 8 of two, each with a closing convolution; 8 of none.
    convolution = 64 * 64 * 9 + 64
    block = 2 * convolution + 64 * 4 + 4 + 4 * 64 + 64
    groups = 16 * (block + convolution) + 8 * (2 * block + convolution)
    ends = (6 * 64 * 9 + 64) + (64 * 3 * 9 + 3)
    expected = ends + groups + 8 * (64 * 64 + 64)
    found = sum(parameter.numel() for parameter in BlurMapEstimator().parameters())
    assert found == expected == 3_306_755


def test_maps_have_a_value_for_every_pixel_and_colour_within_the_levels():
    torch.manual_seed(0)
    estimator = BlurMapEstimator(TINY)
    with torch.no_grad():
        estimator.tail.weight.mul_(100)
        found = estimator(torch.rand(2, 6, 32, 48))
    assert found.shape == (2, 3, 32, 48)
    assert float(found.abs().max()) == 3


def test_an_estimator_that_starts_in_focus_says_so_everywhere():
    estimator = BlurMapEstimator(TINY)
    estimator.start_in_focus()
    assert torch.equal(estimator(torch.rand(1, 6, 16, 16)), torch.zeros(1, 3, 16, 16))


def test_two_equal_views_are_as_good_as_a_convolution_of_one_photo():
    # Why there is no variant for three channels.
    torch.manual_seed(0)
    head = BlurMapEstimator(TINY).head
    image = torch.rand(1, 3, 8, 8)
    summed = torch.nn.functional.conv2d(
        image, head.weight[:, :3] + head.weight[:, 3:], head.bias, padding=1
    )
    torch.testing.assert_close(head(as_views(image)), summed)


def test_a_blur_map_leaves_the_photo_alone_and_says_the_radius_in_pixels():
    torch.manual_seed(0)
    network = BlurMap(TINY)
    network.kernels.start_from(first_kernels(4))
    image = torch.rand(1, 3, 32, 32)
    kept, radius = network(image)
    assert torch.equal(kept, image)
    assert radius.shape == (1, 1, 32, 32)
    signed = network.signed_radius_px(as_views(image))
    torch.testing.assert_close(radius, signed.abs().mean(dim=1, keepdim=True))


@pytest.mark.parametrize("name", SIZES)
def test_both_sizes_can_be_built_by_name(name):
    network = build_network(name)
    assert isinstance(network, BlurMap)
    assert network.kernels.levels == SIZES[name].levels


@pytest.mark.slow
def test_a_blur_map_is_exported_as_a_network_that_gives_a_map(tmp_path):
    torch.manual_seed(0)
    network = blur_map_small()
    network.kernels.start_from(first_kernels(9))
    spec = NetworkSpec(
        name="map", architecture="blur-map-small", size_multiple=16, halo=64, levels=1
    )
    write_weights(tmp_path / "weights.safetensors", network.state_dict(), spec)
    loaded, facts = load_network(tmp_path / "weights.safetensors")
    exported = export_onnx(loaded, facts, tmp_path / "map.onnx")
    assert exported.spec.outputs == ("restored", "radius_px")
    assert all(parity.engine < 1e-4 for parity in exported.parities)


def test_sizes_that_make_no_network_are_refused():
    with pytest.raises(ValueError, match="levels at least 2"):
        BlurMapConfig(levels=1)
