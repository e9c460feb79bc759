"""Draw docs/reblurring.png: what networks trained on misaligned pairs make of a photo.

    PYTHONPATH=benchmarks python docs/make_reblurring.py WORK

WORK is the folder of benchmarks/misaligned_pairs.py. The photo is the example scene, which this
project has drawn, through the lens of that benchmark.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import make_example
import numpy as np
import torch
from example_scene import paint
from misaligned_pairs import restorer, weights_file
from one_lens import CAMERA, LARGEST_RADIUS_PX, LENS

from defocusfix.figures.contact_sheet import Crop, Panel, contact_sheet, write_sheet
from defocusfix.networks.build import build_network
from defocusfix.registration.warp import FloatImage
from defocusfix.rendering.exposure import develop, expose, to_uint8
from defocusfix.rendering.layers import LinearLayer, all_in_focus, blur_layers
from defocusfix.training.weights import read_weights

OUTPUT = Path(__file__).with_name("reblurring.png")
MOVEMENT = "5"
METHODS = ("L1", "L1, globally aligned", "framework")
CROPS = (Crop(300, 300, 176, 208), Crop(360, 720, 176, 208))


def main() -> None:
    """Photograph the scene, restore it by each network, write the sheet."""
    work, rng = Path(sys.argv[1]), np.random.default_rng(make_example.SEED)
    layers = [_through_lens(layer) for layer in make_example.scene(rng)]
    margin = make_example.MARGIN
    rows, columns = (slice(margin, side - margin) for side in paint.SCENE)
    light, (sharp, _) = blur_layers(layers, (rows, columns)), all_in_focus(layers, (rows, columns))
    photo = _as_float(expose(light, [CAMERA], [make_example.SEED]))
    views = {"input": photo}
    for method in METHODS:
        network = build_network("focusnet-s").eval()
        network.load_state_dict(read_weights(weights_file(work, method, MOVEMENT))[0])
        views[method] = restorer(network)(photo).image
    views["truth"] = _as_float(to_uint8(develop(sharp, [CAMERA])))
    sheet = [[Panel(name, crop.of(view)) for name, view in views.items()] for crop in CROPS]
    write_sheet(OUTPUT, contact_sheet(sheet, enlarge=1))


def _through_lens(layer: LinearLayer) -> LinearLayer:
    radius = layer.radius_px.clamp(-LARGEST_RADIUS_PX, LARGEST_RADIUS_PX)
    spread = LENS.spread(float(radius.min()), float(radius.max()))
    return replace(layer, radius_px=radius, spreads=(spread,))


def _as_float(pixels: torch.Tensor) -> FloatImage:
    return pixels[0].numpy().astype(np.float32) / np.float32(255)


if __name__ == "__main__":
    main()
