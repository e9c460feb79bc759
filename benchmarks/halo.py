"""How far a network's result at one place depends on the photo around it.

    python benchmarks/halo.py photo.jpg... [--model FILE] [--tile 512] [--precision int8]
        [--halos 64 80]

Restores the middle of each photo once as a whole and in tiles, for several halos, and prints the
largest and the 99.9th percentile difference of the restored image (in steps of 1/255) and of the
radius map (in pixels), beside the halo asked for and the one that an even cut gives. The halo that
a model ships with is the smallest one here whose largest image difference stays under one step.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from defocusfix.engines.engine import Engine, FloatArray
from defocusfix.engines.select import open_engine
from defocusfix.network_spec import NetworkSpec
from defocusfix.photo.read import read_photo
from defocusfix.restoration.restorer import Restorer, model_file
from defocusfix.restoration.settings import RestoreSettings
from defocusfix.restoration.tiles import Cut, parts

HALOS_PX = (32, 48, 64, 80, 96, 128, 160)
SIDE_PX = 1024


class OtherHalo:
    """An engine that says it needs another halo."""

    def __init__(self, engine: Engine, halo: int) -> None:
        self._engine = engine
        self.spec: NetworkSpec = dataclasses.replace(engine.spec, halo=halo)
        self.name, self.device, self.precision = engine.name, engine.device, engine.precision

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        return self._engine.run(inputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("photos", type=Path, nargs="+", metavar="photo")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--halos", type=int, nargs="+", default=HALOS_PX, metavar="PX")
    options = parser.parse_args()

    engine = open_engine(model_file(options.model), device="cpu", precision=options.precision)
    for photo in options.photos:
        compare(engine, photo, options.tile, options.halos)


def compare(engine: Engine, photo: Path, tile: int, halos: Sequence[int]) -> None:
    """Print how far tiles with each halo are from the whole."""
    image = read_photo(photo).to_float()[..., :3]
    top, left = (max(0, (side - SIDE_PX) // 2) for side in image.shape[:2])
    image = np.ascontiguousarray(image[top : top + SIDE_PX, left : left + SIDE_PX])
    whole = Restorer(engine, RestoreSettings(tile=0, scale=1))(image)
    print(f"{photo.name}, {image.shape[1]}x{image.shape[0]}, tiles of {tile} px")
    print(
        "halo asked, had px   image, steps of 1/255: largest, 99.9 %   radius, px: largest, 99.9 %"
    )
    for halo in halos:
        settings = RestoreSettings(tile=tile, scale=1)
        tiled = Restorer(OtherHalo(engine, halo), settings)(image)
        steps = np.abs(tiled.image - whole.image) * 255
        had = min(real_halo(engine.spec, halo, tile, side) for side in image.shape[:2])
        line = f"{halo:7d} {had:4d}   {steps.max():10.3f} {np.quantile(steps, 0.999):10.4f}"
        if tiled.radius_px is not None and whole.radius_px is not None:
            pixels = np.abs(tiled.radius_px - whole.radius_px)
            line += f"   {pixels.max():10.3f} {np.quantile(pixels, 0.999):10.4f}"
        print(line)


def real_halo(spec: NetworkSpec, halo: int, tile: int, side: int) -> int:
    """The least that windows of full size reach beyond their cores; an even cut makes it wider."""
    multiple = spec.size_multiple
    cut = Cut(window=tile, overlap=spec.overlap, halo=halo, multiple=multiple)
    whole = -(-side // (multiple << spec.levels - 1)) * (multiple << spec.levels - 1)
    found = parts(whole, cut)
    return min(
        (
            min(after.core.start - after.window.start, before.window.stop - before.core.stop)
            for before, after in pairwise(found)
        ),
        default=whole,
    )


if __name__ == "__main__":
    main()
