"""Wasserstein losses with a gradient penalty and defocus weighting."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from defocusfix.networks.critic import PatchCritic
from defocusfix.training.adversarial import (
    critic_terms,
    defocus_l1,
    generator_term,
    gradient_penalty,
)


class Linear(nn.Module):
    """Scores each pixel by the same weighted sum of its colours."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights).view(1, 3, 1, 1))

    def forward(self, image):
        return (image * self.weights).sum(dim=1, keepdim=True)


@pytest.fixture
def critic() -> PatchCritic:
    torch.manual_seed(0)
    return PatchCritic(4)


@pytest.fixture
def photos() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    sharp, restored = torch.rand(2, 2, 3, 32, 32, generator=generator)
    return sharp, restored


def test_where_nothing_is_blurred_the_critic_lowers_plain_wgan_gp(critic, photos):
    sharp, restored = photos
    terms = critic_terms(critic, sharp, restored, torch.zeros(2, 1, 32, 32), mixing=0.3)
    assert terms.keys() == {"wasserstein", "defocus", "penalty"}
    between = (0.3 * sharp + 0.7 * restored).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between)
    plain = critic(restored).mean() - critic(sharp).mean()
    plain = plain + 10 * ((slope.square().sum(dim=1).sqrt() - 1) ** 2).mean()
    found = terms["wasserstein"] + 0.1 * terms["defocus"] + 10 * terms["penalty"]
    assert terms["defocus"] == 0
    torch.testing.assert_close(found, plain)


def test_patches_count_by_the_blur_at_their_place(photos):
    sharp, restored = photos
    critic, radius = Linear(1.0, -2.0, 0.5), 8 * torch.rand(2, 1, 32, 32)
    excess = critic(restored) - critic(sharp)
    terms = critic_terms(critic, sharp, restored, radius, mixing=0.5)
    torch.testing.assert_close(terms["defocus"], (excess * radius).mean())
    torch.testing.assert_close(terms["wasserstein"], excess.mean())


def test_the_blur_of_a_patch_is_that_of_its_nearest_pixel(critic, photos):
    sharp, restored = photos
    left = torch.zeros(2, 1, 32, 32)
    left[..., :16] = 5.0
    excess = critic(restored) - critic(sharp)  # (2, 1, 7, 7)
    terms = critic_terms(critic, sharp, restored, left, mixing=0.5)
    # Seven patches over 32 pixels: the first four begin left of the middle.
    torch.testing.assert_close(terms["defocus"], 5 * excess[..., :4].sum() / excess.numel())


@pytest.mark.parametrize("mixing", [0.0, 0.25, 1.0])
def test_the_penalty_of_a_linear_critic_is_known(photos, mixing):
    critic = Linear(2.0, -3.0, 6.0)  # of length 7
    pixel = gradient_penalty(critic, *photos, mixing=mixing)
    assert pixel.item() == pytest.approx((7 - 1) ** 2)
    sample = gradient_penalty(critic, *photos, mixing=mixing, norm="sample")
    assert sample.item() == pytest.approx((7 * 32 - 1) ** 2)


def test_the_penalty_looks_between_the_photos(photos):
    class Square(nn.Module):
        def forward(self, image):
            return image.square().sum(dim=1, keepdim=True) / 2  # its gradient is the photo

    sharp, restored = photos
    for mixing, at in ((1.0, sharp), (0.0, restored)):
        expected = ((at.norm(dim=1) - 1) ** 2).mean()
        found = gradient_penalty(Square(), sharp, restored, mixing=mixing)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("norm", ["pixel", "sample"])
def test_the_penalty_is_differentiated_a_second_time(photos, norm):
    torch.manual_seed(0)
    critic = PatchCritic(2).double()
    sharp, restored = photos[0].double(), photos[1].double()
    weight = critic.body[1][0].weight

    def penalty(change: float) -> torch.Tensor:
        """With one number of the second layer changed; in float64, which the casts let through."""
        with torch.no_grad():
            weight[0, 0, 1, 1] += change
        between = torch.lerp(restored, sharp, 0.4).requires_grad_()
        (slopes,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        lengths = slopes.norm(dim=1) if norm == "pixel" else slopes.flatten(1).norm(dim=1)
        with torch.no_grad():
            weight[0, 0, 1, 1] -= change
        return (lengths - 1).square().mean()

    expected = (penalty(1e-5) - penalty(-1e-5)).item() / 2e-5
    critic.float()
    found = gradient_penalty(critic, *photos, mixing=0.4, norm=norm)
    found.backward()
    assert critic.body[1][0].weight.grad[0, 0, 1, 1].item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("count", [1, 2])
def test_neither_layout_nor_company_changes_how_the_penalty_moves_the_critic(critic, count):
    photos = torch.rand(2, count, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    weights = list(critic.parameters())[:-1]  # the last bias has no part in it
    plain = torch.autograd.grad(gradient_penalty(critic, *photos, mixing=0.3), weights)
    critic.to(memory_format=torch.channels_last)
    laid = [view.contiguous(memory_format=torch.channels_last) for view in photos]
    found = torch.autograd.grad(gradient_penalty(critic, *laid, mixing=0.3), weights)
    apart = [
        torch.autograd.grad(
            gradient_penalty(critic, *(view[k : k + 1] for view in laid), mixing=0.3), weights
        )
        for k in range(count)
    ]
    for one, other, *parts in zip(plain, found, *apart, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(torch.stack(parts).mean(dim=0), one, rtol=1e-3, atol=1e-5)


def test_nothing_the_critic_lowers_reaches_the_generator(critic, photos):
    sharp, restored = photos[0], photos[1].requires_grad_()
    terms = critic_terms(critic, sharp, restored, torch.ones(2, 1, 32, 32), mixing=0.5)
    sum(terms.values()).backward()
    assert restored.grad is None
    assert all(p.grad is not None for p in critic.parameters())


def test_in_half_precision_the_penalty_stays_exact(critic, photos):
    exact = gradient_penalty(critic, *photos, mixing=0.5)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradient_penalty(critic, *photos, mixing=0.5)
        terms = critic_terms(critic, *photos, torch.ones(2, 1, 32, 32), mixing=0.5)
    assert torch.equal(found, exact)
    assert {term.dtype for term in terms.values()} == {torch.float32}


def test_the_generator_is_told_how_to_please_the_critic(photos):
    restored = photos[1].requires_grad_()
    term = generator_term(Linear(1.0, -2.0, 0.5), restored)
    term.backward()
    red, green, blue = restored.mean(dim=(0, 2, 3)).tolist()
    assert term.item() == pytest.approx(-(red - 2 * green + 0.5 * blue), abs=1e-5)
    assert restored.grad[0, :, 0, 0].sign().tolist() == [-1, 1, -1]


def test_errors_count_by_the_blur_at_their_place():
    sharp = torch.zeros(1, 3, 1, 2)
    restored = torch.tensor([[0.5, -0.25]]).expand(1, 3, 1, 2)
    radius = torch.tensor([2.0, 8.0]).view(1, 1, 1, 2)
    assert defocus_l1(restored, sharp, radius).item() == pytest.approx((0.5 * 2 + 0.25 * 8) / 2)
