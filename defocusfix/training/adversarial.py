"""Wasserstein losses with a gradient penalty, weighted by defocus (arXiv 2211.14017; AAAI 2023).

The critic lowers `wasserstein`, `defocus` and `penalty`, the generator `adversarial`. All are
unweighted scalars. With no blur anywhere, `defocus` is 0 and the rest is plain WGAN-GP.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defocusfix.training.recipe import Tensors

PenaltyNorm = Literal["pixel", "sample"]


def critic_terms(
    critic: nn.Module,
    sharp: Tensor,
    restored: Tensor,
    radius_px: Tensor,
    *,
    mixing: float,
    norm: PenaltyNorm = "pixel",
) -> Tensors:
    """What the critic lowers: it should score sharp photos high and restored ones low.

    sharp, restored: (B, 3, H, W); no gradient reaches what restored. radius_px: (B, 1, H, W) >= 0.
    mixing, norm: see `gradient_penalty`.
    wasserstein: mean excess of the restored photos' scores over the sharp ones'. defocus: the same,
    each patch times the blur of the photo it stands for, in pixels, so that what was out of focus
    counts more.
    """
    restored = restored.detach()
    excess = critic(restored).float() - critic(sharp).float()  # (B, 1, h, w)
    blur = F.interpolate(radius_px.float(), size=excess.shape[-2:], mode="nearest")
    return {
        "wasserstein": excess.mean(),
        "defocus": (excess * blur).mean(),
        "penalty": gradient_penalty(critic, sharp, restored, mixing=mixing, norm=norm),
    }


def generator_term(critic: nn.Module, restored: Tensor) -> Tensor:
    """What the generator lowers to please the critic: minus the mean score, scalar."""
    return -critic(restored).float().mean()


def gradient_penalty(
    critic: nn.Module,
    sharp: Tensor,
    restored: Tensor,
    *,
    mixing: float,
    norm: PenaltyNorm = "pixel",
) -> Tensor:
    """Mean of (length of the critic's gradient - 1)^2 between sharp and restored photos.

    Computed in float32 whatever the precision around it, since it is differentiated once more.
    mixing: share of the sharp photo in [0, 1], one for the whole batch. norm: sample takes the
    gradient's length over all of a photo, as WGAN-GP has it; pixel over the three colours of each
    pixel, as DefocusGAN's code does.
    Source: Gulrajani et al., Improved Training of Wasserstein GANs (2017), equation 3.
    """
    with torch.autocast(sharp.device.type, enabled=False):
        between = torch.lerp(restored.detach().float(), sharp.float(), mixing).requires_grad_()
        scores = critic(between)
        (slopes,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
        axes = 1 if norm == "pixel" else (1, 2, 3)
        lengths = torch.linalg.vector_norm(slopes, dim=axes)
        return (lengths - 1).square().mean()


def defocus_l1(restored: Tensor, sharp: Tensor, radius_px: Tensor) -> Tensor:
    """Mean absolute error, each pixel times its blur radius in pixels.

    restored, sharp: (B, 3, H, W). radius_px: (B, 1, H, W) >= 0.
    """
    return ((restored.float() - sharp.float()).abs() * radius_px.float()).mean()
