"""Residual blocks with channel attention: sizes, parameters and what attention can do."""

import pytest
import torch

from defocusfix.networks.rcab import (
    BranchLayer,
    ChannelAttention,
    ResidualAttentionBlock,
    ResidualAttentionGroup,
)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_are_those_of_the_published_sizes():
    convolution = 64 * 64 * 9 + 64
    attention = 64 * 4 + 4 + 4 * 64 + 64
    assert parameters(ChannelAttention(64)) == attention
    assert parameters(ResidualAttentionBlock(64)) == 2 * convolution + attention
    assert parameters(ResidualAttentionGroup(64, 3)) == 7 * convolution + 3 * attention
    assert parameters(BranchLayer(64, 0, "halve")) == 64 * 64 + 64


@pytest.mark.parametrize(
    ("blocks", "resize", "side"),
    [(1, "halve", 4), (1, "double", 16), (2, "none", 8), (0, "halve", 8), (0, "double", 8)],
)
def test_a_layer_changes_the_size_unless_its_branch_stays_at_full_size(blocks, resize, side):
    layer = BranchLayer(4, blocks, resize)
    assert layer(torch.zeros(2, 4, 8, 8)).shape == (2, 4, side, side)


def test_attention_scales_channels_by_one_factor_between_0_and_1_each():
    torch.manual_seed(0)
    features = torch.rand(2, 32, 5, 7) + 0.1
    factors = ChannelAttention(32)(features) / features
    assert torch.all((factors > 0) & (factors < 1))
    assert torch.allclose(factors, factors[..., :1, :1].expand_as(factors))


def test_a_group_whose_last_convolution_is_zero_changes_nothing():
    group = ResidualAttentionGroup(4, 1)
    torch.nn.init.zeros_(group.project.weight)
    torch.nn.init.zeros_(group.project.bias)
    features = torch.rand(1, 4, 6, 6)
    assert torch.equal(group(features), features)


def test_an_unknown_change_of_size_is_refused():
    with pytest.raises(ValueError, match="halve"):
        BranchLayer(4, 1, "third")
