"""The reblurring module: sizes, routes of gradients, and that it finds the blur it is shown."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from defocusfix.networks.defocus_estimator import DefocusEstimator
from defocusfix.networks.radial_kernels import BRANCHES, SEED_COUNTS, SEEDS
from defocusfix.networks.reblur import (
    REFERENCE,
    FreeKernelReblur,
    PseudoTruthConfig,
    ReblurConfig,
    ReblurModule,
    Reblurred,
    pseudo_truth,
)
from defocusfix.optics.psf import disc

SMALL = ReblurConfig(width=8)


def picture(side: int, seed: int = 0, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(seed))


def small(config: ReblurConfig = SMALL) -> ReblurModule:
    torch.manual_seed(0)
    return ReblurModule(config)


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_its_networks_have_their_documented_parameters():
    module = ReblurModule()
    assert parameters(module.kernel_prediction) == 245_283
    assert parameters(module.weight_prediction) == 229_704
    assert parameters(module) == 474_987


def test_it_returns_image_seeds_and_weights_that_sum_to_one():
    reblurred = small()(picture(16, batch=2), picture(16, seed=1, batch=2))
    assert reblurred.image.shape == (2, 3, 16, 16)
    assert reblurred.seeds.shape == (2, SEEDS, 16, 16)
    assert reblurred.weights.shape == (2, BRANCHES, 16, 16)
    torch.testing.assert_close(reblurred.weights.sum(dim=1), torch.ones(2, 16, 16))
    assert (reblurred.weights >= 0).all()


def test_with_all_weight_on_the_first_branch_the_image_comes_back():
    module, sharp = small(), picture(16)
    with torch.no_grad():
        module.weight_prediction.tail.bias[0] = 1000.0
    torch.testing.assert_close(module(sharp, picture(16, seed=1)).image, sharp)


def test_it_starts_with_xavier_weights_and_no_biases():
    head = ReblurModule().kernel_prediction.head
    expected = math.sqrt(2 / (9 * (6 + 64)))
    assert head.weight.std().item() == pytest.approx(expected, rel=0.1)
    assert all((p == 0).all() for n, p in ReblurModule().named_parameters() if n.endswith("bias"))


def test_the_reference_pads_with_zeros_and_ours_mirrors():
    white = torch.ones(1, 3, 16, 16)
    torch.manual_seed(0)
    theirs = ReblurModule(REFERENCE)
    assert (theirs(white, white).image[..., 0, 0] < 0.99).all()
    torch.testing.assert_close(small()(white, white).image, white)


def test_the_blur_stays_in_full_precision_where_networks_run_in_half():
    sharp, blurred, module = picture(16), picture(16, seed=1), small()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = module(sharp, blurred)
        radius = module.radius_px(half)
    assert half.image.dtype == half.seeds.dtype == half.weights.dtype == torch.float32
    exact = module.kernels.blur(sharp, half.seeds, half.weights)
    torch.testing.assert_close(half.image, exact, atol=1e-5, rtol=0)
    torch.testing.assert_close(radius, module.kernels.radius_px(half.seeds, half.weights))


def some_reblurred() -> Reblurred:
    return small()(picture(12), picture(12, seed=1))


def test_the_pseudo_truth_is_the_seeds_as_they_are():
    reblurred = some_reblurred()
    assert torch.equal(pseudo_truth(reblurred, PseudoTruthConfig()), reblurred.seeds)


def test_weighted_seeds_leave_out_the_branch_without_a_kernel():
    reblurred = some_reblurred()
    found = pseudo_truth(reblurred, PseudoTruthConfig(target="weighted_seeds"))
    groups = zip(
        found.split(SEED_COUNTS, dim=1), reblurred.seeds.split(SEED_COUNTS, dim=1), strict=True
    )
    for branch, (weighted, own) in enumerate(groups, start=1):
        torch.testing.assert_close(weighted, own * reblurred.weights[:, branch : branch + 1])


def test_absolute_seeds_lose_their_sign():
    reblurred = some_reblurred()
    assert (reblurred.seeds < 0).any()
    found = pseudo_truth(reblurred, PseudoTruthConfig(is_absolute=True))
    assert torch.equal(found, reblurred.seeds.abs())


def test_an_unknown_pseudo_truth_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="weighted_seeds"):
        PseudoTruthConfig(target="radius")  # type: ignore[arg-type]


@pytest.mark.parametrize("is_detached", [False, True])
def test_the_maps_loss_reaches_the_kernel_prediction_unless_it_is_detached(is_detached: bool):
    module, blurred = small(), picture(12, seed=1)
    reblurred = module(picture(12), blurred)
    truth = pseudo_truth(reblurred, PseudoTruthConfig(is_detached=is_detached))
    (DefocusEstimator(width=8)(blurred) - truth).square().mean().backward()
    gradients = [p.grad for p in module.kernel_prediction.parameters()]
    assert all((g is None) if is_detached else (g is not None) for g in gradients)
    assert all(p.grad is None for p in module.weight_prediction.parameters())


def test_the_reblur_loss_reaches_the_sharp_image_and_both_networks():
    module, sharp = small(), picture(12).requires_grad_()
    module(sharp, picture(12, seed=1)).image.square().mean().backward()
    assert sharp.grad is not None
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_the_free_kernel_blurs_and_has_225_outputs():
    torch.manual_seed(0)
    module = FreeKernelReblur(SMALL)
    assert module.kernel_prediction.tail.out_channels == 225
    sharp = picture(16)
    found = module(sharp, picture(16, seed=1))
    assert found.std() < 0.5 * sharp.std()  # the untrained kernel is nearly a 15 x 15 box
    white = torch.ones(1, 3, 16, 16)
    torch.testing.assert_close(module(white, white), white)


@pytest.mark.slow
def test_it_finds_two_discs_in_a_texture_and_tells_the_halves_apart():
    side, half = 48, 24
    sharp = picture(side, seed=0)
    blurred = torch.cat(
        [blur(sharp, 1.0)[..., :half], blur(sharp, 6.0)[..., half:]], dim=3
    )  # fmt: skip
    torch.manual_seed(0)
    module = ReblurModule(ReblurConfig(width=16))
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
    errors = []
    for _ in range(120):
        loss = (module(sharp, blurred).image - blurred).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(loss.item())
    with torch.no_grad():
        reblurred = module(sharp, blurred)
        radius = module.radius_px(reblurred)
    assert errors[-1] < errors[0] / 10
    inner = 4  # px from the seam and the border
    left, right = (slice(inner, half - inner), slice(half + inner, side - inner))
    assert radius[..., left].mean().item() == pytest.approx(1.0, abs=0.2)
    assert radius[..., right].mean().item() == pytest.approx(6.0, abs=0.3)
    use_left, use_right = (
        reblurred.weights[..., part].mean(dim=(0, 2, 3)) for part in (left, right)
    )
    assert 0.5 * (use_left - use_right).abs().sum() > 0.8  # 1 if they share no branch


def blur(image: torch.Tensor, radius_px: float) -> torch.Tensor:
    psf = torch.from_numpy(disc(radius_px)).to(image)
    wide = F.pad(image, (len(psf) // 2,) * 4, mode="reflect")
    return F.conv2d(wide.transpose(0, 1), psf[None, None]).transpose(0, 1)
