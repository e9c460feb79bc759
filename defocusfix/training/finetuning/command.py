"""Fine-tuning, from two folders of photos to a run folder that `restore` takes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from defocusfix.errors import OutputError, TrainingError, UsageError
from defocusfix.evaluation.report import as_csv, as_table
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks.build import build_network
from defocusfix.networks.deblurrer import as_deblurrer
from defocusfix.pairs.check import check_pairs
from defocusfix.pairs.crops import PairCrops, PairSettings
from defocusfix.pairs.find import Pairing, find_pairs
from defocusfix.pairs.report import DataReport, PairReport
from defocusfix.training.command import train_run
from defocusfix.training.config import RunConfig, read_config, resolve_config
from defocusfix.training.console import RunConsole
from defocusfix.training.device import training_device
from defocusfix.training.distributed import world_size
from defocusfix.training.export import export_onnx, load_network
from defocusfix.training.finetuning.data import DataFacts, divided, fingerprint
from defocusfix.training.finetuning.held_out import HeldOut, held_out_pairs
from defocusfix.training.finetuning.record import Record, plain, read_record, require_same
from defocusfix.training.finetuning.report import Gains, gains_of, model_card, start_card
from defocusfix.training.finetuning.settings import RECIPE, FinetuneSettings, run_config
from defocusfix.training.recipe import Recipe
from defocusfix.training.run_folder import RunFolder
from defocusfix.training.trainer import Outcome
from defocusfix.training.weights import read_weights

SUFFIX = "-finetuned"  # of the name of the weights
CACHE = "cache"  # in the folder of the run, until it is over
CPU_CROP_PX, GPU_CROP_PX = 192, 256
CPU_MEGAPIXELS, GPU_MEGAPIXELS = 3.0, 24.0  # of a look at the held-out photos


@dataclass(frozen=True, slots=True)
class Finetuned:
    """How fine-tuning ended."""

    outcome: Outcome
    gains: Gains | None
    """What it brought; None where a signal stopped it."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A run that is ready to be played."""

    folder: RunFolder
    config: RunConfig
    data: DataFacts
    base: NetworkSpec
    is_resumed: bool


def finetune_run(
    settings: FinetuneSettings,
    output: Path,
    *,
    is_fresh: bool = False,
    talks: bool = True,
    moves: bool = True,
    checking: Callable[[int, PairReport], None] | None = None,
    page: Callable[[DataReport], str] | None = None,
) -> Finetuned:
    """Check the pairs, train on them in the folder `output`, judge, and export.

    Goes on with the run that lies there, if it was begun with the same settings and photos.
    is_fresh: take away what lies there first. talks, moves: as for RunConsole. checking: is told of
    each pair, with the number of all, as it is checked. page: makes a web page of the check.
    Raises TrainingError where the pairs cannot be trained on, UsageError, InputError, ModelError,
    DeviceError or OutputError.
    """
    began = time.monotonic()
    if world_size() > 1:
        raise UsageError(
            "finetune runs in one process",
            fix=f"torchrun ... -m defocusfix train --recipe {RECIPE} --config RUN/config.toml",
        )
    device = training_device(settings.device)
    has_gpu = device.type != "cpu"
    folder = RunFolder(output)
    if settings.base.resolve().parent == output.resolve():
        raise UsageError(
            "a run cannot start from its own weights", fix="choose another folder with -o"
        )
    _, base = read_weights(settings.base)
    pairing = find_pairs(settings.blurry, settings.sharp, settings.matching)
    if is_fresh:
        folder.clear()
    console = RunConsole(folder, talks=talks, moves=moves)
    if folder.checkpoint.exists():
        run = _taken_up(settings, folder, pairing, base)
    else:
        run = _begun(settings, folder, pairing, base, has_gpu, began, checking, page)
    held_out = _held_out(run, pairing, GPU_MEGAPIXELS if has_gpu else CPU_MEGAPIXELS)
    if run.is_resumed:
        console.say("going on with the run in this folder")
    for line in start_card(
        run.config, run.data, base, device=str(device), megapixels=held_out.megapixels
    ):
        console.say(line)
    outcome = _trained(run, held_out, talks=talks, moves=moves)
    if outcome.reason == "signal":
        return Finetuned(outcome, None)
    return Finetuned(outcome, _concluded(run, held_out, outcome, console))


def _begun(
    settings: FinetuneSettings,
    folder: RunFolder,
    pairing: Pairing,
    base: NetworkSpec,
    has_gpu: bool,
    began: float,
    checking: Callable[[int, PairReport], None] | None,
    page: Callable[[DataReport], str] | None,
) -> _Run:
    """Check and divide the pairs and settle everything else."""
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder.path}", why=str(error)) from error
    count = len(pairing.pairs)
    report = check_pairs(
        pairing,
        report=None if checking is None else lambda pair: checking(count, pair),
        with_thumbnails=page is not None,
        cache=folder.path / CACHE,
    )
    content = json.dumps(report.to_json(), indent=2)
    (folder.path / "data-report.json").write_text(content + "\n", "utf-8")
    if page is not None:
        (folder.path / "data-report.html").write_text(page(report), "utf-8")
    data = divided(
        report,
        pairing.pairs,
        settings.held_out,
        crop_px=GPU_CROP_PX if has_gpu else CPU_CROP_PX,
        seed=settings.seed,
    )
    config = run_config(
        settings,
        data,
        base,
        cache=folder.path / CACHE,
        has_gpu=has_gpu,
        seconds_gone=time.monotonic() - began,
    )
    record = Record(plain(settings), base.weights_sha256, data)
    record.write(folder.path / "finetune.json")
    return _Run(folder, config, data, base, is_resumed=False)


def _taken_up(
    settings: FinetuneSettings, folder: RunFolder, pairing: Pairing, base: NetworkSpec
) -> _Run:
    """The run that lies in the folder, if it is the one that was asked for."""
    path = folder.path / "finetune.json"
    if not path.is_file():
        raise OutputError(
            f"{folder.path} holds a run of another kind",
            fix="choose another folder with -o",
        )
    record = read_record(path)
    require_same(record, settings, base.weights_sha256, fingerprint(pairing.pairs))
    config = resolve_config(RECIPE, read_config(folder.config), ())
    return _Run(folder, config, record.data, base, is_resumed=True)


def _held_out(run: _Run, pairing: Pairing, megapixels: float) -> HeldOut:
    names = set(run.data.held_out)
    files = [pair for pair in pairing.pairs if pair.name in names]
    as_taken = PairSettings(
        alignment="none",
        matches_exposure=False,
        augments=False,
        cache=run.config.recipe.data.cache,
    )
    deblurrer = as_deblurrer(build_network(run.config.recipe.network))
    held_out = held_out_pairs(
        PairCrops(files, as_taken, run.config.recipe.seed),
        run.data.scenes,
        multiple=deblurrer.size_multiple * 2 ** (deblurrer.levels - 1),
        megapixels=megapixels,
    )
    earlier = run.folder.validations()
    return replace(held_out, base=earlier[0]["each"] if earlier else [])


def _trained(run: _Run, held_out: HeldOut, *, talks: bool, moves: bool) -> Outcome:
    def changed(recipe: Recipe) -> Recipe:
        facts = run.base if run.base.architecture == recipe.spec.architecture else recipe.spec
        spec = replace(
            facts,
            name=run.base.name.removesuffix(SUFFIX) + SUFFIX,
            training_data=recipe.spec.training_data,
            weights_sha256="",
            revision="",
        )
        return replace(recipe, validate=held_out.look, spec=spec)

    try:
        return train_run(
            run.config,
            run.folder.path,
            is_resumed=run.is_resumed,
            talks=talks,
            moves=moves,
            changed=changed,
        )
    except TrainingError as error:
        raise TrainingError(
            error.what,
            why=error.why,
            fix="a lower --learning-rate with --fresh; what was best up to here is kept in "
            f"{run.folder.best_weights.name}",
        ) from error


def _concluded(run: _Run, held_out: HeldOut, outcome: Outcome, console: RunConsole) -> Gains:
    """Judge, export the weights that were best, and write the card."""
    folder = run.folder
    gains = gains_of(folder.validations(), held_out.untouched(), held_out.judging, run.data.hints())
    network, spec = load_network(folder.best_weights)
    export_onnx(network, spec, folder.path / "model.onnx", overwrite=True)
    (folder.path / "held-out.csv").write_text(as_csv(gains.each()), "utf-8")
    card = model_card(spec.name, run.config, run.data, run.base, gains, outcome.total_steps)
    (folder.path / "MODEL_CARD.md").write_text(card, "utf-8")
    if (cache := run.config.recipe.data.cache) is not None:
        shutil.rmtree(cache, ignore_errors=True)
    for line in as_table(gains.means()).splitlines():
        folder.add_log(line)
    console.say(gains.in_words)
    return gains
