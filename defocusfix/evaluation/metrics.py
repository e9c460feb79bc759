"""One place for every metric of a given name. Images are (H, W, 3) float in [0, 1], RGB."""

from dataclasses import astuple, dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

IDENTICAL_DB: Final = 60.0  # PSNR of equal images; a finite cap keeps means finite
SSIM_C1: Final = 0.01**2  # Wang et al. 2004, K1 = 0.01 for a value range of 1
SSIM_C2: Final = 0.03**2  # the same, K2 = 0.03


def psnr(image: FloatArray, target: FloatArray, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB for a peak of 1, at most 60 (`IDENTICAL_DB`).

    image, target: equal shapes. mask: (H, W), True where pixels count; None counts all.
    Raises ValueError if the shapes differ or the mask is empty.
    """
    return decibels(mean_squared_error(image, target, mask))


def mean_squared_error(image: FloatArray, target: FloatArray, mask: Mask | None = None) -> float:
    """Mean of the squared differences over channels and counted pixels; errors as in `psnr`."""
    difference = _difference(image, target, mask)
    return float(np.mean(np.square(difference)))


def decibels(squared_error: float) -> float:
    """PSNR in dB of a mean squared error, for a peak of 1, at most 60."""
    floor = 10 ** (-IDENTICAL_DB / 10)
    return float(-10 * np.log10(max(squared_error, floor)))


def mae(image: FloatArray, target: FloatArray, mask: Mask | None = None) -> float:
    """Mean absolute error; errors as in `psnr`."""
    return float(np.mean(np.abs(_difference(image, target, mask))))


def ssim_uniform(image: FloatArray, target: FloatArray, mask: Mask | None = None) -> float:
    """SSIM with a uniform 7x7 window and sample covariance, mean over channels, in [-1, 1].

    scikit-image's default, which most deblurring papers report. Windows that leave the image
    do not count; with a mask (H, W), only those centred where it is True do.
    Raises ValueError if a side is below 7 px, the shapes differ or no window counts.
    """
    pixels = 7 * 7
    weights = np.full(7, 1 / 7)
    return _ssim(image, target, mask, weights, covariance_factor=pixels / (pixels - 1))


def ssim_gaussian(image: FloatArray, target: FloatArray, mask: Mask | None = None) -> float:
    """SSIM with a Gaussian 11x11 window (sigma 1.5), mean over channels, in [-1, 1].

    Source: Wang, Bovik, Sheikh, Simoncelli, Image quality assessment, 2004. Windows, mask and
    errors as in `ssim_uniform`, with sides of at least 11 px.
    """
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets**2) / (2 * 1.5**2))
    return _ssim(image, target, mask, weights / weights.sum(), covariance_factor=1.0)


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums from which the correlation of two sets of values follows; sums of parts add up."""

    count: int = 0
    first: float = 0.0
    second: float = 0.0
    first_squared: float = 0.0
    second_squared: float = 0.0
    product: float = 0.0

    @classmethod
    def of(cls, first: FloatArray, second: FloatArray) -> "Moments":
        """Of two arrays of one shape."""
        a, b = first.ravel().astype(np.float64), second.ravel().astype(np.float64)
        return cls(len(a), float(a.sum()), float(b.sum()), *map(float, (a @ a, b @ b, a @ b)))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(*(x + y for x, y in zip(astuple(self), astuple(other), strict=True)))

    @property
    def correlation(self) -> float:
        """Pearson correlation; 0 where either set is constant, nan where both are empty."""
        if self.count == 0:
            return float("nan")
        a, b = self.first / self.count, self.second / self.count
        variance_a = self.first_squared / self.count - a * a
        variance_b = self.second_squared / self.count - b * b
        # Rounding leaves a constant set a variance of about 1e-16 of its square.
        if variance_a <= 1e-12 * a * a or variance_b <= 1e-12 * b * b:
            return 0.0
        return float((self.product / self.count - a * b) / np.sqrt(variance_a * variance_b))


def f_measure(predicted: Mask, truth: Mask, beta_squared: float = 0.3) -> float:
    """Weighted harmonic mean of precision and recall, in [0, 1]; 0 without a common pixel.

    beta_squared below 1 favours precision; 0.3 is the convention of defocus detection.
    Source: Achanta et al., Frequency-tuned salient region detection, 2009.
    """
    hits = np.count_nonzero(predicted & truth)
    if hits == 0:
        return 0.0
    precision = hits / np.count_nonzero(predicted)
    recall = hits / np.count_nonzero(truth)
    return float((1 + beta_squared) * precision * recall / (beta_squared * precision + recall))


def rounded_to_8_bits(image: FloatArray) -> FloatArray:
    """What an 8-bit file keeps of `image`: clipped to [0, 1], in steps of 1/255."""
    bounded = np.clip(image, 0, 1).astype(np.float64)
    return np.rint(bounded * 255) / 255


def _difference(image: FloatArray, target: FloatArray, mask: Mask | None) -> FloatArray:
    if image.shape != target.shape:
        raise ValueError(f"image {image.shape} and target {target.shape} differ in shape")
    difference: FloatArray = image.astype(np.float64) - target.astype(np.float64)
    if mask is None:
        return difference
    if not mask.any():
        raise ValueError("the mask counts no pixel")
    counted: FloatArray = difference[mask]
    return counted


def _ssim(
    image: FloatArray,
    target: FloatArray,
    mask: Mask | None,
    weights: FloatArray,
    *,
    covariance_factor: float,
) -> float:
    if image.shape != target.shape:
        raise ValueError(f"image {image.shape} and target {target.shape} differ in shape")
    rim = len(weights) // 2
    if min(image.shape[:2]) < len(weights):
        raise ValueError(f"SSIM needs at least {len(weights)} px per side, got {image.shape[:2]}")

    def local_mean(values: FloatArray) -> FloatArray:
        smooth = cv2.sepFilter2D(values, cv2.CV_64F, weights, weights)
        inner: FloatArray = np.asarray(smooth, np.float64)[rim:-rim, rim:-rim]
        return inner

    a, b = image.astype(np.float64), target.astype(np.float64)
    mean_a, mean_b = local_mean(a), local_mean(b)
    variance_a = covariance_factor * (local_mean(a * a) - mean_a**2)
    variance_b = covariance_factor * (local_mean(b * b) - mean_b**2)
    covariance = covariance_factor * (local_mean(a * b) - mean_a * mean_b)
    luminance = (2 * mean_a * mean_b + SSIM_C1) / (mean_a**2 + mean_b**2 + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (variance_a + variance_b + SSIM_C2)
    similarity = luminance * structure
    if mask is None:
        return float(np.mean(similarity))
    counted = mask[rim:-rim, rim:-rim]
    if not counted.any():
        raise ValueError("the mask counts no pixel")
    return float(np.mean(similarity[counted]))
