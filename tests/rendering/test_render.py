"""Samples and what is rendered from them: determinism, ground truth, batches."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from defocusfix.optics import Aperture
from defocusfix.rendering.camera import random_camera
from defocusfix.rendering.exposure import develop, to_linear, to_uint8
from defocusfix.rendering.layers import LinearLayer, all_in_focus, blur_layers
from defocusfix.rendering.lens import LensBlur
from defocusfix.rendering.render import RenderedBatch, render
from defocusfix.rendering.sample import Sample, random_sample

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]


def sample(seed: int) -> Sample:
    return random_sample(np.random.default_rng((9, seed)), None, 64)


def without_noise(full: Sample) -> Sample:
    camera = dataclasses.replace(full.camera, read_noise=0.0, shot_noise=0.0, jpeg_quality=None)
    return dataclasses.replace(full, camera=camera)


def rendered(*seeds: int) -> RenderedBatch:
    return render([sample(seed) for seed in seeds], CPU)


def test_a_pair_depends_on_its_seed_only():
    first, again, other = rendered(3), rendered(3), rendered(4)
    assert torch.equal(first.blurred, again.blurred)
    assert torch.equal(first.all_in_focus, again.all_in_focus)
    assert torch.equal(first.radius_px, again.radius_px)
    assert not torch.equal(first.all_in_focus, other.all_in_focus)


def test_pairs_have_the_documented_shapes():
    batch = rendered(0, 1, 2)
    assert batch.blurred.shape == batch.all_in_focus.shape == (3, 64, 64, 3)
    assert batch.blurred.dtype == batch.all_in_focus.dtype == torch.uint8
    assert batch.radius_px.shape == (3, 32, 32)
    assert batch.radius_px.dtype == torch.float32


def test_where_the_radius_is_zero_all_over_only_noise_and_jpeg_tell_the_pictures_apart():
    batch = render([without_noise(sample(seed)) for seed in range(12)], CPU)
    assert batch.radius_px.abs().max() < 60
    is_sharp = (batch.radius_px == 0).all(dim=(1, 2))
    same = (batch.blurred == batch.all_in_focus).all(dim=(1, 2, 3))
    assert is_sharp.any()
    assert torch.equal(is_sharp, same)


def test_a_pair_is_the_same_whatever_else_is_in_its_batch():
    samples = [without_noise(sample(seed)) for seed in range(24)]
    margins = {full.scene.margin for full in samples}
    depths = {len(full.scene.layers) for full in samples}
    assert len(margins) > 2
    assert depths == {1, 2, 3}
    together = render(samples, CPU)
    for n, full in enumerate(samples):
        alone = render([full], CPU)
        # Rounding to 8 bits may fall either way, but seldom.
        for one, other in (
            (together.blurred[n], alone.blurred[0]),
            (together.all_in_focus[n], alone.all_in_focus[0]),
        ):
            difference = (one.int() - other.int()).abs()
            assert difference.max() <= 1
            assert (difference > 0).float().mean() < 1e-3
        torch.testing.assert_close(together.radius_px[n], alone.radius_px[0], atol=1e-6, rtol=0)


def test_noise_is_the_same_whatever_else_is_in_the_batch():
    together, alone = rendered(1, 2, 3), rendered(2)
    difference = together.blurred[1].int() - alone.blurred[0].int()
    assert difference.abs().float().mean() < 0.01


def test_no_tensor_of_the_processor_is_mixed_in_on_another_device():
    # The meta device computes nothing, but refuses operands from elsewhere, as a GPU would.
    light = torch.zeros(2, 3, 96, 96, device="meta")
    spreads = [LensBlur(Aperture()).spread(low, 4.0) for low in (1.0, 4.0)]
    layers = [
        LinearLayer(light, alpha, light[:, 0], spreads=tuple(spreads), scenes=(0, 1))
        for alpha in (None, light[:, :1])
    ]
    inside = (slice(16, 80), slice(16, 80))
    sharp, radius = all_in_focus(layers, inside)
    cameras = [random_camera(np.random.default_rng(seed)) for seed in (0, 1)]
    linear = to_linear(to_uint8(develop(sharp, cameras)), cameras)
    for found in (blur_layers(layers, inside), radius, linear):
        assert found.device.type == "meta"
        assert found.shape[-2:] == (64, 64)


def test_drawing_samples_does_not_load_torch():
    program = "import sys, defocusfix.rendering.workers; print('torch' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_renders_what_the_processor_renders():
    samples = [without_noise(sample(seed)) for seed in range(24)]
    gpu, cpu = render(samples, torch.device("cuda")), render(samples, CPU)
    for one, other in ((gpu.blurred, cpu.blurred), (gpu.all_in_focus, cpu.all_in_focus)):
        difference = (one.cpu().int() - other.int()).abs()
        assert difference.max() <= 1
        assert (difference > 0).float().mean() < 1e-3
    torch.testing.assert_close(gpu.radius_px.cpu(), cpu.radius_px, atol=1e-5, rtol=0)
