"""Training on pairs that do not line up: plain L1, aligned L1, the reblurring-guided framework.

    python benchmarks/misaligned_pairs.py WORK [--photos DIR ...] [--held-out DIR ...] [--table]

Pairs of one lens are rendered into WORK (one_lens.py), from the photos in DIR or, without any,
from procedural textures; the held-out ones from other photos. The bundled focusnet-s, which has
forgotten how to restore (the last layer of its trunk is zero), then learns from them by each method
and for each movement of the camera between the two photos of a pair: the same first weights, number
of steps, crops and order of crops. What became of it is measured on the held-out pairs
(pair_figures.py). Every method is the recipe `reblur-guided` with some of its settings changed, so
`defocusfix train` can do the same.

A run takes a minute or two on one core; each appends one line to WORK/runs.jsonl, and those that
are there are not done again, so that Ctrl-C or SIGTERM loses only the run at hand. `--table` prints
the table of what is there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from one_lens import MUCH_PARALLAX, Movement, write_pairs
from pair_figures import Figures, count_scenes, figures, mean_figures, read_image, read_scene
from stopping import stop_if_told
from torch import nn

from defocusfix.evaluation.protocols import Restore, Restored, untouched
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks.build import build_network
from defocusfix.networks.deblurrer import as_deblurrer, crop_multiple
from defocusfix.networks.reblur import ReblurConfig
from defocusfix.pairs.crops import PairSettings
from defocusfix.registration.warp import FloatImage
from defocusfix.training.config import TrainerConfig
from defocusfix.training.console import RunConsole
from defocusfix.training.guidance import DeformationConfig
from defocusfix.training.recipes.reblur_guided import build
from defocusfix.training.recipes.reblur_guided_config import Config
from defocusfix.training.run_folder import RunFolder
from defocusfix.training.trainer import Trainer
from defocusfix.training.weights import read_weights, write_weights

TERMS = ("to_output", "to_target", "reblur", "map", "flow_px", "trusted_share")
COLUMNS = {
    "PSNR, truth": ("psnr_truth", 2),
    "PSNR, target": ("psnr_target", 2),
    "drift, px": ("drift_px", 3),
    "in common, px": ("common_px", 3),
    "sharpness": ("sharpness", 2),
    "map error, px": ("map_error_px", 2),
}
"""Heading: figure and digits."""
BASE = Path(__file__).resolve().parents[1] / "models" / "focusnet-s" / "model.safetensors"
PAIRS, HELD_OUT, SIZE_PX = 64, 24, 256
MOVEMENTS = (
    Movement(0),
    Movement(2),
    Movement(5),
    Movement(10),
    Movement(5, is_one_way=True),
    Movement(5, parallax=MUCH_PARALLAX),
)
STEPS, WARM_UP_STEPS, BATCH_SIZE = 120, 40, 4
CROPS = PairSettings(crop_px=64, alignment="none")
IN_LINE = replace(CROPS, alignment="affine")
STILL = DeformationConfig(flow="none", mask="none")
FRAMEWORK: Mapping[str, object] = {
    "data": CROPS,
    "deformation": DeformationConfig(warm_up=True),
    "reblur": ReblurConfig(width=16),
    "reblur_rate": 2.0,
    "reblur_weight": 0.1,
    "kernels_from": "target",
    "warm_up_reblurs": True,
    "map_weight": 0.0,
}
NO_REBLURRING: Mapping[str, object] = {"reblur_weight": 0.0, "warm_up_reblurs": False}
PLAIN: Mapping[str, object] = {
    **NO_REBLURRING,
    "deformation": STILL,
    "to_target_weight": 0.0,
    "warm_up_epochs": 0.0,
    "full_epochs": float(STEPS),
}
ONWARD: Mapping[str, object] = {
    "warm_up_epochs": 0.0,
    "full_epochs": float(STEPS),
    "warm_up_reblurs": False,
}
METHODS: Mapping[str, Mapping[str, object]] = {
    "L1": {**PLAIN, "data": replace(CROPS, matches_exposure=False)},
    "L1, globally aligned": {**PLAIN, "data": IN_LINE},
    "framework": {},
    "no reblurring": NO_REBLURRING,
    "no flow": {"deformation": STILL},
    "framework, globally aligned": {"data": IN_LINE, "deformation": DeformationConfig()},
    "L1, then framework": ONWARD,
    "L1, then no reblurring": {**ONWARD, **NO_REBLURRING},
    "with pseudo map": {"map_weight": 0.05},
}
"""By name: settings of the recipe, where they differ from FRAMEWORK."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, metavar="WORK", help="folder for pairs and results")
    parser.add_argument("--photos", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--held-out", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument(
        "--movement", action="append", choices=[m.name for m in MOVEMENTS], help="only this one"
    )
    parser.add_argument("--method", action="append", choices=list(METHODS), help="only this one")
    parser.add_argument("--seed", type=int, default=0, help="of the crops and their order")
    parser.add_argument("--table", action="store_true", help="print what is there and stop")
    wanted = parser.parse_args()
    work: Path = wanted.work
    if not wanted.table:
        write_pairs(work / "pairs", PAIRS, 1, wanted.photos, SIZE_PX, MOVEMENTS)
        write_pairs(work / "held-out", HELD_OUT, 2, wanted.held_out, SIZE_PX, MOVEMENTS)
        torch.set_num_threads(1)
        start = unlearnt(work / "start.safetensors")
        done = {(row["method"], row["movement"]) for row in read_rows(work, wanted.seed)}
        for movement in wanted.movement or [movement.name for movement in MOVEMENTS]:
            for method in wanted.method or METHODS:
                if (method, movement) not in done:
                    add_row(work, run(work, method, movement, start, wanted.seed))
    print(table(work, wanted.seed))


def unlearnt(path: Path) -> Path:
    """The bundled weights with a tail of zeros: a map, features, and no restoration yet."""
    weights, spec = read_weights(BASE)
    for name in ("tail.weight", "tail.bias"):
        weights[name] = torch.zeros_like(weights[name])
    write_weights(path, weights, replace(spec, weights_sha256=""))
    return path


def config(work: Path, method: str, movement: str, start: Path, seed: int) -> Config:
    """The framework's settings with the method's; an epoch is a step."""
    settings: dict[str, Any] = {
        "warm_up_epochs": float(WARM_UP_STEPS),
        "full_epochs": float(STEPS - WARM_UP_STEPS),
        "learning_rate": 5e-4,
    }
    settings |= FRAMEWORK | METHODS[method]
    if method.startswith("L1, then"):
        start = weights_file(work, "L1", movement, seed)
    return Config(
        blurry=work / "pairs" / "blurry",
        sharp=work / "pairs" / f"sharp {movement}",
        network="focusnet-s",
        start_from=start,
        samples_per_epoch=BATCH_SIZE,
        batch_size=BATCH_SIZE,
        seed=seed,
        **settings,
    )


def run(work: Path, method: str, movement: str, start: Path, seed: int) -> dict[str, object]:
    """Train by a method, score on the held-out pairs."""
    began = time.process_time()
    network, spec, last = trained(config(work, method, movement, start, seed))
    seconds = time.process_time() - began
    write_weights(weights_file(work, method, movement, seed), network.state_dict(), spec, half=True)
    found = score(work / "held-out", movement, restorer(network))
    terms = {name: last[name] for name in TERMS if name in last}
    row = {"method": method, "movement": movement, "seed": seed, **of(found)}
    return {**row, "seconds": seconds, **terms}


def weights_file(work: Path, method: str, movement: str, seed: int = 0) -> Path:
    """Where a run leaves what it has learnt."""
    return work / f"{method}, {movement}{f', seed {seed}' if seed else ''}.safetensors"


def trained(config: Config) -> tuple[nn.Module, NetworkSpec, dict[str, float]]:
    """The network after its training, facts about it, and the last row of the metrics."""
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:
        kept = RunFolder(Path(folder))
        kept.begin("")
        recipe = build(config)
        steps = sum(stage.steps for stage in recipe.stages)
        trainer = Trainer(
            recipe,
            TrainerConfig(precision="bf16", ema_decay=0.95, log_steps=max(1, steps // 6)),
            kept,
            device=torch.device("cpu"),
        )
        stop_if_told(trainer.run(RunConsole(kept, talks=False)))
        last = json.loads(kept.metrics.read_text().splitlines()[-1])
    return trainer.average.module.eval(), recipe.spec, last


def restorer(network: nn.Module) -> Restore:
    """`network` as something that takes a photo of any size."""
    deblurrer = as_deblurrer(network)
    multiple = crop_multiple(deblurrer)

    @torch.no_grad()
    def restore(image: FloatImage) -> Restored:
        height, width = image.shape[:2]
        down, right = (-side % multiple for side in (height, width))
        wide = cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REFLECT_101)
        batch = torch.from_numpy(np.ascontiguousarray(wide.transpose(2, 0, 1)))[None]
        found = deblurrer.deblur(batch)
        restored = found.restored[0, :, :height, :width].clamp(0, 1).permute(1, 2, 0).numpy()
        if deblurrer.believes_in != "radius" or found.belief is None:
            return Restored(restored)
        return Restored(restored, found.belief[0, 0, :height, :width].numpy())

    return restore


def score(folder: Path, movement: str, restore: Restore) -> Figures:
    """Means over the scenes of a folder."""
    found = []
    for number in range(count_scenes(folder)):
        restored = restore(read_image(folder / "blurry" / f"{number:03d}.png"))
        scene = read_scene(folder, number, movement)
        found.append(figures(restored.image, restored.radius_px, **scene))
    return mean_figures(found)


def of(found: Figures) -> dict[str, float]:
    return asdict(found) | {"common_px": found.common_px}


def read_rows(work: Path, seed: int) -> list[dict[str, Any]]:
    path = work / "runs.jsonl"
    rows = map(json.loads, path.read_text().splitlines() if path.exists() else ())
    return [row for row in rows if row["seed"] == seed]


def add_row(work: Path, row: Mapping[str, object]) -> None:
    with (work / "runs.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def table(work: Path, seed: int) -> str:
    """Markdown, one row per run of a seed; first the untouched input and the bundled weights."""
    lines = [f"| movement | method | {' | '.join(COLUMNS)} |", "|---" * (2 + len(COLUMNS)) + "|"]
    movements, methods = [movement.name for movement in MOVEMENTS], list(METHODS)
    rows = read_rows(work, seed)
    rows.sort(key=lambda row: (movements.index(row["movement"]), methods.index(row["method"])))
    for row in [*references(work), *rows]:
        cells = [f"{row[name]:.{digits}f}" for name, digits in COLUMNS.values()]
        lines.append(f"| {row['movement']} | {row['method']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def references(work: Path) -> list[dict[str, Any]]:
    """What needs no training."""
    bundled = build_network("focusnet-s").eval()
    bundled.load_state_dict(read_weights(BASE)[0])
    known = {"input": untouched, "bundled weights": restorer(bundled)}
    found = {name: score(work / "held-out", "0", restore) for name, restore in known.items()}
    return [{"movement": "", "method": name, **of(row)} for name, row in found.items()]


if __name__ == "__main__":
    main()
