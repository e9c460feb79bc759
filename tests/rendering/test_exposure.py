"""Photos from light: inverse curves, noise, sharpening, JPEG, alone and in batches."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from defocusfix.rendering.camera import Camera, random_camera
from defocusfix.rendering.exposure import develop, expose, to_linear, to_uint8

PLAIN = Camera(
    contrast=0.0, highlight_gain=1.0, read_noise=0.0, shot_noise=0.0, noise_is_correlated=False,
    softness_px=0.0, sharpening=0.0, sharpening_px=1.0, jpeg_quality=None, jpeg_subsampling=0,
)  # fmt: skip
EVERY_VALUE = torch.arange(256).byte().view(1, 16, 16, 1).expand(1, 16, 16, 3)


def random_light(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("contrast", [0.0, 0.2, 0.4])
def test_developing_the_linear_light_of_a_photo_gives_the_photo_back(contrast):
    camera = dataclasses.replace(PLAIN, contrast=contrast)
    developed = to_uint8(develop(to_linear(EVERY_VALUE, [camera]), [camera]))
    assert (developed.int() - EVERY_VALUE.int()).abs().max() <= 1


def test_plain_srgb_is_linearised_by_the_standard_curve():
    # IEC 61966-2-1: display 0.5 is ((0.5 + 0.055) / 1.055)^2.4 = 0.2140 in linear light.
    middle = to_linear(torch.full((1, 1, 1, 3), 128, dtype=torch.uint8), [PLAIN])
    assert float(middle.mean()) == pytest.approx(((128 / 255 + 0.055) / 1.055) ** 2.4, abs=1e-3)


def test_clipped_highlights_become_brighter_than_white_and_nothing_else_does():
    camera = dataclasses.replace(PLAIN, highlight_gain=5.0)
    light = to_linear(EVERY_VALUE, [camera])
    assert float(light.max()) == pytest.approx(5.0)
    dark = EVERY_VALUE.permute(0, 3, 1, 2) < 230
    assert torch.equal(light[dark], to_linear(EVERY_VALUE, [PLAIN])[dark])


def test_noise_has_the_variance_that_was_asked_for():
    camera = dataclasses.replace(PLAIN, read_noise=0.01, shot_noise=2e-3)
    level = 0.2140  # display 0.5, where the sRGB curve has the slope 1.055 / 2.4 * x^(1/2.4 - 1)
    photo = expose(torch.full((1, 3, 200, 200), level), [camera], [0]).float()
    slope = 1.055 / 2.4 * level ** (1 / 2.4 - 1)
    expected = np.sqrt(0.01**2 + 2e-3 * level) * slope
    assert photo.std() / 255 == pytest.approx(expected, rel=0.03)


def test_a_camera_without_faults_saves_what_it_develops():
    light = random_light(1)
    assert torch.equal(expose(light, [PLAIN], [0]), to_uint8(develop(light, [PLAIN])))


def test_sharpening_leaves_flat_areas_alone_and_steepens_edges():
    light = torch.full((1, 3, 16, 32), 0.1)
    light[..., 16:] = 0.4
    sharpened = develop(light, [dataclasses.replace(PLAIN, sharpening=1.0)])
    plain = develop(light, [PLAIN])
    torch.testing.assert_close(sharpened[..., :8], plain[..., :8])
    assert sharpened.max() > plain.max()
    assert sharpened.min() < plain.min()


def test_softness_is_a_gaussian_of_its_sigma():
    camera = dataclasses.replace(PLAIN, softness_px=1.1)
    light = random_light(1)
    # The kernel ends at 4 px, as does OpenCV's of 9 taps.
    expected = cv2.GaussianBlur(
        light[0].permute(1, 2, 0).numpy(), (9, 9), 1.1, borderType=cv2.BORDER_REFLECT_101
    )
    expected = torch.from_numpy(expected).permute(2, 0, 1)[None]
    torch.testing.assert_close(develop(light, [camera]), develop(expected, [PLAIN]))


def test_a_photo_is_the_same_whatever_else_is_in_its_batch():
    cameras = [random_camera(np.random.default_rng(seed)) for seed in range(12)]
    light = 1.2 * random_light(12)
    seeds = range(100, 112)
    together, sharp = expose(light, cameras, seeds), develop(light, cameras)
    for n, camera in enumerate(cameras):
        alone = expose(light[n : n + 1], [camera], [100 + n])[0]
        assert (alone.int() - together[n].int()).abs().max() <= 1
        torch.testing.assert_close(develop(light[n : n + 1], [camera])[0], sharp[n])


def test_sources_of_a_batch_are_made_linear_by_their_own_cameras():
    cameras = [random_camera(np.random.default_rng(seed)) for seed in range(4)]
    together = to_linear(EVERY_VALUE.expand(4, 16, 16, 3), cameras)
    for n, camera in enumerate(cameras):
        assert torch.equal(together[n], to_linear(EVERY_VALUE, [camera])[0])


def test_jpeg_changes_the_photos_of_the_cameras_that_use_it_only():
    jpeg = dataclasses.replace(
        PLAIN, jpeg_quality=70, jpeg_subsampling=cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    )
    light = random_light(1).expand(3, 3, 32, 32)
    plain, saved, again = expose(light, [PLAIN, jpeg, jpeg], [0, 0, 0])
    assert not torch.equal(plain, saved)
    assert torch.equal(saved, again)
    assert (saved.float() - plain.float()).abs().mean() < 60


def test_random_cameras_depend_on_the_seed_only():
    first, again, other = (random_camera(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other
