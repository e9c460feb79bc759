"""Fine-tuning, from two folders of photos to a run folder that `restore` takes."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from defocusfix.errors import OutputError, TrainingError, UsageError
from defocusfix.evaluation.report import as_csv, as_table
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks.build import build_network
from defocusfix.networks.deblurrer import as_deblurrer, crop_multiple
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
from defocusfix.training.finetuning.folds import (
    FOLDS_FOLDER,
    Play,
    fold_config,
    judged_in_turn,
    share_of_time,
)
from defocusfix.training.finetuning.held_out import HeldOut, held_out_pairs
from defocusfix.training.finetuning.record import Record, plain, read_record, require_same
from defocusfix.training.finetuning.report import Gains, gains_of, model_card, start_card
from defocusfix.training.finetuning.settings import RECIPE, FinetuneSettings, run_config
from defocusfix.training.recipe import Recipe
from defocusfix.training.run_folder import RunFolder
from defocusfix.training.trainer import Outcome
from defocusfix.training.weights import read_weights, write_weights

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
    is_begun = folder.checkpoint.exists() or (folder.path / FOLDS_FOLDER).exists()
    if is_begun:
        run = _taken_up(settings, folder, pairing, base, has_gpu)
    else:
        run = _begun(settings, folder, pairing, base, has_gpu, began, checking, page)
    held_out = _held_out(run, pairing, GPU_MEGAPIXELS if has_gpu else CPU_MEGAPIXELS)
    if is_begun:
        console.say("going on with the run in this folder")
    for line in start_card(
        run.config, run.data, base, device=str(device), megapixels=held_out.megapixels
    ):
        console.say(line)

    def play(config: RunConfig, place: RunFolder, names: Sequence[str]) -> Outcome:
        looked_at = held_out.of(names) if names else None
        return _trained(run, config, place, looked_at, talks=talks, moves=moves)

    if run.data.folds:
        return _in_turn(run, held_out, settings.base, play, console)
    outcome = play(run.config, folder, run.data.held_out)
    if outcome.reason == "signal":
        return Finetuned(outcome, None)
    gains = gains_of(folder.validations(), held_out.untouched(), held_out.judging, run.data.hints())
    return Finetuned(outcome, _concluded(run, gains, outcome, console))


def _in_turn(
    run: _Run, held_out: HeldOut, base: Path, play: Play, console: RunConsole
) -> Finetuned:
    """Judge every scene in turn, then learn from all, if that is worth it."""
    turns = judged_in_turn(run.config, run.data, run.folder.path, play, console.say)
    if turns.outcome.reason == "signal":
        return Finetuned(turns.outcome, None)
    gains = gains_of(turns.looks, held_out.untouched(), held_out.judging, run.data.hints())
    if gains.verdict.kept_step == 0:
        weights, spec = read_weights(base)
        write_weights(run.folder.best_weights, weights, replace(spec, name=_name(run.base)))
        run.folder.describe(run.config.to_toml())
        outcome = Outcome("finished", 0)
    else:
        console.say("all pairs are learnt from")
        hours = share_of_time(run.config, turns.seconds, 0)
        outcome = play(fold_config(run.config, (), hours), run.folder, ())
        if outcome.reason == "signal":
            return Finetuned(outcome, None)
        shutil.copyfile(run.folder.weights, run.folder.best_weights)
    return Finetuned(outcome, _concluded(run, gains, outcome, console))


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
        settings.folds,
        crop_px=GPU_CROP_PX if has_gpu else CPU_CROP_PX,
        seed=settings.seed,
    )
    record = Record(plain(settings), base.weights_sha256, data, time.monotonic() - began)
    config = _config(settings, folder, record, base, has_gpu)
    record.write(folder.path / "finetune.json")
    return _Run(folder, config, data, base)


def _config(
    settings: FinetuneSettings, folder: RunFolder, record: Record, base: NetworkSpec, has_gpu: bool
) -> RunConfig:
    return run_config(
        settings,
        record.data,
        base,
        cache=folder.path / CACHE,
        has_gpu=has_gpu,
        seconds_gone=record.seconds_gone,
    )


def _taken_up(
    settings: FinetuneSettings,
    folder: RunFolder,
    pairing: Pairing,
    base: NetworkSpec,
    has_gpu: bool,
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
    return _Run(folder, _config(settings, folder, record, base, has_gpu), record.data, base)


def _held_out(run: _Run, pairing: Pairing, megapixels: float) -> HeldOut:
    """All pairs that judge, once or in turn."""
    names = {*run.data.held_out, *itertools.chain(*run.data.folds)}
    files = [pair for pair in pairing.pairs if pair.name in names]
    laid = PairSettings(alignment="local", augments=False, cache=run.config.recipe.data.cache)
    deblurrer = as_deblurrer(build_network(run.config.recipe.network))
    return held_out_pairs(
        PairCrops(files, laid, run.config.recipe.seed),
        run.data.scenes,
        multiple=crop_multiple(deblurrer),
        megapixels=megapixels,
    )


def _trained(
    run: _Run,
    config: RunConfig,
    folder: RunFolder,
    held_out: HeldOut | None,
    *,
    talks: bool,
    moves: bool,
) -> Outcome:
    """Train in a folder, or go on there as it was begun; None looks at nothing on the way."""
    is_resumed = folder.checkpoint.exists()
    if is_resumed:
        config = resolve_config(RECIPE, read_config(folder.config), ())
    if held_out is not None and (earlier := folder.validations()):
        held_out = replace(held_out, base=earlier[0]["each"])

    def changed(recipe: Recipe) -> Recipe:
        facts = run.base if run.base.architecture == recipe.spec.architecture else recipe.spec
        spec = replace(
            facts,
            name=_name(run.base),
            training_data=recipe.spec.training_data,
            weights_sha256="",
            revision="",
        )
        return replace(recipe, validate=None if held_out is None else held_out.look, spec=spec)

    try:
        return train_run(
            config, folder.path, is_resumed=is_resumed, talks=talks, moves=moves, changed=changed
        )
    except TrainingError as error:
        kept = "" if held_out is None else f"; what was best is kept in {folder.best_weights}"
        raise TrainingError(
            error.what, why=error.why, fix=f"a lower --learning-rate with --fresh{kept}"
        ) from error


def _name(base: NetworkSpec) -> str:
    return base.name.removesuffix(SUFFIX) + SUFFIX


def _concluded(run: _Run, gains: Gains, outcome: Outcome, console: RunConsole) -> Gains:
    """Export the weights that were best, and write the card."""
    folder = run.folder
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
