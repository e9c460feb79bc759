"""Layered defocus: energy, identity, occlusion and the side of focus."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import fftconvolve

from defocusfix.optics import Aperture, disc
from defocusfix.rendering.layers import LinearLayer, all_in_focus, blur_layers
from defocusfix.rendering.lens import LensBlur

SIDE = 64
LENS = LensBlur(Aperture())
WHOLE = (slice(None), slice(None))


def surface(
    light: torch.Tensor,
    radius: float | torch.Tensor,
    lens: LensBlur = LENS,
    alpha: torch.Tensor | None = None,
) -> LinearLayer:
    """A layer of the only scene of a batch."""
    radius_px = torch.full((SIDE, SIDE), radius) if isinstance(radius, float) else radius
    return LinearLayer(
        light[None],
        None if alpha is None else alpha[None],
        radius_px[None],
        spreads=(lens.spread(float(radius_px.min()), float(radius_px.max())),),
        scenes=(0,),
    )


def photo_of(*layers: LinearLayer) -> torch.Tensor:
    return blur_layers(layers, WHOLE)[0]


def test_a_slope_through_focus_is_sharp_where_its_radius_is_zero():
    slope = torch.linspace(-12, 24, SIDE).expand(SIDE, SIDE)
    light = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    error = (photo_of(surface(light, slope)) - light).square().mean(dim=(0, 1)).sqrt()
    in_focus = int(slope[0].abs().argmin())
    assert error[in_focus] < 0.15 * error[-1]
    assert error[in_focus] == error.min()


def batch_of(*scenes: list[LinearLayer]) -> list[LinearLayer]:
    """The layers of several scenes, put together place by place."""
    layers = []
    for place in range(max(map(len, scenes))):
        numbers = [n for n, scene in enumerate(scenes) if len(scene) > place]
        here = [scenes[n][place] for n in numbers]
        layers.append(
            LinearLayer(
                torch.cat([layer.light for layer in here]),
                torch.cat([layer.alpha for layer in here]) if place else None,
                torch.cat([layer.radius_px for layer in here]),
                spreads=tuple(layer.spreads[0] for layer in here),
                scenes=tuple(numbers),
            )
        )
    return layers


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
    photo = photo_of(surface(light, radius, lens))
    torch.testing.assert_close(photo, light, atol=2e-4, rtol=0)


def test_zero_radius_is_the_identity():
    light = textured(1)
    torch.testing.assert_close(photo_of(surface(light, 0.0)), light)


@settings(max_examples=10, deadline=None)
@given(radius=st.floats(0.5, 14))
def test_one_radius_keeps_the_energy_of_the_scene(radius):
    light = textured(2)
    photo = photo_of(surface(light, radius))
    torch.testing.assert_close(photo.sum(dim=(1, 2)), light.sum(dim=(1, 2)), rtol=1e-4, atol=0)


def test_a_surface_at_one_radius_is_convolved_with_the_disc():
    light = textured(3)
    photo = photo_of(surface(light, 3.0))
    expected = fftconvolve(light[0].numpy(), disc(3.0), mode="same")
    inside = slice(8, -8)  # the renderer wraps around, SciPy pads with zeros
    np.testing.assert_allclose(photo[0, inside, inside], expected[inside, inside], atol=1e-5)


def half_covered() -> torch.Tensor:
    alpha = torch.zeros(1, SIDE, SIDE)
    alpha[:, :, SIDE // 4 : SIDE // 2] = 1
    return alpha


def test_a_blurred_foreground_bleeds_over_a_sharp_background():
    back = surface(torch.zeros(3, SIDE, SIDE), 0.0)
    front = surface(torch.ones(3, SIDE, SIDE), -5.0, alpha=half_covered())
    photo = photo_of(back, front)
    assert photo[0, SIDE // 2, SIDE // 2 + 3] > 0.05  # outside the cut-out
    assert photo[0, SIDE // 2, SIDE // 2 - 3] < 0.95  # the background shows through its rim


def test_a_blurred_background_stays_behind_a_sharp_foreground():
    back = surface(torch.ones(3, SIDE, SIDE), 5.0)
    front = surface(torch.zeros(3, SIDE, SIDE), 0.0, alpha=half_covered())
    photo = photo_of(back, front)
    covered = half_covered().bool().expand(3, -1, -1)
    assert photo[covered].max() < 1e-3
    assert photo[~covered].min() > 0.999


def test_the_blur_shape_turns_around_on_the_other_side_of_focus():
    point = torch.zeros(3, SIDE, SIDE)
    point[:, SIDE // 2, SIDE // 2] = 1
    lens = LensBlur(Aperture(blades=3))
    behind = photo_of(surface(point, 8.0, lens))[0]
    in_front = photo_of(surface(point, -8.0, lens))[0]
    turned = torch.roll(behind.flip(0, 1), (1, 1), (0, 1))
    torch.testing.assert_close(in_front, turned, atol=2e-4, rtol=0)
    assert not torch.allclose(in_front, behind, atol=1e-3)


def test_all_in_focus_shows_the_front_layer_and_its_radius():
    back = surface(torch.zeros(3, SIDE, SIDE), 4.0)
    front = surface(torch.ones(3, SIDE, SIDE), -2.0, alpha=half_covered())
    photo, radius = (found[0] for found in all_in_focus([back, front], WHOLE))
    covered = half_covered()[0].bool()
    assert torch.equal(photo[0].bool(), covered)
    assert (radius[covered] == -2).all()
    assert (radius[~covered] == 4).all()


@pytest.mark.parametrize("shift", [0.4, -0.4])
def test_longitudinal_colour_blurs_red_and_blue_differently(shift):
    light = textured(4)
    light[1:] = light[:1]
    photo = photo_of(surface(light, 3.0, LensBlur(Aperture(), colour_shift_px=shift)))
    contrast = photo.std(dim=(1, 2))
    assert (contrast[0] < contrast[2]) == (shift > 0)


def slope(low: float, high: float) -> torch.Tensor:
    return torch.linspace(low, high, SIDE).expand(SIDE, SIDE)


def test_scenes_of_a_batch_do_not_touch_each_other():
    coloured = LensBlur(Aperture(blades=5), colour_shift_px=0.3)
    scenes = [
        [surface(textured(1), 0.0)],
        [surface(textured(2), 4.0), surface(textured(3), -6.0, coloured, half_covered())],
        [surface(textured(4), slope(-3, 9), coloured)],
        [surface(textured(5), slope(1, 2)), surface(textured(6), slope(-5, -2), LENS,
                                                    half_covered())],
        [surface(textured(7), 2.0), surface(textured(8), 0.0, LENS, half_covered()),
         surface(textured(9), -8.0, LENS, half_covered().flip(2))],
    ]  # fmt: skip
    together = batch_of(*scenes)
    photos = blur_layers(together, WHOLE)
    sharp, radius = all_in_focus(together, WHOLE)
    for number, scene in enumerate(scenes):
        torch.testing.assert_close(photos[number], photo_of(*scene), atol=1e-5, rtol=0)
        alone = all_in_focus(scene, WHOLE)
        torch.testing.assert_close((sharp[number], radius[number]), (alone[0][0], alone[1][0]))


def test_only_the_inside_is_kept():
    layers = [surface(textured(1), 3.0), surface(textured(2), -2.0, LENS, half_covered())]
    inside = (slice(8, 40), slice(16, 56))
    whole, part = blur_layers(layers, WHOLE), blur_layers(layers, inside)
    torch.testing.assert_close(part, whole[(..., *inside)])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_blurs_as_the_processor_does():
    layers = [surface(textured(1), slope(-3, 9)), surface(textured(2), -5.0, LENS, half_covered())]
    moved = [
        dataclasses.replace(
            layer,
            light=layer.light.cuda(),
            alpha=None if layer.alpha is None else layer.alpha.cuda(),
            radius_px=layer.radius_px.cuda(),
        )
        for layer in layers
    ]
    photo = blur_layers(moved, WHOLE)
    torch.testing.assert_close(photo.cpu(), blur_layers(layers, WHOLE), atol=1e-4, rtol=0)
