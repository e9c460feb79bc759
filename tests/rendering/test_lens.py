"""Layered defocus: energy, identity, occlusion and the side of focus."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import fftconvolve

from defocusfix.optics import Aperture, disc
from defocusfix.rendering.lens import LensBlur, LinearLayer, all_in_focus, blur_layers

SIDE = 64
LENS = LensBlur(Aperture())


def surface(light: torch.Tensor, radius: float | torch.Tensor) -> LinearLayer:
    shape = light.shape[-2:]
    radius_px = torch.full(shape, radius) if isinstance(radius, float) else radius
    return LinearLayer(light, None, radius_px)


def textured(seed: int) -> torch.Tensor:
    return torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25, deadline=None)
@given(
    low=st.floats(-12, 12),
    high=st.floats(-12, 12),
    blades=st.sampled_from([0, 5, 8]),
    cats_eye=st.floats(0, 0.7),
    shift=st.floats(-0.5, 0.5),
)
def test_a_constant_scene_stays_constant_whatever_the_blur(low, high, blades, cats_eye, shift):
    light = torch.full((3, SIDE, SIDE), 0.3)
    radius = torch.linspace(min(low, high), max(low, high), SIDE).expand(SIDE, SIDE)
    lens = LensBlur(Aperture(blades=blades, cats_eye=cats_eye), colour_shift_px=shift)
    photo = blur_layers([surface(light, radius)], lens)
    torch.testing.assert_close(photo, light, atol=2e-4, rtol=0)


def test_zero_radius_is_the_identity():
    light = textured(1)
    torch.testing.assert_close(blur_layers([surface(light, 0.0)], LENS), light)


@settings(max_examples=10, deadline=None)
@given(radius=st.floats(0.5, 14))
def test_one_radius_keeps_the_energy_of_the_scene(radius):
    light = textured(2)
    photo = blur_layers([surface(light, radius)], LENS)
    torch.testing.assert_close(photo.sum(dim=(1, 2)), light.sum(dim=(1, 2)), rtol=1e-4, atol=0)


def test_a_surface_at_one_radius_is_convolved_with_the_disc():
    light = textured(3)
    photo = blur_layers([surface(light, 3.0)], LENS)
    expected = fftconvolve(light[0].numpy(), disc(3.0), mode="same")
    inside = slice(8, -8)  # the renderer wraps around, SciPy pads with zeros
    np.testing.assert_allclose(photo[0, inside, inside], expected[inside, inside], atol=1e-5)


def half_covered() -> torch.Tensor:
    alpha = torch.zeros(1, SIDE, SIDE)
    alpha[:, :, SIDE // 4 : SIDE // 2] = 1
    return alpha


def test_a_blurred_foreground_bleeds_over_a_sharp_background():
    back = surface(torch.zeros(3, SIDE, SIDE), 0.0)
    front = LinearLayer(torch.ones(3, SIDE, SIDE), half_covered(), torch.full((SIDE, SIDE), -5.0))
    photo = blur_layers([back, front], LENS)
    assert photo[0, SIDE // 2, SIDE // 2 + 3] > 0.05  # outside the cut-out
    assert photo[0, SIDE // 2, SIDE // 2 - 3] < 0.95  # the background shows through its rim


def test_a_blurred_background_stays_behind_a_sharp_foreground():
    back = surface(torch.ones(3, SIDE, SIDE), 5.0)
    front = LinearLayer(torch.zeros(3, SIDE, SIDE), half_covered(), torch.zeros(SIDE, SIDE))
    photo = blur_layers([back, front], LENS)
    covered = half_covered().bool().expand(3, -1, -1)
    assert photo[covered].max() < 1e-3
    assert photo[~covered].min() > 0.999


def test_the_blur_shape_turns_around_on_the_other_side_of_focus():
    point = torch.zeros(3, SIDE, SIDE)
    point[:, SIDE // 2, SIDE // 2] = 1
    lens = LensBlur(Aperture(blades=3))
    behind = blur_layers([surface(point, 8.0)], lens)[0]
    in_front = blur_layers([surface(point, -8.0)], lens)[0]
    turned = torch.roll(behind.flip(0, 1), (1, 1), (0, 1))
    torch.testing.assert_close(in_front, turned, atol=2e-4, rtol=0)
    assert not torch.allclose(in_front, behind, atol=1e-3)


def test_all_in_focus_shows_the_front_layer_and_its_radius():
    back = surface(torch.zeros(3, SIDE, SIDE), 4.0)
    front = LinearLayer(torch.ones(3, SIDE, SIDE), half_covered(), torch.full((SIDE, SIDE), -2.0))
    photo, radius = all_in_focus([back, front])
    covered = half_covered()[0].bool()
    assert torch.equal(photo[0].bool(), covered)
    assert (radius[covered] == -2).all()
    assert (radius[~covered] == 4).all()


@pytest.mark.parametrize("shift", [0.4, -0.4])
def test_longitudinal_colour_blurs_red_and_blue_differently(shift):
    light = textured(4)
    light[1:] = light[:1]
    photo = blur_layers([surface(light, 3.0)], LensBlur(Aperture(), colour_shift_px=shift))
    contrast = photo.std(dim=(1, 2))
    assert (contrast[0] < contrast[2]) == (shift > 0)
