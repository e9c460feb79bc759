"""Loss terms that recipes share. Each returns an unweighted scalar, computed in float32."""

from __future__ import annotations

import torch
from torch import Tensor

CHARBONNIER_EPSILON = 1e-3  # Lai et al., LapSRN (2017): below it the loss is quadratic
LOG_ERROR_FLOOR = 1e-5


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error. prediction, target: the same shape, any."""
    _refuse_broadcasting(prediction, target)
    return (prediction.float() - target.float()).abs().mean()


def charbonnier(prediction: Tensor, target: Tensor, epsilon: float = CHARBONNIER_EPSILON) -> Tensor:
    """Mean of sqrt(difference^2 + epsilon^2): absolute error with a smooth bottom.

    prediction, target: the same shape, any. The smallest possible value is `epsilon`.
    Source: Charbonnier et al. (1994); Lai et al., LapSRN (2017), equation 3.
    """
    _refuse_broadcasting(prediction, target)
    difference = prediction.float() - target.float()
    return torch.sqrt(difference.square() + epsilon**2).mean()


def spectral_l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean magnitude of the difference's orthonormal 2-D Fourier transform.

    prediction, target: (B, C, H, W). The transform keeps energy, so for white noise the value is
    of the size of the noise, whatever the picture's size. Half of the (symmetric) spectrum is read.
    Source: Cho et al., MIMO-UNet (2021), equation 6, here with the orthonormal scaling and the
    magnitude of each coefficient.
    """
    _refuse_broadcasting(prediction, target)
    difference = (prediction.float() - target.float()).contiguous()
    return torch.fft.rfft2(difference, norm="ortho").abs().mean()


def log_error(prediction: Tensor, target: Tensor, target_error: Tensor | float = 0.0) -> Tensor:
    """Mean over the batch of the logarithm of each picture's mean square error.

    prediction, target: (B, C, H, W) in [0, 1]. target_error: mean square error that each target
    (B,) has itself; of what is not expected to correlate with it, errors add up. It is the PSNR but
    for a factor, so that a slightly blurred picture counts as much as one that is blurred beyond
    repair. Errors under LOG_ERROR_FLOOR, 50 dB, pull no more.
    Source: the PSNR loss of Chen et al., HINet (2021), per picture and with a floor.
    """
    _refuse_broadcasting(prediction, target)
    errors = mean_square(prediction, target) + target_error
    return torch.log(errors + LOG_ERROR_FLOOR).mean()


def mean_square(values: Tensor, others: Tensor) -> Tensor:
    """Mean square difference (B,) of each of two batches of pictures (B, C, H, W)."""
    _refuse_broadcasting(values, others)
    return (values.float() - others.float()).square().mean(dim=(1, 2, 3))


def radius_error(radius_px: Tensor, truth_px: Tensor) -> Tensor:
    """Mean absolute error on a scale that is linear near zero and grows as the root beyond.

    radius_px, truth_px: the same shape, any; 0 or more, in pixels.
    """
    _refuse_broadcasting(radius_px, truth_px)
    return ((radius_px.float() + 0.5).sqrt() - (truth_px.float() + 0.5).sqrt()).abs().mean()


def total_variation(values: Tensor) -> Tensor:
    """Sum of absolute differences between neighbours, down and across, for each value there is.

    values: (B, C, H, W). The published sum is this times B * C * H * W; so it does not depend on
    the size of crops and batches. Source: Rudin, Osher and Fatemi (1992), anisotropic form.
    """
    values = values.float()
    down, across = values.diff(dim=2).abs().sum(), values.diff(dim=3).abs().sum()
    return (down + across) / values.numel()


def _refuse_broadcasting(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape:
        raise ValueError(f"shapes differ: {tuple(prediction.shape)} and {tuple(target.shape)}")
