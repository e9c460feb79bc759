"""The two views of a dual-pixel sensor: each sees the scene through one half of the aperture.

A pixel of such a sensor is two photodiodes under one lens, of which the left one receives the light
from the right half of the aperture. A point behind the plane of focus therefore appears to the
views as the two halves of its blur disc, and a point in front of it as the same halves exchanged:
the views are shifted against each other by an amount and in a direction that tell the blur and its
side. Halves here are cut along a straight line, as in Punnappurath et al., Modeling Defocus-
Disparity in Dual-Pixel Sensors (ICCP 2020), in its simplest form; real ones overlap.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from defocusfix.rendering.lens import Spread
from defocusfix.rendering.scenes import Scene


def dual_pixel_scenes(scene: Scene) -> tuple[Scene, Scene]:
    """`scene` as the left and as the right view sees it; surfaces in focus are the same in both."""
    return _seen(scene, is_left=True), _seen(scene, is_left=False)


def half_spread(spread: Spread, *, is_left: bool) -> Spread:
    """What is left of each point spread function in one view; each sums to 1 again.

    The left view keeps the left half of those behind the plane of focus and the right half of those
    in front of it. The middle column goes to both views.
    """
    if spread.is_identity:
        return spread
    half = spread.psfs.shape[-1] // 2
    left_share = np.clip(0.5 - np.arange(-half, half + 1), 0, 1).astype(np.float32)
    psfs = np.empty_like(spread.psfs)
    for number, radius in enumerate(spread.radii_px):
        kept = left_share if is_left == (radius >= 0) else left_share[::-1]
        psfs[number] = spread.psfs[number] * kept
    return Spread(spread.radii_px, psfs / psfs.sum(axis=(2, 3), keepdims=True))


def _seen(scene: Scene, *, is_left: bool) -> Scene:
    layers = (
        replace(layer, spread=half_spread(layer.spread, is_left=is_left)) for layer in scene.layers
    )
    return replace(scene, layers=tuple(layers))
