"""Estimator, fusion and the attention inside it: sizes, starts, and what they see."""

from __future__ import annotations

import math

import pytest
import torch

from defocusfix.networks.blocks import SqueezeExcite
from defocusfix.networks.defocus_estimator import DefocusEstimator, Fusion


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_estimator_has_its_documented_parameters():
    assert parameters(DefocusEstimator()) == 66_499


def test_seeds_have_the_size_of_the_image_whatever_it_is():
    assert DefocusEstimator()(torch.rand(2, 3, 7, 30)).shape == (2, 35, 7, 30)


def test_the_estimator_sees_17_pixels():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 33, 33, requires_grad=True)
    DefocusEstimator()(image)[0, :, 16, 16].sum().backward()
    assert image.grad is not None
    rows = image.grad[0].abs().sum(dim=(0, 2)).nonzero().flatten()
    assert (rows.min().item(), rows.max().item()) == (8, 24)


def test_the_estimator_starts_as_the_reference_does():
    torch.manual_seed(0)
    estimator = DefocusEstimator()
    assert all((p == 0.1).all() for n, p in estimator.named_parameters() if n.endswith("bias"))
    expected = math.sqrt(2 / (32 * 9))  # Kaiming, fan out
    assert estimator.head.weight.std().item() == pytest.approx(expected, rel=0.1)
    assert estimator.body[0].expand.weight.std().item() == pytest.approx(expected, rel=0.1)


def test_the_ends_of_the_estimator_have_no_activation():
    torch.manual_seed(0)
    seeds = DefocusEstimator()(torch.rand(1, 3, 16, 16))
    assert (seeds < 0).any()
    assert (seeds > 0).any()


def test_attention_without_weights_halves_its_input():
    attention = SqueezeExcite(38)
    for parameter in attention.parameters():
        torch.nn.init.zeros_(parameter)
    features = torch.randn(2, 38, 5, 5)
    torch.testing.assert_close(attention(features), 0.5 * features)


def test_attention_has_38_2_38_channels_and_no_biases():
    shapes = [tuple(p.shape) for p in SqueezeExcite(38).parameters()]
    assert shapes == [(2, 38), (38, 2)]


def test_the_fusion_has_its_documented_parameters():
    assert parameters(Fusion()) == 152 + 117
    assert parameters(Fusion(mixes=False)) == 152


def test_the_fusion_starts_by_handing_on_the_image_exactly():
    image, seeds = torch.rand(2, 3, 8, 8), 5 * torch.randn(2, 35, 8, 8)
    torch.testing.assert_close(Fusion()(image, seeds), image, atol=1e-7, rtol=0)


def test_the_estimator_learns_once_the_fusion_has_moved():
    torch.manual_seed(0)
    estimator, fusion, image = DefocusEstimator(width=8), Fusion(), torch.rand(1, 3, 8, 8)
    for _ in range(2):
        estimator.zero_grad()
        fusion(image, estimator(image)).square().mean().backward()
        with torch.no_grad():
            for parameter in fusion.parameters():
                parameter -= 0.1 * parameter.grad
    gradient = estimator.head.weight.grad
    assert gradient is not None
    assert gradient.abs().max() > 0


def test_the_reference_start_does_not_keep_the_image():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 8, 8)
    fused = Fusion(keeps_image=False)(image, torch.randn(1, 35, 8, 8))
    assert (fused - image).abs().mean() > 0.05


def test_without_mixing_all_channels_come_out():
    fused = Fusion(mixes=False)(torch.rand(1, 3, 8, 8), torch.randn(1, 35, 8, 8))
    assert fused.shape == (1, 38, 8, 8)
