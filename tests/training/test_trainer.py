from __future__ import annotations

import csv
import itertools
import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch

from defocusfix.errors import ModelError, OutputError, TrainingError
from defocusfix.training.checkpoint import read_checkpoint, write_checkpoint
from defocusfix.training.config import TrainerConfig
from defocusfix.training.console import RunConsole, duration
from defocusfix.training.recipe import Recipe, Validation
from defocusfix.training.run_folder import RunFolder
from defocusfix.training.trainer import Outcome, Trainer
from defocusfix.training.weights import read_weights
from tests.training import toy


def start(
    path: Path, config: toy.Config, *, resume: bool = False, clock=None, seed=0, **settings
) -> tuple[Trainer, Outcome]:
    """Train the toy in a folder; a fresh start is seeded, as the command does it."""
    torch.manual_seed(seed)
    trainer = make(path, toy.build(config), resume=resume, clock=clock, **settings)
    return trainer, trainer.run(RunConsole(trainer.folder, talks=False))


def make(path: Path, recipe: Recipe, *, resume: bool = False, clock=None, **settings) -> Trainer:
    folder = RunFolder(path)
    if not resume:
        folder.begin("")
    timed = {} if clock is None else {"clock": clock}
    config = TrainerConfig(**{"log_steps": 1, **settings})
    trainer = Trainer(recipe, config, folder, device=torch.device("cpu"), **timed)
    if resume:
        trainer.resume()
    return trainer


def rows(path: Path, kind: str = "train") -> list[dict]:
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def state(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Weights of all modules and of the average."""
    modules = {**trainer.recipe.modules, "average": trainer.average.module}
    return {
        f"{name}.{key}": tensor.clone()
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }


def assert_identical(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=0, msg=name)


def test_training_lowers_the_loss(tmp_path):
    _, outcome = start(tmp_path / "run", toy.Config(steps=60))
    losses = [row["loss"] for row in rows(tmp_path / "run")]
    assert outcome == Outcome("finished", 60)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_resumed_run_equals_an_unbroken_one_to_the_last_bit(tmp_path, optimiser, precision):
    config = toy.Config(steps=5, optimiser=optimiser, dropout=0.3, critic=True)
    unbroken, _ = start(tmp_path / "unbroken", config, precision=precision)
    # A clock that ticks at every look stops the first command somewhere in the second stage.
    start(
        tmp_path / "broken",
        config,
        precision=precision,
        clock=itertools.count().__next__,
        max_hours=17 / 3600,
    )
    stopped_at = read_checkpoint(tmp_path / "broken" / "last.ckpt").total_steps
    assert 5 < stopped_at < 10
    resumed, outcome = start(tmp_path / "broken", config, precision=precision, resume=True, seed=77)
    assert outcome == Outcome("finished", 10)
    assert_identical(state(unbroken), state(resumed))
    terms = [[r["loss"] for r in rows(tmp_path / name)] for name in ("unbroken", "broken")]
    assert terms[0] == terms[1]


def test_rows_after_the_checkpoint_are_dropped_when_resuming(tmp_path):
    config = toy.Config(steps=4)
    start(tmp_path / "run", config)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "train", "step": 99, "loss": 1.0}) + "\n")
        file.write('{"kind": "train", "ste')  # cut off by a crash
    start(tmp_path / "run", config, resume=True)
    assert [row["step"] for row in rows(tmp_path / "run")] == [1, 2, 3, 4]
    with (tmp_path / "run" / "metrics.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]


def test_a_schedule_by_time_ends_with_its_cosine_complete(tmp_path):
    clock = itertools.count(step=1.0)
    start(
        tmp_path / "run",
        toy.Config(steps=1000),
        clock=clock.__next__,
        schedule_by="time",
        max_hours=200 / 3600,
    )
    found = rows(tmp_path / "run")
    rates = [row["learning_rate"] for row in found]
    assert len(found) < 200
    assert max(rates) == pytest.approx(1e-2, rel=0.02)
    assert rates[-1] < 0.02 * max(rates)


def test_a_schedule_by_time_goes_on_where_it_stood_when_resumed(tmp_path):
    settings = {"schedule_by": "time", "max_hours": 400 / 3600}

    def interrupting():
        for tick in itertools.count():
            if tick == 200:
                os.kill(os.getpid(), signal.SIGTERM)
            yield float(tick)

    _, outcome = start(tmp_path / "run", toy.Config(), clock=interrupting().__next__, **settings)
    assert outcome.reason == "signal"
    before = rows(tmp_path / "run")
    clock = itertools.count(5000).__next__
    start(tmp_path / "run", toy.Config(), clock=clock, resume=True, **settings)
    after = rows(tmp_path / "run")[len(before) :]
    assert after[0]["seconds"] - before[-1]["seconds"] < 20
    assert after[0]["learning_rate"] < before[-1]["learning_rate"]
    assert after[-1]["learning_rate"] < 0.02 * 1e-2


def test_a_schedule_by_either_ends_with_what_is_over_sooner(tmp_path):
    def rates(steps: int, name: str) -> list[float]:
        clock = itertools.count(step=1.0).__next__
        settings = {"schedule_by": "either", "max_hours": 200 / 3600}
        start(tmp_path / name, toy.Config(steps=steps), clock=clock, **settings)
        return [row["learning_rate"] for row in rows(tmp_path / name)]

    start(tmp_path / "steps", toy.Config(steps=20))
    assert rates(20, "quick") == [row["learning_rate"] for row in rows(tmp_path / "steps")]
    slow = rates(1000, "slow")
    assert len(slow) < 200
    assert slow[-1] < 0.02 * max(slow)


@pytest.mark.parametrize("schedule_by", ["steps", "either"])
def test_the_time_left_is_no_more_than_the_limit_leaves(tmp_path, schedule_by):
    clock = itertools.count(step=1.0).__next__
    settings = {"schedule_by": schedule_by, "max_hours": 60 / 3600}
    start(tmp_path / "run", toy.Config(steps=10_000), clock=clock, **settings)
    left = re.findall(r"(\S+) left", (tmp_path / "run" / "log.txt").read_text())
    gone = [row["seconds"] for row in rows(tmp_path / "run")[1:]]  # the first tells no speed
    assert len(left) > 5
    assert left == [duration(60 - seconds) for seconds in gone]


def test_the_time_left_is_that_of_the_steps_where_they_are_over_sooner(tmp_path):
    def left(max_hours: float, name: str) -> list[str]:
        clock = itertools.count(step=1.0).__next__
        start(tmp_path / name, toy.Config(steps=5), clock=clock, max_hours=max_hours)
        return re.findall(r"(\S+) left", (tmp_path / name / "log.txt").read_text())

    assert len(left(0, "free")) == 4
    assert left(10, "limited") == left(0, "free again")


def test_a_run_tells_what_it_made_and_took_itself_and_in_all(tmp_path):
    clock = itertools.count(step=1.0)
    config, limit = toy.Config(steps=1000), {"max_hours": 30 / 3600}
    _, first = start(tmp_path / "run", config, clock=clock.__next__, **limit)
    assert first.new_steps == first.total_steps > 0
    _, again = start(tmp_path / "run", config, clock=clock.__next__, resume=True, **limit)
    assert (again.reason, again.new_steps) == ("time", 0)
    assert again.seconds >= first.seconds >= 30


def test_stages_share_the_time_by_their_steps(tmp_path):
    start(
        tmp_path / "run",
        toy.Config(steps=10, critic=True),
        clock=itertools.count().__next__,
        schedule_by="time",
        max_hours=200 / 3600,
    )
    last_of_first = [r for r in rows(tmp_path / "run") if r["stage"] == "pixels"][-1]
    assert last_of_first["seconds"] == pytest.approx(100, abs=8)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_the_run(tmp_path, number):
    ticks = itertools.count()

    def clock() -> float:
        if next(ticks) == 12:
            os.kill(os.getpid(), number)
        return 0.0

    handler = signal.getsignal(number)
    _, outcome = start(tmp_path / "run", toy.Config(steps=1000), clock=clock)
    saved = read_checkpoint(tmp_path / "run" / "last.ckpt")
    assert outcome.reason == "signal"
    assert outcome.signal_number == number
    assert 0 < saved.total_steps == outcome.total_steps < 1000
    assert signal.getsignal(number) is handler


def test_a_loss_that_is_not_a_number_stops_the_run_at_the_last_good_state(tmp_path):
    torch.manual_seed(0)
    recipe = toy.build(toy.Config(steps=9, poisoned_step=3))
    trainer = make(tmp_path / "run", recipe)
    at_the_start = state(trainer)
    with pytest.raises(TrainingError, match="batch 3 in stage 'pixels'") as caught:
        trainer.run(RunConsole(trainer.folder, talks=False))
    assert caught.value.exit_code == 8
    assert "pixel = nan" in str(caught.value)
    assert_identical(state(trainer), at_the_start)
    weights, _ = read_weights(tmp_path / "run" / "weights.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_every_term_is_logged_raw_and_weighted(tmp_path):
    start(tmp_path / "run", toy.Config(steps=2))
    with (tmp_path / "run" / "metrics.csv").open() as file:
        row = next(csv.DictReader(file))
    assert float(row["pixel.weighted"]) == pytest.approx(2 * float(row["pixel"]))
    assert float(row["loss"]) == float(row["pixel.weighted"])
    assert int(row["samples"]) == 4
    assert {"learning_rate", "samples_per_second", "seconds", "stage"} <= row.keys()


def test_a_later_stage_brings_its_own_columns(tmp_path):
    start(tmp_path / "run", toy.Config(steps=2, critic=True))
    with (tmp_path / "run" / "metrics.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [bool(row["wasserstein"]) for row in found] == [False, False, True, True]
    assert all(row["pixel"] for row in found)


def test_validation_leaves_metrics_and_pictures(tmp_path):
    start(tmp_path / "run", toy.Config(steps=6), validate_steps=3)
    found = rows(tmp_path / "run", "validation")
    assert [row["step"] for row in found] == [3, 6]
    assert all(row["error"] > 0 for row in found)
    picture = cv2.imread(str(tmp_path / "run" / "samples" / "step-000003-toy.png"))
    assert picture.shape == (toy.SIDE, toy.SIDE, 3)


def test_the_weights_that_validation_scored_highest_are_kept_over_a_resume(tmp_path):
    scores = {2: 0.5, 4: 0.9, 6: 0.7, 8: 0.8}
    seen: dict[int, dict[str, torch.Tensor]] = {}

    def play(*, resume: bool) -> None:
        def validate(network: torch.nn.Module) -> Validation:
            step = trainer.average.updates
            seen[step] = {name: value.clone() for name, value in network.state_dict().items()}
            if step == 6:
                os.kill(os.getpid(), signal.SIGTERM)
            return Validation({}, score=scores[step])

        torch.manual_seed(0)
        recipe = replace(toy.build(toy.Config(steps=8)), validate=validate)
        trainer = make(tmp_path / "run", recipe, resume=resume, validate_steps=2)
        trainer.run(RunConsole(trainer.folder, talks=False))

    play(resume=False)
    play(resume=True)
    best, _ = read_weights(tmp_path / "run" / "best.safetensors")
    assert [row["score"] for row in rows(tmp_path / "run", "validation")] == list(scores.values())
    assert_identical(best, seen[4])


def test_validation_does_not_change_what_is_trained(tmp_path):
    often, _ = start(tmp_path / "often", toy.Config(steps=6, dropout=0.5), validate_steps=1)
    once, _ = start(tmp_path / "once", toy.Config(steps=6, dropout=0.5))
    assert_identical(state(often), state(once))


def test_the_run_folder_holds_the_averaged_weights_with_their_facts(tmp_path):
    trainer, _ = start(tmp_path / "run", toy.Config(steps=6))
    weights, spec = read_weights(tmp_path / "run" / "weights.safetensors")
    average = trainer.average.module.state_dict()
    assert spec.architecture == "toy"
    assert len(spec.weights_sha256) == 64
    assert all(torch.equal(weights[name], average[name]) for name in average)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    start(tmp_path / "run", toy.Config(steps=2, critic=True))
    with pytest.raises(ModelError, match="does not fit"):
        start(tmp_path / "run", toy.Config(steps=2, optimiser="muon"), resume=True)


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(tmp_path, monkeypatch):
    trainer, _ = start(tmp_path / "run", toy.Config(steps=2))
    before = read_checkpoint(trainer.folder.checkpoint)

    def full_disk(content, file):
        file.write(b"half a file")
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OutputError, match="cannot write the checkpoint"):
        write_checkpoint(trainer.folder.checkpoint, before)
    monkeypatch.undo()
    assert read_checkpoint(trainer.folder.checkpoint).total_steps == before.total_steps
    assert not list((tmp_path / "run").glob("*.part"))


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match="not a readable checkpoint"):
        read_checkpoint(tmp_path / "last.ckpt")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler uses its own old parts
def test_compiled_training_gives_what_plain_training_gives(tmp_path):
    config = toy.Config(steps=3)
    plain, _ = start(tmp_path / "plain", config, precision="fp32")
    compiled, _ = start(tmp_path / "compiled", config, precision="fp32", compile=True)
    one, other = state(plain), state(compiled)
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-4, atol=1e-5, msg=name)


def looked_at(path: Path, scores: list[float], **settings) -> tuple[Trainer, Outcome]:
    """A run of ten steps whose validations, one a step, come out as `scores`."""
    coming = iter(scores)
    torch.manual_seed(0)
    recipe = replace(
        toy.build(toy.Config(steps=10)),
        validate=lambda _: Validation({}, score=next(coming), each=({"photo": "a", "dB": 1.0},)),
    )
    trainer = make(path, recipe, validate_steps=1, **settings)
    return trainer, trainer.run(RunConsole(trainer.folder, talks=False))


def test_a_run_may_begin_with_a_look_at_what_it_starts_from(tmp_path):
    scores = [0.9] + 10 * [0.5]
    trainer, _ = looked_at(tmp_path / "run", scores, validates_first=True)
    assert [row["step"] for row in trainer.folder.validations()] == list(range(11))
    best, _ = read_weights(tmp_path / "run" / "best.safetensors")
    torch.manual_seed(0)
    assert_identical(best, dict(toy.build(toy.Config(steps=10)).modules["network"].state_dict()))


def test_patience_ends_a_run_that_falls_behind_its_best(tmp_path):
    _, outcome = looked_at(tmp_path / "run", [1, 3, 2, 1, 0, 9], patience=3)
    assert outcome == Outcome("patience", 5)
    _, again = start(tmp_path / "run", toy.Config(steps=10), resume=True, patience=3)
    assert again == Outcome("patience", 5)


def test_patience_bears_with_a_network_that_recovers(tmp_path):
    scores = [3, 0, 0.5, 1, 1.5, 2, 2.5, 2.6, 2.7, 4]
    _, outcome = looked_at(tmp_path / "run", scores, patience=2)
    assert outcome == Outcome("finished", 10)


def test_figures_of_each_photo_stand_with_the_validation(tmp_path):
    trainer, _ = looked_at(tmp_path / "run", 10 * [0.0])
    assert trainer.folder.validations()[3]["each"] == [{"photo": "a", "dB": 1.0}]
    with (tmp_path / "run" / "validation.csv").open() as file:
        assert "each" not in next(csv.reader(file))


def test_a_stage_that_leaves_the_network_alone_is_not_looked_at(tmp_path):
    torch.manual_seed(0)
    recipe = toy.build(toy.Config(steps=3, critic=True))
    adversarial = recipe.stages[1]
    alone = replace(adversarial, turns=adversarial.turns[:1])
    assert alone.turns[0].trains == ("critic",)
    recipe = replace(recipe, stages=(recipe.stages[0], alone))
    trainer = make(tmp_path / "run", recipe, validate_steps=1)
    trainer.run(RunConsole(trainer.folder, talks=False))
    assert [row["step"] for row in trainer.folder.validations()] == [1, 2, 3, 6]


def test_validations_by_time_leave_most_of_it_to_training(tmp_path):
    ticks = itertools.count(step=1.0)

    def validate(_: torch.nn.Module) -> Validation:
        for _ in range(20):
            next(ticks)
        return Validation({}, score=0.0)

    torch.manual_seed(0)
    recipe = replace(toy.build(toy.Config(steps=100)), validate=validate)
    trainer = make(
        tmp_path / "run", recipe, clock=ticks.__next__, validate_minutes=1 / 60, log_steps=100
    )
    trainer.run(RunConsole(trainer.folder, talks=False))
    steps = [row["step"] for row in trainer.folder.validations()]
    assert all(after - before > 30 for before, after in itertools.pairwise(steps[:-1]))
