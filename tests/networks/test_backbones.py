"""U-Net and Restormer: documented sizes, shapes, and what tells them from look-alikes."""

from __future__ import annotations

import pytest
import torch

from defocusfix.networks.restormer import ChannelAttention, ChannelNorm, Restormer
from defocusfix.networks.unet import UNet, _UpConvolution


def small_unet(inputs: int = 3) -> UNet:
    torch.manual_seed(0)
    return UNet(inputs=inputs, widths=(4, 4, 8, 8, 8)).eval()


def small_restormer() -> Restormer:
    torch.manual_seed(0)
    return Restormer(width=8, blocks=(1, 1, 1, 1), refinement=1, heads=(1, 2, 2, 4)).eval()


@pytest.mark.parametrize(("height", "width"), [(16, 48), (32, 16)])
def test_the_unet_keeps_the_size_and_stays_between_black_and_white(height: int, width: int):
    restored = small_unet(38)(10 * torch.randn(2, 38, height, width))
    assert restored.shape == (2, 3, height, width)
    assert (restored >= 0).all()
    assert (restored <= 1).all()


def test_the_unets_convolutions_of_size_two_look_down_and_to_the_right():
    torch.manual_seed(0)
    up, features = _UpConvolution(1, 1), torch.rand(1, 1, 4, 4)
    torch.nn.init.zeros_(up.convolution.bias)
    torch.nn.init.zeros_(up.convolution.weight)
    with torch.no_grad():
        up.convolution.weight[0, 0, 1, 1] = 1
    wide = features.repeat_interleave(2, 2).repeat_interleave(2, 3)
    found = up(features)
    assert found.shape == (1, 1, 8, 8)
    assert torch.equal(found[..., :-1, :-1], wide[..., 1:, 1:])
    assert (found[..., -1, :] == 0).all()
    assert (found[..., -1] == 0).all()


def test_the_unet_drops_features_in_training_only():
    network, image = small_unet(), torch.rand(1, 3, 32, 32)
    assert torch.equal(network(image), network(image))
    network.train()
    assert not torch.equal(network(image), network(image))


def test_a_result_of_the_unet_depends_on_nothing_beyond_its_halo():
    network, middle = small_unet(), 136
    for parameter in network.parameters():  # means, so that nothing is lost on its way
        torch.nn.init.constant_(parameter, 1 / parameter[0].numel() if parameter.ndim > 1 else 0.0)
    distance = (torch.arange(2 * middle) - middle).abs()
    farther = torch.maximum(distance[:, None], distance[None, :])
    image = torch.zeros(1, 3, 2 * middle, 2 * middle)
    with torch.no_grad():
        plain = network(image)
        far = network(image + (farther > UNet.halo))
        near = network(image + (farther > 0.75 * UNet.halo))
    assert far[0, 0, middle, middle] == plain[0, 0, middle, middle]
    assert near[0, 0, middle, middle] != plain[0, 0, middle, middle]


def test_restormer_keeps_the_size_and_adds_to_its_input():
    network, image = small_restormer(), torch.rand(2, 3, 16, 24)
    assert network(image).shape == image.shape
    torch.nn.init.zeros_(network.output.weight)
    assert torch.equal(network(image), image)


def test_restormers_attention_equals_torchs_on_channels():
    torch.manual_seed(0)
    attention, features = ChannelAttention(8, 2), torch.randn(2, 8, 5, 6)
    with torch.no_grad():
        attention.temperature.copy_(torch.tensor([0.5, 2.0]).view(2, 1, 1))
        query, key, value = attention.qkv_dwconv(attention.qkv(features)).chunk(3, dim=1)
        heads = []
        for head, scale in enumerate((0.5, 2.0)):
            own = slice(4 * head, 4 * head + 4)
            q, k, v = (part[:, own].flatten(2) for part in (query, key, value))  # (B, 4, 30)
            q, k = q / q.norm(dim=2, keepdim=True), k / k.norm(dim=2, keepdim=True)
            heads.append(torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=scale))
        expected = attention.project_out(torch.cat(heads, dim=1).view(2, 8, 5, 6))
        torch.testing.assert_close(attention(features), expected)


def test_restormers_norm_works_on_the_channels_of_each_pixel():
    features = 3 + 2 * torch.randn(2, 16, 4, 5)
    normed = ChannelNorm(16)(features)
    torch.testing.assert_close(normed.mean(dim=1), torch.zeros(2, 4, 5), atol=1e-5, rtol=0)
    variance = normed.var(dim=1, unbiased=False)
    torch.testing.assert_close(variance, torch.ones(2, 4, 5), atol=1e-3, rtol=0)
