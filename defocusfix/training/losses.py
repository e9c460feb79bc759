"""Loss terms that recipes share. Each returns an unweighted scalar, computed in float32."""

from __future__ import annotations

import torch
from torch import Tensor

CHARBONNIER_EPSILON = 1e-3  # Lai et al., LapSRN (2017): below it the loss is quadratic


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


def _refuse_broadcasting(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape:
        raise ValueError(f"shapes differ: {tuple(prediction.shape)} and {tuple(target.shape)}")
