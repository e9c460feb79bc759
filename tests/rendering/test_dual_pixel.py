"""Dual-pixel views: halves of the blur disc that change places across the plane of focus."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from defocusfix.optics import Aperture
from defocusfix.rendering.dual_pixel import dual_pixel_scenes, half_spread
from defocusfix.rendering.layers import LinearLayer, blur_layers
from defocusfix.rendering.lens import UNSPREAD, LensBlur
from defocusfix.rendering.scenes import random_scene


def centroid(psf):
    across = np.arange(psf.shape[-1]) - psf.shape[-1] // 2
    return float(psf.sum(axis=0) @ across)


@pytest.mark.parametrize("radius", [4.0, -4.0])
def test_each_view_gets_one_half_and_they_change_places_across_focus(radius):
    whole = LensBlur(Aperture()).spread(radius, radius)
    left, right = (half_spread(whole, is_left=side).psfs[0, 0] for side in (True, False))
    assert left.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose((left + right) / 2, whole.psfs[0, 0], atol=1e-6)
    np.testing.assert_allclose(left, right[:, ::-1], atol=1e-6)
    # A half disc's centre of gravity is 4 / (3 pi) of the radius from its straight side.
    assert centroid(left) == pytest.approx(-radius * 4 / (3 * np.pi), rel=0.05)


def test_a_surface_that_passes_through_focus_is_cut_level_by_level():
    spread = half_spread(LensBlur(Aperture()).spread(-4.0, 4.0), is_left=True)
    shifts = [centroid(psfs[0]) for psfs in spread.psfs]
    assert shifts == sorted(shifts, reverse=True)
    assert shifts[0] > 1 > -1 > shifts[-1]


def test_what_is_in_focus_is_the_same_in_both_views():
    assert half_spread(UNSPREAD, is_left=True) is UNSPREAD


def test_both_views_together_are_the_photo_of_a_flat_scene():
    scene = random_scene(np.random.default_rng(0), None, 32)
    layer = scene.layers[0]
    flat = replace(layer, radius_px=np.full((1, 1), 3.0, np.float32),
                   spread=LensBlur(Aperture()).spread(3.0, 3.0, reach_px=scene.margin))  # fmt: skip
    scene = replace(scene, layers=(flat,))
    light = torch.from_numpy(flat.colour).permute(2, 0, 1)[None].float() / 255
    inside = (slice(scene.margin, -scene.margin),) * 2

    def photo(seen):
        radius = torch.full(light.shape[-2:], 3.0)[None]
        surface = LinearLayer(light, None, radius, (seen.layers[0].spread,), (0,))
        return blur_layers([surface], inside)

    left, right = map(photo, dual_pixel_scenes(scene))
    torch.testing.assert_close((left + right) / 2, photo(scene), atol=1e-5, rtol=1e-4)
    assert float((left - right).abs().max()) > 0.01
