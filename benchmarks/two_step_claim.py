"""Does learning from rendered pairs first and from real ones after help, and by which loss?

    python benchmarks/two_step_claim.py WORK --crops SET --pairs DIR [--pairs DIR ...]
        --aperture DIR --brackets DIR [--vgg FILE] [--imagenet FILE] [--seed N] [--table]

DRBNet's claim (CVPR 2022, arXiv 2204.00367): pairs that match first, real pairs by a loss on
features after. One small network learns by each method, always the recipe `light-field` with some
of its settings changed, for the same number of steps: first on rendered pairs (SET, made by
`defocusfix render`) or on real ones, then, fewer, on either. Of pairs, DIR holds the folders
blurry and sharp; targets are aligned by one map for the whole photo, their exposure matched. What
became of it is scored on photos that none of them has seen: real focus brackets, and pairs of an
aperture series, as `defocusfix evaluate` scores them.

Without the published weights of VGG-19 (--vgg FILE), features of a VGG-19 with random weights stand
in for them: NOT the paper's loss. --imagenet FILE adds features of EfficientNet-Lite0, which has
learnt ImageNet (imagenet_features.py says where from).

A training takes some minutes on one core; each appends one line to WORK/runs.jsonl and leaves its
weights in WORK. Those that are there are not done again, so that Ctrl-C or SIGTERM loses only the
one at hand. `--table` prints the table of what is there, `--sheet FILE` draws the outputs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from imagenet_features import EfficientNetFeatures
from misaligned_pairs import restorer
from safetensors.torch import save_file
from stopping import stop_if_told
from torch import Tensor, nn

from defocusfix.evaluation import brackets, pairs
from defocusfix.evaluation.metrics import psnr
from defocusfix.evaluation.protocols import (
    FloatImage,
    Restore,
    Restored,
    restored_image,
    untouched,
)
from defocusfix.evaluation.sheets import most_telling, spread
from defocusfix.figures.contact_sheet import Panel, contact_sheet, write_sheet
from defocusfix.networks.build import BUILDERS, build_network
from defocusfix.networks.deblurrer import as_deblurrer
from defocusfix.networks.focusnet import ResidualUNet, Shape
from defocusfix.networks.reblur import ReblurConfig
from defocusfix.networks.vgg import Vgg19Features
from defocusfix.pairs.crops import PairSettings
from defocusfix.pairs.find import find_pairs
from defocusfix.training.config import TrainerConfig
from defocusfix.training.console import RunConsole
from defocusfix.training.feature_loss import FeatureLoss, FeatureSettings
from defocusfix.training.guidance import Guidance
from defocusfix.training.pair_data import PairChoice
from defocusfix.training.recipe import Recipe
from defocusfix.training.recipes.light_field import Config, build, plain_moves
from defocusfix.training.rendered_data import RenderedChoice
from defocusfix.training.run_folder import RunFolder
from defocusfix.training.trainer import Trainer
from defocusfix.training.weights import read_weights, write_weights

NETWORK = "small-residual-unet"
FIRST_STEPS, SECOND_STEPS = 2400, 400
BATCH_SIZE = 2
FIRST_RATE, SECOND_RATE = 1e-3, 1e-4
CROP_PX = 96
PIXEL_WEIGHTS = {"feature": 0.1, "imagenet": 7.0}  # a tenth or two of a loss on features
GUIDANCE = Guidance(
    map_weight=0.0,
    reblur=ReblurConfig(width=16),
    reblur_rate=20.0,  # so that the module learns at 2e-3
)
SHEET_BRACKETS, SHEET_PAIRS = 5, 3
KERNEL_SHARE = 0.1  # of the second part, in which the reblurring module learns alone


@dataclass(frozen=True)
class Method:
    """How one network learns."""

    first: str
    """Pairs of the first part: rendered or real."""
    second: str
    """Pairs of the second part."""
    loss: str = "pixel"
    """Of a second part on real pairs: pixel, feature, imagenet or reblur."""


METHODS: Mapping[str, Method] = {
    "rendered only": Method("rendered", "rendered"),
    "rendered, then real by L1": Method("rendered", "real"),
    "rendered, then real by features": Method("rendered", "real", "feature"),
    "rendered, then real by ImageNet's features": Method("rendered", "real", "imagenet"),
    "rendered, then real, reblurring-guided": Method("rendered", "real", "reblur"),
    "real only, L1": Method("real", "real"),
}


class SmallResidualUNet(nn.Module):
    """image (B, 3, H, W) in [0, 1], multiples of 8 -> image + correction; 487,860 parameters."""

    size_multiple = 8
    halo = 64

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(12, 24, 3, padding=1)
        self.body = ResidualUNet(Shape((24, 48, 96), (1, 1), (1, 1), middle=2))
        self.tail = nn.Conv2d(24, 12, 3, padding=1)
        nn.init.zeros_(self.tail.weight)  # it starts from the photo as it is
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        features = self.body(self.head(F.pixel_unshuffle(image - 0.5, 2)))
        return image + F.pixel_shuffle(self.tail(features), 2)


@dataclass(frozen=True)
class Places:
    """What the program was told."""

    work: Path
    crops: Path
    pairs: tuple[Path, ...]
    vgg: Path | None
    imagenet: Path | None
    seed: int
    first_steps: int = FIRST_STEPS
    second_steps: int = SECOND_STEPS


@dataclass(frozen=True)
class Unseen:
    """Photos to score on."""

    brackets: list[brackets.BracketCase]
    aperture: list[pairs.PairCase]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, metavar="WORK", help="folder for results")
    parser.add_argument("--crops", type=Path, required=True, metavar="SET")
    parser.add_argument("--pairs", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--aperture", type=Path, required=True, metavar="DIR")
    parser.add_argument("--brackets", type=Path, required=True, metavar="DIR")
    parser.add_argument("--vgg", type=Path, metavar="FILE", help="weights of VGG-19")
    parser.add_argument("--imagenet", type=Path, metavar="FILE")
    parser.add_argument("--method", action="append", choices=list(METHODS), help="only this one")
    parser.add_argument("--seed", type=int, default=0, help="of first weights and of crops")
    parser.add_argument("--first-steps", type=int, default=FIRST_STEPS, metavar="N")
    parser.add_argument("--second-steps", type=int, default=SECOND_STEPS, metavar="N")
    parser.add_argument("--table", action="store_true", help="print what is there and stop")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="draw what is there and stop")
    told = parser.parse_args()
    torch.set_num_threads(1)
    BUILDERS[NETWORK] = SmallResidualUNet  # for this program alone
    places = Places(
        told.work,
        told.crops,
        tuple(told.pairs),
        told.vgg,
        told.imagenet,
        told.seed,
        told.first_steps,
        told.second_steps,
    )
    places.work.mkdir(parents=True, exist_ok=True)
    if told.sheet is not None:
        draw(told.sheet, places, unseen(told.brackets, told.aperture))
        return
    if not told.table:
        wanted = [
            name
            for name in told.method or METHODS
            if METHODS[name].loss != "imagenet" or places.imagenet is not None
        ]
        play(places, wanted, unseen(told.brackets, told.aperture))
    print(table(read_rows(places.work)))


def unseen(bracket_folder: Path, aperture: Path) -> Unseen:
    files = find_pairs(aperture / "blurry", aperture / "sharp").pairs
    return Unseen(brackets.load_brackets(bracket_folder), [pairs.read_pair(f) for f in files])


def play(places: Places, methods: Sequence[str], photos: Unseen) -> None:
    """Train and score what is not there yet; the untouched photo first."""
    done = {(row["method"], row["seed"]) for row in read_rows(places.work)}
    if ("untouched", 0) not in done:
        add_row(places.work, {"method": "untouched", "seed": 0, **scores(untouched, photos)})
    for name in methods:
        if (name, places.seed) in done:
            continue
        began = time.process_time()
        network = after_both(places, name)
        seconds = time.process_time() - began
        row = {"method": name, "seed": places.seed, "seconds": seconds}
        add_row(places.work, row | scores(restoring(network), photos))


def after_both(places: Places, name: str) -> nn.Module:
    """The network after its first part, which methods share, and its second."""
    method = METHODS[name]
    first = weights_file(places, f"first {method.first}")
    if not first.exists():
        train(places, settings(places, method.first, places.first_steps, FIRST_RATE), first)
    after = weights_file(places, name)
    begun = settings(places, method.second, places.second_steps, SECOND_RATE, method.loss)
    train(places, replace(begun, start_from=first), after, method.loss)
    return loaded(after)


def settings(places: Places, kind: str, steps: int, rate: float, loss: str = "pixel") -> Config:
    """One part of a method as settings of the recipe: all steps on one kind of pairs."""
    if kind == "rendered":
        return Config(
            rendered=RenderedChoice(crops=(places.crops,)),
            network=NETWORK,
            crop_px=CROP_PX,
            light_field_steps=steps,
            light_field_batch_size=BATCH_SIZE,
            light_field_rate=rate,
            real_steps=0,
            seed=places.seed,
        )
    alone = round(KERNEL_SHARE * steps) if loss == "reblur" else 0
    return Config(
        real=PairChoice(
            data_set=joined(places),
            layout="pairs",
            data=PairSettings(
                crop_px=CROP_PX, scale="auto", alignment="affine", cache=places.work / "cache"
            ),
        ),
        network=NETWORK,
        light_field_steps=0,
        kernel_steps=alone,
        real_steps=steps - alone,
        real_batch_size=BATCH_SIZE,
        real_rate=rate,
        real_loss={"imagenet": "pixel"}.get(loss, loss),  # type: ignore[arg-type]
        pixel_weight=PIXEL_WEIGHTS["feature"],
        feature=FeatureSettings(weights=vgg_weights(places)),
        guidance=GUIDANCE,
        seed=places.seed,
    )


def joined(places: Places) -> Path:
    """One folder of pairs with links to all of them."""
    made = places.work / "real"
    for folder in places.pairs:
        for part in ("blurry", "sharp"):
            (made / part).mkdir(parents=True, exist_ok=True)
            for path in sorted((folder / part).iterdir()):
                link = made / part / f"{folder.name}_{path.name}"
                if not link.exists():
                    link.symlink_to(path.resolve())
    return made


def vgg_weights(places: Places) -> Path:
    """The weights that were named, or a file of random ones."""
    if places.vgg is not None:
        return places.vgg
    random = places.work / "vgg19-random.safetensors"
    if not random.exists():
        torch.manual_seed(0)
        save_file(Vgg19Features(("relu1_2",)).state_dict(), random)
    return random


def train(places: Places, config: Config, file: Path, loss: str = "pixel") -> None:
    """Play the recipe, leave the network's average in `file`."""
    torch.manual_seed(places.seed)
    with TemporaryDirectory() as folder:
        kept = RunFolder(Path(folder))
        kept.begin("")
        recipe = build(config)
        if loss == "imagenet" and places.imagenet is not None:
            recipe = by_imagenet(recipe, places.imagenet)
        trainer = Trainer(
            recipe,
            TrainerConfig(precision="bf16", ema_decay=0.99, log_steps=200),
            kept,
            device=torch.device("cpu"),
        )
        stop_if_told(trainer.run(RunConsole(kept, talks=True)))
    write_weights(file, trainer.average.module.state_dict(), recipe.spec)


def by_imagenet(recipe: Recipe, weights: Path) -> Recipe:
    """The recipe with features of EfficientNet-Lite0 in its last stage."""
    network = EfficientNetFeatures(weights)
    loss = FeatureLoss(network, dict.fromkeys(network.layers, 1.0))
    moves = plain_moves(as_deblurrer(recipe.modules["deblurrer"]), loss, PIXEL_WEIGHTS["imagenet"])
    *earlier, last = recipe.stages
    last = replace(last, forward=moves.forward, turns=moves.turns)
    return replace(recipe, stages=(*earlier, last))


def restoring(network: nn.Module) -> Restore:
    """As it was trained, in bf16."""
    restore = restorer(network)

    def in_bf16(image: FloatImage) -> Restored:
        with torch.autocast("cpu", torch.bfloat16):
            return restore(image)

    return in_bf16


def loaded(file: Path) -> nn.Module:
    network = build_network(NETWORK).eval()
    network.load_state_dict(read_weights(file)[0])
    return network


def weights_file(places: Places, name: str) -> Path:
    return places.work / f"{name}, seed {places.seed}.safetensors"


def scores(restore: Restore, photos: Unseen) -> dict[str, Any]:
    """Means, and the gain of every case."""
    found = brackets.score_brackets(restore, photos.brackets)
    mean = brackets.summarise(found)
    row: dict[str, Any] = {
        "brackets": mean.gain_db,
        "brackets improved": mean.improved,
        "brackets kept": mean.kept_db,
        "each bracket": {score.case: score.gain_db for score in found},
    }
    gains: dict[str, list[float]] = {}
    for case in photos.aperture:
        output, _ = restored_image(restore, case.image)
        for alignment, target in case.targets.items():
            after, before = (psnr(view, target.image, target.mask) for view in (output, case.image))
            gains.setdefault(f"aperture {alignment}", []).append(after - before)
    return row | {name: float(np.mean(values)) for name, values in gains.items()}


COLUMNS = {
    "brackets": "brackets, dB",
    "brackets improved": "improved",
    "brackets kept": "kept, dB",
    "aperture raw": "aperture, raw, dB",
    "aperture global": "global",
    "aperture tiled": "tiled",
    "aperture flow": "flow",
}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown; means over seeds, and in brackets from lowest to highest."""
    headings = ["method", "seeds", *COLUMNS.values()]
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for name in ("untouched", *METHODS):
        chosen = [row for row in rows if row["method"] == name]
        if not chosen:
            continue
        cells = []
        for key in COLUMNS:
            values = [row[key] for row in chosen]
            cell = f"{np.mean(values):+.2f}"
            if len(values) > 1:
                cell += f" ({min(values):+.2f} to {max(values):+.2f})"
            cells.append(cell)
        lines.append(f"| {name} | {len(chosen)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(file: Path, places: Places, photos: Unseen) -> None:
    """Crops of brackets and of the aperture series: input, the outputs, reference."""
    methods = {
        name: restoring(loaded(weights_file(places, name)))
        for name in METHODS
        if weights_file(places, name).exists()
    }
    first = next(iter(methods.values()))
    gains = [score.gain_db for score in brackets.score_brackets(first, photos.brackets)]
    shown = [
        (case.name, case.image, case.aligned.image, case.aligned.mask)
        for case in (photos.brackets[index] for index in spread(gains, SHEET_BRACKETS))
    ]
    for pair in photos.aperture[:: max(1, len(photos.aperture) // SHEET_PAIRS)]:
        target = list(pair.targets.values())[-1]
        shown.append((pair.name, pair.image, target.image, target.mask))
    rows = []
    for name, image, reference, mask in shown:
        crop = most_telling(image, reference, mask)
        row = [Panel(f"{name} input", crop.of(image))]
        for method, restore in methods.items():
            row.append(Panel(method, crop.of(restored_image(restore, image)[0])))
        rows.append([*row, Panel("reference", crop.of(reference))])
    write_sheet(file, contact_sheet(rows, enlarge=1))


def read_rows(work: Path) -> list[dict[str, Any]]:
    path = work / "runs.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def add_row(work: Path, row: Mapping[str, object]) -> None:
    with (work / "runs.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
