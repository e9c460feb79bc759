"""What each part of the renderer is worth on real photos: leave one out, train on, and look.

    python benchmarks/renderer_parts.py --photos DIR --brackets DIR --start WEIGHTS -o DIR
        [--count 1500] [--minutes 1.5] [--only NAME ...] [--json]

For every part a set of pairs is rendered without it, from the same photos and seed, and the same
weights are trained on with it for the same few minutes, alone on the machine. All are then scored
on real focus brackets. A part whose loss costs gain is one that real photos have too. Sets, runs
and scores are kept in the output folder; what is finished there is not done again, so that Ctrl-C
or SIGTERM loses only the training at hand.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from stopping import stop_if_told, stop_when_terminated

from defocusfix.evaluation.brackets import BracketCase, load_brackets, score_brackets, summarise
from defocusfix.evaluation.protocols import FloatImage, Restored
from defocusfix.networks.build import build_network
from defocusfix.networks.pyramid import restore_levels
from defocusfix.optics import Aperture
from defocusfix.pairs.rendered import SHARD_SIZE, shard_folder, write_facts, write_shard
from defocusfix.rendering import sample, scenes
from defocusfix.rendering.camera import Camera, random_camera
from defocusfix.rendering.lens import LensBlur, random_lens
from defocusfix.rendering.photos import PhotoLibrary
from defocusfix.rendering.render import render
from defocusfix.training.command import train_run
from defocusfix.training.config import read_preset, resolve_config
from defocusfix.training.weights import read_weights

CROP_PX = 256
LARGEST_RADIUS_PX = 10.0
LEVELS = 3
SIDE_MULTIPLE = 64  # of the network, at all its levels
BATCH_SIZE = 8
WINDOWS_PX = [CROP_PX, CROP_PX // 2]  # at full and half size: whole pictures
RADII, MAGNITUDE = scenes._radii, scenes._magnitude  # as they are, whatever takes their place

Patches = Mapping[str, Callable[..., Any]]
"""What takes the place of a part: by the name under which it is looked up, with its module."""
CAMERA = f"{sample.__name__}.random_camera"
LENS = f"{scenes.__name__}.random_lens"
RANGES = f"{scenes.__name__}._radii"
SIZES = f"{scenes.__name__}._magnitude"


def camera_without(rng: np.random.Generator, **settings: Any) -> Camera:
    """A camera of the renderer, apart from some settings."""
    return replace(random_camera(rng), **settings)


def plain_lens(rng: np.random.Generator, largest_radius_px: float) -> LensBlur:
    """Evenly lit round discs, one size for all colours."""
    random_lens(rng, largest_radius_px)  # what is drawn after it stays the same
    return LensBlur(Aperture())


def hard_lens(rng: np.random.Generator, largest_radius_px: float) -> LensBlur:
    """A lens of the renderer whose blur ends at a hard edge."""
    lens = random_lens(rng, largest_radius_px)
    if isinstance(lens.aperture, Aperture):
        lens = replace(lens, aperture=replace(lens.aperture, softness=0.0))
    return lens


def one_colour_lens(rng: np.random.Generator, largest_radius_px: float) -> LensBlur:
    """A lens of the renderer without chromatic aberration."""
    return replace(random_lens(rng, largest_radius_px), colour_shift_px=0.0)


def radii_of_one_surface(rng: np.random.Generator) -> list[tuple[float, float]]:
    """The first of the surfaces that the renderer draws: no occlusion."""
    return RADII(rng)[:1]


def smaller_magnitude(rng: np.random.Generator) -> float:
    """A radius of the renderer, drawn anew until it is no larger than a plain network undoes."""
    while (radius := MAGNITUDE(rng)) > LARGEST_RADIUS_PX:
        pass
    return radius


NOISELESS = {"read_noise": 0.0, "shot_noise": 0.0}
UNSHARPENED = {"sharpening": 0.0}
LOSSLESS = {"jpeg_quality": None}
CRISP = {"softness_px": 0.0}
PLAIN = {"contrast": 0.0, "highlight_gain": 1.0}


def _camera(**settings: Any) -> Patches:
    return {CAMERA: partial(camera_without, **settings)}


WITHOUT: dict[str, Patches] = {
    "nothing": {},
    "shapes of the aperture": {LENS: plain_lens},
    "softness of the blur": {LENS: hard_lens},
    "chromatic aberration": {LENS: one_colour_lens},
    "noise": _camera(**NOISELESS),
    "sharpening in the camera": _camera(**UNSHARPENED),
    "JPEG": _camera(**LOSSLESS),
    "softness of the camera": _camera(**CRISP),
    "highlights and tone curve": _camera(**PLAIN),
    "the whole camera": _camera(**NOISELESS, **UNSHARPENED, **LOSSLESS, **CRISP, **PLAIN),
    "occlusion": {RANGES: radii_of_one_surface},
    "radii above 10 px": {SIZES: smaller_magnitude},
}


@dataclass(frozen=True)
class Score:
    """What the renderer without one part has made of the weights, on brackets."""

    without: str
    pairs_seen: int
    gain_db: float
    gain_lytro_db: float
    improved: float
    kept_db: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, action="append", required=True, metavar="DIR")
    parser.add_argument("--brackets", type=Path, required=True, metavar="DIR")
    parser.add_argument("--start", type=Path, required=True, metavar="WEIGHTS")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=1500, help="pairs rendered per part")
    parser.add_argument("--minutes", type=float, default=1.5, help="of training per part")
    parser.add_argument("--processes", type=int, default=2, help="that render")
    parser.add_argument("--only", action="append", choices=list(WITHOUT), help="may be repeated")
    parser.add_argument("--json", action="store_true", help="write one JSON list instead")
    wanted = parser.parse_args()

    stop_when_terminated()
    cases = load_brackets(wanted.brackets)
    scores = []
    for number, name in enumerate(WITHOUT):
        if wanted.only and name not in wanted.only:
            continue
        folder = wanted.output / f"{number:02d}-{name.replace(' ', '-').replace(',', '')}"
        kept = folder / "score.json"
        if not kept.is_file():
            render_without(name, wanted.photos, folder / "set", wanted.count, wanted.processes)
            seen = train_on(folder / "set", wanted.start, folder / "run", wanted.minutes)
            score = scored(name, seen, folder / "run" / "weights.safetensors", cases)
            kept.write_text(json.dumps(asdict(score)), "utf-8")
            shutil.rmtree(folder / "set")
        scores.append(Score(**json.loads(kept.read_text("utf-8"))))
        if not wanted.json:
            print(_row(scores[-1]), flush=True)
    if wanted.json:
        print(json.dumps([asdict(score) for score in scores], indent=2))


def render_without(name: str, photos: list[Path], folder: Path, count: int, processes: int) -> None:
    """Fill `folder` with rendered pairs, the part `name` left out."""
    write_facts(folder, {"without": name, "size": CROP_PX, "count": count})
    render_with(WITHOUT[name], photos, folder, count, processes)


def render_with(
    patches: Patches, photos: list[Path], folder: Path, count: int, processes: int, seed: int = 0
) -> None:
    """Fill `folder`, which has its facts, with pairs of the renderer with some parts replaced."""
    shards = [n for n in range(-(-count // SHARD_SIZE)) if not shard_folder(folder, n).exists()]
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        pool.map(partial(_render_shard, patches, photos, folder, seed), shards, chunksize=1)


def _render_shard(
    patches: Patches, photos: list[Path], folder: Path, seed: int, number: int
) -> None:
    torch.set_num_threads(1)
    library = PhotoLibrary(tuple(photos))
    pairs = []
    with ExitStack() as patched:
        for place, stand_in in patches.items():
            patched.enter_context(mock.patch(place, stand_in))
        for k in range(number * SHARD_SIZE, (number + 1) * SHARD_SIZE):
            rng = np.random.default_rng((seed, k))
            pair = render([sample.random_sample(rng, library, CROP_PX)], torch.device("cpu"))
            pairs.append((pair.blurred, pair.all_in_focus, pair.radius_px.half()))
    blurred, sharp, radius = (torch.cat(arrays).numpy() for arrays in zip(*pairs, strict=True))
    write_shard(folder, number, blurred, sharp, radius)


def train_on(pairs: Path, start: Path, output: Path, minutes: float) -> int:
    """Train for a few minutes, as the bundled weights were; how many pairs were seen."""
    changes = [
        f'recipe.crops=["{pairs}"]',
        f"recipe.start_from={start}",
        "recipe.map_steps=0",
        "recipe.known_radius_share=0.0",
        f"recipe.windows_px={WINDOWS_PX}",
        f"recipe.batch_size={BATCH_SIZE}",
        "recipe.log_error_weight=0.1",
        "recipe.learning_rate=3e-4",
        f"trainer.max_hours={minutes / 60}",
        "trainer.schedule_by=time",
    ]
    config = resolve_config("supervised", read_preset("supervised", "focusnet-s"), changes)
    if output.is_dir():
        shutil.rmtree(output)  # cut off: its minutes would not be like the others'
    outcome = train_run(config, output, talks=False)
    stop_if_told(outcome)
    return outcome.total_steps * BATCH_SIZE


def scored(name: str, seen: int, weights: Path, cases: list[BracketCase]) -> Score:
    """The weights on real brackets, in torch and bf16, as they were trained."""
    values, spec = read_weights(weights)
    network = build_network(spec.architecture).eval()
    network.load_state_dict(values)

    def restore(image: FloatImage) -> Restored:
        height, width = image.shape[:2]
        batch = torch.from_numpy(image).permute(2, 0, 1)[None]
        rim = (0, -width % SIDE_MULTIPLE, 0, -height % SIDE_MULTIPLE)
        batch = F.pad(batch, rim, mode="reflect").to(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            restored, _ = restore_levels(network, batch, LEVELS)[0]
        return Restored(restored[0, :, :height, :width].float().permute(1, 2, 0).numpy())

    found = score_brackets(restore, cases)
    every, lytro = summarise(found), summarise(found, "lytro")
    return Score(name, seen, every.gain_db, lytro.gain_db, every.improved, every.kept_db)


def _row(score: Score) -> str:
    return (
        f"without {score.without:34} {score.pairs_seen:6} pairs  {score.gain_db:+.3f} dB, "
        f"Lytro {score.gain_lytro_db:+.3f}, {score.improved:.0%} improved, "
        f"kept {score.kept_db:.1f} dB"
    )


if __name__ == "__main__":
    main()
