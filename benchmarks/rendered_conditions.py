"""What can be gained on rendered pairs, by how they were photographed.

    python benchmarks/rendered_conditions.py --photos DIR -o DIR [--model FILE] [--count 250]
        [--only NAME ...] [--json]

The same scenes, from photos that weights were not trained on, are photographed under several
conditions: as the renderer does it, with a milder camera, without any; with and without things in
front of others. Noise, JPEG and the borders of things bound what any network can find again, so
gains on one set say little about those on another. Sets are kept in the output folder, for
`defocusfix evaluate --rendered` too.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from renderer_parts import (
    CAMERA,
    CRISP,
    CROP_PX,
    LOSSLESS,
    NOISELESS,
    RANGES,
    UNSHARPENED,
    Patches,
    camera_without,
    radii_of_one_surface,
    render_with,
)

from defocusfix.evaluation.protocols import FloatImage, Restored, Views
from defocusfix.evaluation.rendered import REGIONS, RenderedSummary, score_rendered, summarise
from defocusfix.pairs.rendered import RenderedSet, write_facts
from defocusfix.rendering.camera import SUBSAMPLINGS, Camera
from defocusfix.restoration.restorer import Restorer, open_restorer

MID_GREY = 0.18  # of linear light
DISPLAY_SLOPE = 1.2  # of the sRGB curve at mid grey: display values per linear light


def mild_camera(rng: np.random.Generator) -> Camera:
    """Noise to 2 % of display values, no softness, JPEG from quality 70 on six photos of ten."""
    noise = float(rng.uniform(0, 0.02)) / DISPLAY_SLOPE
    shot_share = float(rng.uniform(0.3, 0.95))
    is_sharpened = rng.random() < 0.4
    return Camera(
        contrast=float(rng.uniform(0, 0.4)),
        highlight_gain=float(rng.uniform(1, 4)) if rng.random() < 0.5 else 1.0,
        read_noise=noise * math.sqrt(1 - shot_share),
        shot_noise=noise**2 * shot_share / MID_GREY,
        noise_is_correlated=bool(rng.random() < 0.5),
        softness_px=0.0,
        sharpening=float(rng.uniform(0.1, 1.2)) if is_sharpened else 0.0,
        sharpening_px=float(rng.uniform(0.5, 1.3)),
        jpeg_quality=int(rng.integers(70, 99)) if rng.random() < 0.6 else None,
        jpeg_subsampling=SUBSAMPLINGS[int(rng.choice(3, p=[0.4, 0.15, 0.45]))],
    )


RAW: Patches = {CAMERA: partial(camera_without, **UNSHARPENED, **LOSSLESS)}
NO_CAMERA: Patches = {
    CAMERA: partial(camera_without, **NOISELESS, **UNSHARPENED, **LOSSLESS, **CRISP)
}
MILD: Patches = {CAMERA: mild_camera}
ONE_SURFACE: Patches = {RANGES: radii_of_one_surface}
CONDITIONS: dict[str, Patches] = {
    "as rendered": {},
    "a milder camera": MILD,
    "neither JPEG nor sharpening": RAW,
    "no camera": NO_CAMERA,
    "as rendered, one surface": ONE_SURFACE,
    "a milder camera, one surface": MILD | ONE_SURFACE,
    "no camera, one surface": NO_CAMERA | ONE_SURFACE,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, action="append", required=True, metavar="DIR")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--model", help="weights; the default ones if left out")
    parser.add_argument("--count", type=int, default=250, help="pairs per condition")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="that render")
    parser.add_argument("--only", action="append", choices=list(CONDITIONS), metavar="NAME")
    parser.add_argument("--json", action="store_true", help="write one JSON object instead")
    wanted = parser.parse_args()

    restorer = open_restorer(wanted.model, precision="fp32")
    found: dict[str, list[RenderedSummary]] = {}
    for number, (name, patches) in enumerate(CONDITIONS.items()):
        if wanted.only and name not in wanted.only:
            continue
        folder = wanted.output / f"{number}-{name.replace(' ', '-').replace(',', '')}"
        write_facts(folder, {"conditions": name, "size": CROP_PX, "seed": wanted.seed})
        render_with(
            patches, wanted.photos, folder, wanted.count, wanted.processes, seed=wanted.seed
        )
        found[name] = scored(restorer, folder, wanted.count)
        if not wanted.json:
            print(_row(name, found[name][0]), flush=True)
    if wanted.json:
        kept = {name: [asdict(region) for region in found[name]] for name in found}
        print(json.dumps(kept, indent=2))


def scored(restorer: Restorer, folder: Path, count: int) -> list[RenderedSummary]:
    """What `evaluate --rendered` finds for the first `count` pairs, by region."""

    def restore(image: FloatImage, _: Views | None = None) -> Restored:
        restoration = restorer(image)
        return Restored(restoration.image, restoration.radius_px)

    pairs = RenderedSet(folder)
    scores = score_rendered(restore, (pairs[k] for k in range(min(count, len(pairs)))))
    return [summarise(scores, region) for region in REGIONS]


def _row(name: str, summary: RenderedSummary) -> str:
    gains = "  ".join(f"{band} {gain:+.2f}" for band, gain in summary.gains_db.items())
    return (
        f"{name:30} {summary.photos} photos  {gains} dB  kept {summary.kept_db:.1f} dB  "
        f"map {summary.map_error_px:.2f} px, {summary.map_relative_error:.0%}"
    )


if __name__ == "__main__":
    main()
