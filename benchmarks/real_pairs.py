"""Training on real pairs that do not line up, scored on scenes that were not learnt from.

    python benchmarks/real_pairs.py WORK --pairs DIR [--pairs DIR ...]
    python benchmarks/real_pairs.py WORK --brackets DIR

Of pairs, DIR holds the folders blurry and sharp; scenes are held out by `defocusfix data split`'s
rule and scored as `defocusfix evaluate` does, against the target as it was taken and after three
ways of aligning it. Focus brackets (a folder per scene, one frame near and one far) become pairs by
fusing both frames into one that is in focus everywhere; every third scene is held out and scored as
`defocusfix evaluate --brackets` does.

The bundled focusnet-s goes on learning by plain L1, by L1 on globally aligned targets and by the
framework: the same number of steps, crops and order of crops. Each run appends one line to
WORK/real.jsonl and is not done again; the table is printed at the end.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from misaligned_pairs import BASE, FRAMEWORK, METHODS, restorer, trained
from torch import nn

from defocusfix.evaluation import brackets, pairs
from defocusfix.evaluation.pictures import read_picture
from defocusfix.evaluation.protocols import Restore, untouched
from defocusfix.networks.build import build_network
from defocusfix.pairs.find import find_pairs
from defocusfix.pairs.split import split_by_scene
from defocusfix.registration.global_ecc import LUMINANCE, align_globally
from defocusfix.registration.warp import FloatImage, warp
from defocusfix.training.recipes.reblur_guided_config import Config
from defocusfix.training.weights import read_weights

COMPARED = ("L1", "L1, globally aligned", "framework, globally aligned")
STEPS, WARM_UP_STEPS, BATCH_SIZE = 80, 20, 2
CROP_PX = 128
LEARNING_RATE = 5e-5  # a sixteenth of what the weights were trained with
REBLUR_RATE = 1e-3  # the reblurring module starts from nothing
FUSION_SIGMA_PX = 5.0  # over which the detail of both frames is compared
ENERGY_POWER = 2.0  # how decidedly a fused pixel comes from the sharper frame
HELD_OUT_SHARE = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, metavar="WORK", help="folder for results")
    parser.add_argument("--pairs", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--brackets", type=Path, metavar="DIR")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for folder in wanted.pairs:
        rows += on_pairs(wanted.work, folder)
    if wanted.brackets is not None:
        rows += on_brackets(wanted.work, wanted.brackets)
    print(table(rows))


def on_pairs(work: Path, folder: Path) -> list[dict[str, Any]]:
    """Every method on one set of pairs."""
    files = list(find_pairs(folder / "blurry", folder / "sharp").pairs)
    _, held_out = split_by_scene(files, HELD_OUT_SHARE)
    cases = [pairs.read_pair(pair) for pair in held_out]
    names = tuple(pair.name for pair in held_out)

    def score(restore: Restore) -> dict[str, float]:
        found = pairs.score_pairs({"after": restore, "before": untouched}, cases)
        figures = {}
        for alignment in pairs.ALIGNMENTS:
            means = [pairs.mean_score(found[name], alignment) for name in ("after", "before")]
            if means[0] is not None and means[1] is not None:
                figures[f"gain, {alignment}"] = means[0].psnr_db - means[1].psnr_db
        return figures

    folders = (folder / "blurry", folder / "sharp")
    return compared(work, folder.name, folders, names, score)


def on_brackets(work: Path, folder: Path) -> list[dict[str, Any]]:
    """Every method on the brackets of a folder."""
    scenes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    held_out = scenes[1::3]
    made = work / "fused"
    for scene in scenes:
        fuse(folder / scene, made)
    cases = [case for case in brackets.load_brackets(folder) if case.scene in held_out]

    def score(restore: Restore) -> dict[str, float]:
        found = brackets.summarise(brackets.score_brackets(restore, cases))
        return {
            "gain, raw": found.gain_as_shot_db,
            "gain, global": found.gain_db,
            "gain, local": found.gain_local_db,
            "kept": found.kept_db,
        }

    names = tuple(f"{scene}_{frame}" for scene in held_out for frame in "AB")
    return compared(work, "brackets", (made / "blurry", made / "sharp"), names, score)


def compared(
    work: Path,
    name: str,
    folders: tuple[Path, Path],
    held_out: tuple[str, ...],
    score: Callable[[Restore], dict[str, float]],
) -> list[dict[str, Any]]:
    """A row for the bundled weights and for each method; those in WORK/real.jsonl are not rerun."""
    work.mkdir(parents=True, exist_ok=True)
    path = work / "real.jsonl"
    rows = list(map(json.loads, path.read_text().splitlines())) if path.exists() else []
    done = {row["method"] for row in rows if row["set"] == name}
    for method in ("bundled weights", *COMPARED):
        if method not in done:
            network = _network(method, folders, held_out)
            row = {"set": name, "method": method, **score(restorer(network))}
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            rows.append(row)
    return [row for row in rows if row["set"] == name]


def fuse(scene: Path, made: Path) -> None:
    """Write both frames of a scene as blurry photos, and for each what both have in focus."""
    frames = {path.stem[-1]: read_picture(path) for path in sorted(scene.iterdir())}
    for frame, other in (("A", "B"), ("B", "A")):
        image = frames[frame]
        height, width = image.shape[:2]
        moved = warp(frames[other], align_globally(frames[other], image).flow((height, width)))
        share = _energy(image) / (_energy(image) + _energy(moved) + 1e-12)
        for folder, view in (
            ("blurry", image),
            ("sharp", share[..., None] * image + (1 - share[..., None]) * moved),
        ):
            path = made / folder / f"{scene.name}_{frame}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.rint(view[..., ::-1] * 255).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(path), pixels)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown; gains in dB over the untouched photo."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        cells = [row.get(name, "") for name in columns]
        shown = [f"{cell:+.2f}" if isinstance(cell, float) else str(cell) for cell in cells]
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)


def _network(method: str, folders: tuple[Path, Path], held_out: tuple[str, ...]) -> nn.Module:
    if method == "bundled weights":
        network = build_network("focusnet-s").eval()
        network.load_state_dict(read_weights(BASE)[0])
        return network
    settings: dict[str, Any] = {
        "warm_up_epochs": float(WARM_UP_STEPS),
        "full_epochs": float(STEPS - WARM_UP_STEPS),
        **FRAMEWORK,
        **METHODS[method],
        "learning_rate": LEARNING_RATE,
        "reblur_rate": REBLUR_RATE / LEARNING_RATE,
    }
    if method.startswith("L1"):
        settings["full_epochs"] = float(STEPS)
    settings["data"] = replace(settings["data"], crop_px=CROP_PX, scale="auto")
    return trained(
        Config(
            blurry=folders[0],
            sharp=folders[1],
            left_out=held_out,
            network="focusnet-s",
            start_from=BASE,
            samples_per_epoch=BATCH_SIZE,
            batch_size=BATCH_SIZE,
            **settings,
        )
    )[0]


def _energy(image: FloatImage) -> FloatImage:
    luminance = cv2.GaussianBlur((image @ LUMINANCE).astype(np.float32), (0, 0), 0.8)
    detail = cv2.Laplacian(luminance, cv2.CV_32F) ** 2
    energy = cv2.GaussianBlur(detail, (0, 0), FUSION_SIGMA_PX)
    return np.asarray(energy, np.float32) ** ENERGY_POWER


if __name__ == "__main__":
    main()
