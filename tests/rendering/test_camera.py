"""The camera after the lens: inverse curves, noise, JPEG."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from defocusfix.rendering.camera import Camera, random_camera, to_uint8

PLAIN = Camera(
    contrast=0.0, highlight_gain=1.0, read_noise=0.0, shot_noise=0.0, noise_is_correlated=False,
    softness_px=0.0, sharpening=0.0, sharpening_px=1.0, jpeg_quality=None, jpeg_subsampling=0,
)  # fmt: skip
EVERY_VALUE = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)


@pytest.mark.parametrize("contrast", [0.0, 0.2, 0.4])
def test_developing_the_linear_light_of_a_photo_gives_the_photo_back(contrast):
    camera = dataclasses.replace(PLAIN, contrast=contrast)
    developed = to_uint8(camera.develop(camera.to_linear(EVERY_VALUE)))
    assert np.abs(developed.astype(int) - EVERY_VALUE).max() <= 1


def test_plain_srgb_is_linearised_by_the_standard_curve():
    # IEC 61966-2-1: display 0.5 is ((0.5 + 0.055) / 1.055)^2.4 = 0.2140 in linear light.
    middle = PLAIN.to_linear(np.full((1, 1, 3), 128, np.uint8))
    assert float(middle.mean()) == pytest.approx(((128 / 255 + 0.055) / 1.055) ** 2.4, abs=1e-3)


def test_clipped_highlights_become_brighter_than_white_and_nothing_else_does():
    camera = dataclasses.replace(PLAIN, highlight_gain=5.0)
    light = camera.to_linear(EVERY_VALUE)
    assert float(light.max()) == pytest.approx(5.0)
    dark = EVERY_VALUE[..., 0] < 230
    assert torch.equal(light[:, torch.from_numpy(dark)], PLAIN.to_linear(EVERY_VALUE)[:, dark])


def test_noise_has_the_variance_that_was_asked_for():
    camera = dataclasses.replace(PLAIN, read_noise=0.01, shot_noise=2e-3)
    level = 0.2140  # display 0.5, where the sRGB curve has the slope 1.055 / 2.4 * x^(1/2.4 - 1)
    photo = camera.expose(torch.full((3, 200, 200), level), np.random.default_rng(0))
    slope = 1.055 / 2.4 * level ** (1 / 2.4 - 1)
    expected = np.sqrt(0.01**2 + 2e-3 * level) * slope
    assert photo.std() / 255 == pytest.approx(expected, rel=0.03)


def test_a_camera_without_faults_saves_what_it_develops():
    light = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    saved = PLAIN.expose(light, np.random.default_rng(0))
    np.testing.assert_array_equal(saved, to_uint8(PLAIN.develop(light)))


def test_sharpening_leaves_flat_areas_alone_and_steepens_edges():
    light = torch.full((3, 16, 32), 0.1)
    light[..., 16:] = 0.4
    sharpened = dataclasses.replace(PLAIN, sharpening=1.0).develop(light)
    plain = PLAIN.develop(light)
    torch.testing.assert_close(sharpened[..., :8], plain[..., :8])
    assert sharpened.max() > plain.max()
    assert sharpened.min() < plain.min()


def test_random_cameras_depend_on_the_seed_only():
    first, again, other = (random_camera(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other
