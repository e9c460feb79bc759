from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from defocusfix.evaluation.metrics import (
    Moments,
    f_measure,
    mae,
    psnr,
    rounded_to_8_bits,
    ssim_gaussian,
    ssim_uniform,
)
from tests.evaluation.scenes import blurred, texture

IMAGE = texture(24, 31)
OTHER = blurred(IMAGE, 1.0)


def ssim_by_scipy(a, b, smooth, rim, factor):
    a, b = a.astype(float), b.astype(float)
    per_channel = []
    for channel in range(3):
        x, y = a[..., channel], b[..., channel]
        mx, my = smooth(x), smooth(y)
        xx = factor * (smooth(x * x) - mx * mx)
        yy = factor * (smooth(y * y) - my * my)
        xy = factor * (smooth(x * y) - mx * my)
        top = (2 * mx * my + 1e-4) * (2 * xy + 9e-4)
        bottom = (mx * mx + my * my + 1e-4) * (xx + yy + 9e-4)
        per_channel.append((top / bottom)[rim:-rim, rim:-rim])
    return np.stack(per_channel, axis=-1)


def uniform_map(a, b):
    return ssim_by_scipy(a, b, lambda v: ndimage.uniform_filter(v, 7), 3, 49 / 48)


def test_uniform_ssim_agrees_with_scipy():
    assert ssim_uniform(IMAGE, OTHER) == pytest.approx(uniform_map(IMAGE, OTHER).mean(), abs=1e-9)


def test_gaussian_ssim_agrees_with_scipy():
    def smooth(values):
        return ndimage.gaussian_filter(values, 1.5, truncate=3.5)

    expected = ssim_by_scipy(IMAGE, OTHER, smooth, 5, 1.0).mean()
    assert ssim_gaussian(IMAGE, OTHER) == pytest.approx(expected, abs=1e-9)


def test_masked_ssim_is_the_mean_over_windows_centred_in_the_mask():
    mask = np.zeros(IMAGE.shape[:2], bool)
    mask[8:15, 10:22] = True
    expected = uniform_map(IMAGE, OTHER)[mask[3:-3, 3:-3]].mean()
    assert ssim_uniform(IMAGE, OTHER, mask) == pytest.approx(expected, abs=1e-9)


def test_ssim_of_equal_images_is_one():
    assert ssim_uniform(IMAGE, IMAGE) == pytest.approx(1)
    assert ssim_gaussian(IMAGE, IMAGE) == pytest.approx(1)


def test_ssim_refuses_images_smaller_than_its_window():
    with pytest.raises(ValueError, match="at least 11 px"):
        ssim_gaussian(IMAGE[:10], IMAGE[:10])


def test_psnr_of_a_constant_error_is_its_decibels():
    target = np.full((4, 5, 3), 0.5)
    assert psnr(target + 0.1, target) == pytest.approx(20)
    assert mae(target + 0.1, target) == pytest.approx(0.1)


def test_psnr_of_equal_images_stays_finite():
    assert psnr(IMAGE, IMAGE) == 60


def test_psnr_counts_the_mask_only():
    image = IMAGE.copy()
    image[:5] = 0
    mask = np.ones(IMAGE.shape[:2], bool)
    mask[:5] = False
    assert psnr(image, IMAGE, mask) == 60


def test_metrics_refuse_an_empty_mask_and_unequal_shapes():
    with pytest.raises(ValueError, match="no pixel"):
        psnr(IMAGE, IMAGE, np.zeros(IMAGE.shape[:2], bool))
    with pytest.raises(ValueError, match="differ in shape"):
        psnr(IMAGE, IMAGE[:-1])


@given(st.integers(0, 2**32 - 1))
def test_f_measure_is_that_of_counting_one_by_one(seed):
    predicted, truth = np.random.default_rng(seed).random((2, 6, 7)) < 0.4
    pairs = list(zip(predicted.ravel(), truth.ravel(), strict=True))
    hits = sum(p and t for p, t in pairs)
    if hits == 0:
        assert f_measure(predicted, truth) == 0
        return
    precision, recall = hits / sum(p for p, _ in pairs), hits / sum(t for _, t in pairs)
    expected = 1.3 * precision * recall / (0.3 * precision + recall)
    assert f_measure(predicted, truth) == pytest.approx(expected)


def test_correlation_agrees_with_numpy_and_is_zero_for_a_constant():
    a, b = np.random.default_rng(1).random((2, 50))
    assert Moments.of(a, b).correlation == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert Moments.of(a, np.ones(50)).correlation == 0
    assert np.isnan(Moments().correlation)


def test_moments_of_parts_add_up_to_those_of_the_whole():
    a, b = np.random.default_rng(2).random((2, 50))
    parts = Moments.of(a[:20], b[:20]) + Moments.of(a[20:], b[20:])
    assert parts.correlation == pytest.approx(Moments.of(a, b).correlation)


@given(st.lists(st.floats(-1, 2), min_size=1, max_size=20))
def test_rounding_to_8_bits_keeps_what_a_file_would(values):
    stored = np.clip(np.array(values) * 255, 0, 255).round().astype(np.uint8)
    assert np.array_equal(rounded_to_8_bits(np.array(values)), stored / 255)
