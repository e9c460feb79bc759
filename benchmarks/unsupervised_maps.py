"""Defocus maps that nobody supervised: how near they come to those that were taught the truth.

    python benchmarks/unsupervised_maps.py WORK [--photos DIR ...] [--held-out DIR ...]
        [--masks DIR] [--table]

Scenes of one lens are rendered into WORK (map_scenes.py), from the photos in DIR or, without any,
from procedural textures; the held-out ones from other photos. The small estimator then learns to
map blur by the recipe `learnable-kernel`, from one photo or from two views of a dual-pixel sensor,
and, as a yardstick, from the true radius; every training has the same number of steps and crops.
Beside them stand the map of the bundled focusnet-s and the pseudo map of reblurring-guided
training, which reads the sharp photo as well, where the others see the blurred one only. More
trainings, of lenses whose blur disc is a hexagon and a ring, ask whether the kernels become what
the lens does (kernel_recovery.py), and whether they would if the true radius were their map.
`--masks` is a folder with images/ and masks/, white where a photo is out of focus: maps are scored
there too, as `defocusfix evaluate --maps` does.

A training takes some three minutes on one core; each appends one line to WORK/runs.jsonl, and those
that are there are not done again, so that Ctrl-C or SIGTERM loses only the training at hand.
`--table` prints the table of what is there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kernel_recovery import recovery
from map_methods import METHODS, Mapper, mapper_of
from map_scenes import read_views, write_scenes

from defocusfix.evaluation.maps import masked_photos, score_map
from defocusfix.evaluation.maps import summarise as summarise_masks
from defocusfix.evaluation.protocols import Restored
from defocusfix.evaluation.rendered import score_rendered, summarise
from defocusfix.networks.blur_map import BlurMap
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.map_validation import sign_accuracy

PAIRS, HELD_OUT, SIZE_PX = 192, 48, 128
MULTIPLE = 64  # of the sides of a photo that any of the networks takes
COLUMNS = {
    "error, px": ("error_px_all", 2),
    "textured": ("error_px_textured", 2),
    "correlation": ("correlation_all", 3),
    "correlation, textured": ("correlation_textured", 3),
    "right side": ("sign_accuracy", 3),
    "masks: best F": ("best_f", 3),
    "at, px": ("best_threshold_px", 2),
    "masks: error": ("mask_error", 3),
    "kernels off before": ("kernels_off_before", 3),
    "after": ("kernels_off_after", 3),
    "CPU s": ("seconds", 0),
}
"""Heading: figure and digits."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, metavar="WORK", help="folder for scenes and results")
    parser.add_argument("--photos", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--held-out", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="with images/ and masks/ in it")
    parser.add_argument("--method", action="append", choices=list(METHODS), help="only this one")
    parser.add_argument("--table", action="store_true", help="print what is there and stop")
    wanted = parser.parse_args()
    work: Path = wanted.work
    if not wanted.table:
        torch.set_num_threads(1)
        done = {row["method"] for row in read_rows(work)}
        for name in wanted.method or METHODS:
            if name not in done:
                lens = METHODS[name].lens
                write_scenes(work / lens, lens, PAIRS, 1, wanted.photos, SIZE_PX)
                write_scenes(
                    work / f"{lens}, held out", lens, HELD_OUT, 2, wanted.held_out, SIZE_PX
                )
                add_row(work, run(work, name, wanted.masks))
    print(table(work))


def run(work: Path, name: str, masks: Path | None) -> dict[str, object]:
    """Train by a method, if it is one that trains, and score its maps."""
    method = METHODS[name]
    began = time.process_time()
    mapper, network = mapper_of(method, work / method.lens, work / f"{name}.safetensors")
    row: dict[str, object] = {"method": name, "seconds": time.process_time() - began}
    if method.kind != "told":
        row |= score(work / f"{method.lens}, held out", mapper, has_sign=method.takes_views)
    if masks is not None and method.reads_one_photo:
        row |= mask_figures(masks, mapper)
    if method.kind in ("reblurring", "told") and isinstance(network, BlurMap):
        row |= recovery(network, method.lens, work / f"{name}, kernels.png")
    return row


def score(folder: Path, mapper: Mapper, *, has_sign: bool) -> dict[str, float]:
    """Figures of `defocusfix evaluate --rendered` and, of two views, how many signs are right."""
    rendered = RenderedSet(folder / "set")
    pairs = [rendered[number] for number in range(len(rendered))]
    maps = [mapper(read_views(folder, number)) for number in range(len(rendered))]
    sizes = iter([np.abs(found) for found in maps])
    scores = score_rendered(lambda image: Restored(image, next(sizes)), pairs)
    found: dict[str, float] = {}
    for region in ("all", "textured"):
        summary = summarise(scores, region)
        found[f"error_px_{region}"] = summary.map_error_px
        found[f"correlation_{region}"] = summary.map_correlation
    if has_sign:
        truths = [truth.astype(np.float32) for *_, truth in pairs]
        found["sign_accuracy"] = sign_accuracy(maps, truths)
    return found


def mask_figures(masks: Path, mapper: Mapper) -> dict[str, float]:
    """Figures of `defocusfix evaluate --maps`."""
    scores = []
    for photo in masked_photos(masks / "images", masks / "masks"):
        height, width = photo.image.shape[:2]
        rim = ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0))
        wide = np.pad(photo.image, rim, mode="reflect")
        radius = np.abs(mapper({"blurry": wide}))[:height, :width]
        scores.append(score_map(radius, photo))
    summary = summarise_masks(scores)
    return {
        "best_f": summary.best_f,
        "best_threshold_px": summary.best_threshold_px,
        "mask_error": summary.error,
    }


def table(work: Path) -> str:
    """Markdown, one row per method, in the order of METHODS."""
    rows = {row["method"]: row for row in read_rows(work)}
    lines = [f"| method | {' | '.join(COLUMNS)} |", "|---" * (1 + len(COLUMNS)) + "|"]
    for name in METHODS:
        if name in rows:
            cells = [_cell(rows[name].get(key), digits) for key, digits in COLUMNS.values()]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def read_rows(work: Path) -> list[dict[str, Any]]:
    path = work / "runs.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def add_row(work: Path, row: Mapping[str, object]) -> None:
    with (work / "runs.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
