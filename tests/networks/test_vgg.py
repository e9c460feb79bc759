"""VGG-19: which layer is which, what passes through, and that nothing of it learns."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from defocusfix.networks.vgg import Vgg19Features, layer_index

LAYERS = ("relu1_2", "relu2_2", "conv3_3", "relu3_4", "relu4_4")


@pytest.fixture(scope="module")
def network() -> Vgg19Features:
    torch.manual_seed(0)
    return Vgg19Features(LAYERS).eval()


def test_layers_stand_where_torchvision_has_them():
    # 16 convolutions with a ReLU each and 5 maxima; the places are those of torchvision's listing.
    places = {"conv1_1": 0, "relu1_2": 3, "relu2_2": 8, "conv3_3": 14, "relu3_4": 17,
              "relu4_4": 26, "conv5_1": 28, "relu5_4": 35}  # fmt: skip
    assert {name: layer_index(name) for name in places} == places


@pytest.mark.parametrize("name", ["relu1_3", "relu6_1", "conv3", "pool3", "relu3_5", ""])
def test_a_layer_that_vgg_lacks_is_refused(name):
    with pytest.raises(ValueError, match="VGG-19 has no layer"):
        Vgg19Features(("relu1_1", name))


def test_its_parameters_are_named_and_shaped_as_torchvisions(network):
    shapes = {name: tuple(values.shape) for name, values in network.state_dict().items()}
    convolutions = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    widths = [64, 64, 128, 128, *[256] * 4, *[512] * 8]
    expected = {}
    for index, inputs, width in zip(convolutions, [3, *widths], widths, strict=False):
        expected[f"features.{index}.weight"] = (width, inputs, 3, 3)
        expected[f"features.{index}.bias"] = (width,)
    assert shapes == expected
    assert sum(values.numel() for values in network.parameters()) == 20_024_384


def test_features_have_the_size_of_their_block_and_the_names_asked_for(network):
    found = network(torch.rand(2, 3, 32, 48))
    assert {name: tuple(values.shape[1:]) for name, values in found.items()} == {
        "relu1_2": (64, 32, 48), "relu2_2": (128, 16, 24), "conv3_3": (256, 8, 12),
        "relu3_4": (256, 8, 12), "relu4_4": (512, 4, 6),
    }  # fmt: skip


def test_a_convolutions_features_keep_the_negative_part_that_its_relu_drops():
    torch.manual_seed(0)
    found = Vgg19Features(("conv3_3", "relu3_3"))(torch.rand(1, 3, 32, 32))
    assert found["conv3_3"].min() < 0
    assert torch.equal(F.relu(found["conv3_3"]), found["relu3_3"])


def test_normalising_is_imagenets_mean_and_deviation_and_can_be_left_out(network):
    plain = Vgg19Features(LAYERS, normalises=False)
    plain.load_state_dict(network.state_dict())
    image = torch.rand(1, 3, 32, 32)
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    normal = (image - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    for name, values in plain(normal).items():
        torch.testing.assert_close(values, network(image)[name])
    assert not torch.allclose(plain(image)["relu1_2"], network(image)["relu1_2"])


def test_gradients_reach_the_image_and_no_parameter(network):
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    network(image)["relu3_4"].sum().backward()
    assert image.grad.abs().sum() > 0
    assert not any(values.requires_grad for values in network.parameters())
