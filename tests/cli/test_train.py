from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest
import torch

from defocusfix.training import recipes
from defocusfix.training.checkpoint import read_checkpoint, write_checkpoint
from defocusfix.training.trainer import Outcome
from defocusfix.training.weights import read_weights
from tests.training.misaligned import write_pairs


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "toy", "tests.training.toy")


def test_a_run_leaves_its_folder_and_says_how_it_went(defocusfix, tmp_path):
    told = defocusfix(
        "train", "--recipe", "toy", "-o", tmp_path / "run",
        "--set", "trainer.log_steps=2", "--set", "recipe.steps=4",
    )  # fmt: skip
    assert told.exit_code == 0, told.stderr
    assert told.stdout == ""
    assert "pixels      2  loss" in told.stderr
    assert "ended (finished) after 4 steps, 16 samples" in told.stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} - {"tensorboard"} == {
        "config.toml", "environment.json", "last.ckpt", "weights.safetensors", "best.safetensors",
        "metrics.jsonl", "metrics.csv", "validation.csv", "samples", "log.txt",
    }  # fmt: skip
    assert json.loads((tmp_path / "run/environment.json").read_text())["torch"] == torch.__version__


def test_a_stopped_run_goes_on_with_its_own_settings(defocusfix, tmp_path):
    changes = ["--set", "recipe.steps=6", "--set", "recipe.seed=4", "--set", "trainer.log_steps=1"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    defocusfix("train", "-r", "toy", "-o", whole, *changes)
    stopped = defocusfix("train", "-r", "toy", "-o", parts, *changes, "--max-hours", "1e-9")
    assert "ended (time) after 0 steps" in stopped.stderr
    told = defocusfix("train", "-r", "toy", "-o", parts, "--resume", "--max-hours", "0")
    assert told.exit_code == 0, told.stderr
    one, other = (read_weights(run / "weights.safetensors")[0] for run in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_when_the_time_is_up_it_says_how_to_go_on(defocusfix, tmp_path):
    run = tmp_path / "run"
    defocusfix("train", "-r", "toy", "-o", run, "--set", "recipe.steps=9")
    kept = read_checkpoint(run / "last.ckpt")
    early = replace(kept, stage=0, step=4, total_steps=4, elapsed_seconds=7200.0)
    write_checkpoint(run / "last.ckpt", early)
    told = defocusfix("train", "-o", run, "--resume", "--max-hours", "1")
    assert told.exit_code == 0
    assert "ended (time) after 4 steps" in told.stderr
    assert "warning: nothing was trained: the run has taken 2 h" in told.stderr
    assert "its limit is 1 h in all" in told.stderr
    again = f"go on with: defocusfix train -o {run} --resume --max-hours "
    hours = told.stderr.partition(again)[2].split()[0]
    assert 3 <= float(hours) <= 3.2
    more = defocusfix("train", "-o", run, "--resume", "--max-hours", hours)
    assert "ended (finished) after 9 steps" in more.stderr
    assert "warning" not in more.stderr
    assert "go on" not in more.stderr


def test_a_run_that_trained_until_its_time_was_up_gets_no_warning(defocusfix, monkeypatch):
    outcome = Outcome("time", 8, new_steps=8, seconds=10.9)
    monkeypatch.setattr("defocusfix.training.command.train_run", lambda *_, **__: outcome)
    told = defocusfix("train", "-r", "toy", "-o", "r", "--max-hours", "0.003")
    assert told.exit_code == 0
    assert "saved; go on with: defocusfix train -o r --resume --max-hours 0.0061" in told.stderr
    assert "warning" not in told.stderr


def test_of_several_processes_one_says_how_to_go_on(defocusfix, monkeypatch):
    outcome = Outcome("time", 8, new_steps=8, seconds=10.9)
    monkeypatch.setattr("defocusfix.training.command.train_run", lambda *_, **__: outcome)
    monkeypatch.setenv("RANK", "1")
    told = defocusfix("train", "-r", "toy", "-o", "r", "--max-hours", "0.003")
    assert (told.exit_code, told.stderr) == (0, "")


def test_a_run_of_any_recipe_goes_on_by_the_same_command(defocusfix, tmp_path):
    run = tmp_path / "run"
    defocusfix("train", "-r", "toy", "-o", run, "--set", "recipe.steps=3", "--max-hours", "1e-9")
    told = defocusfix("train", "-o", run, "--resume", "--max-hours", "0")
    assert told.exit_code == 0, told.stderr
    assert "ended (finished) after 3 steps" in told.stderr


def test_a_run_does_not_go_on_by_another_recipe(defocusfix, tmp_path):
    run = tmp_path / "run"
    defocusfix("train", "-r", "toy", "-o", run, "--set", "recipe.steps=2")
    before = (run / "config.toml").read_bytes()
    told = defocusfix("train", "-r", "supervised", "-o", run, "--resume")
    assert told.exit_code == 2
    assert f"the run in {run} is of the recipe 'toy', not 'supervised'" in told.stderr
    assert (run / "config.toml").read_bytes() == before


def test_a_run_in_the_folder_is_not_overwritten(defocusfix, tmp_path):
    command = ["train", "-r", "toy", "-o", tmp_path / "run", "--set", "recipe.steps=1"]
    defocusfix(*command)
    before = (tmp_path / "run" / "last.ckpt").read_bytes()
    told = defocusfix(*command)
    assert told.exit_code == 9
    assert "--resume" in told.stderr
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == before


def test_divergence_ends_with_exit_code_8(defocusfix, tmp_path):
    told = defocusfix("train", "-r", "toy", "-o", tmp_path / "r", "--set", "recipe.poisoned_step=1")
    assert told.exit_code == 8
    assert "batch 1 in stage 'pixels' is not finite" in told.stderr
    assert "--resume" in told.stderr


def test_quiet_training_says_nothing(defocusfix, tmp_path):
    told = defocusfix("train", "-q", "-r", "toy", "-o", tmp_path / "r", "--set", "recipe.steps=1")
    assert (told.exit_code, told.stdout, told.stderr) == (0, "", "")
    assert "ended" in (tmp_path / "r" / "log.txt").read_text()


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["--set", "recipe.stepps=1"], 2, "did you mean recipe.steps"),
        (["--recipe", "alchemy"], 2, "there is no recipe 'alchemy'"),
        (["--preset", "none-such"], 2, "has no preset"),
        (["--preset", "a", "--config", "b.toml"], 2, "contradict"),
        (["--config", "missing.toml"], 4, "cannot read the configuration"),
        (["--resume"], 4, "cannot read the configuration"),
        (["--set", "trainer.device=cuda:99"], 6, "CUDA GPU 99 is not usable"),
        (["--set", "trainer.device=abacus"], 6, "there is no device 'abacus'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    defocusfix, tmp_path, options, exit_code, message
):
    told = defocusfix("train", "-r", "toy", "-o", tmp_path / "run", *options)
    assert told.exit_code == exit_code
    assert message in told.stderr
    assert not (tmp_path / "run").exists()


def train_as_the_paper(defocusfix, root, network: str) -> tuple:
    """Four steps by the preset; the run, and the folders of its pairs."""
    pairs = write_pairs(root / "pairs", 2, size=(80, 96))
    settings = {
        "recipe.blurry": pairs[0], "recipe.sharp": pairs[1], "recipe.network": network,
        "recipe.data.crop_px": 64, "recipe.warm_up_epochs": 1, "recipe.full_epochs": 1,
        "recipe.samples_per_epoch": 2, "trainer.log_steps": 1, "trainer.device": "cpu",
    }  # fmt: skip
    changes = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    run = root / "run"
    told = defocusfix("train", "-r", "reblur-guided", "--preset", "paper", "-o", run, *changes)
    assert told.exit_code == 0, told.stderr
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    terms = {"to_output", "to_target", "reblur", "map", "flow_px", "trusted_share"}
    assert [row["stage"] for row in rows] == ["warm_up"] * 2 + ["full"] * 2
    assert all(float(rows[-1][term]) > 0 for term in terms)
    assert (run / "last.ckpt").is_file()
    return run, *pairs


@pytest.mark.slow
def test_the_papers_preset_trains_and_its_run_is_exported_and_evaluated(defocusfix, tmp_path):
    run, blurry, sharp = train_as_the_paper(defocusfix, tmp_path, "seeded-unet")
    graph = tmp_path / "run.onnx"
    for words in (
        ("export", run, "-o", graph),
        ("evaluate", "-m", run, "--input", blurry, "--target", sharp),
        ("evaluate", "-m", graph, "--input", blurry, "--target", sharp),
    ):
        told = defocusfix(*words)
        assert told.exit_code == 0, told.stderr


@pytest.mark.slow
def test_the_papers_other_network_trains_and_its_run_is_evaluated(defocusfix, tmp_path):
    run, blurry, sharp = train_as_the_paper(defocusfix, tmp_path, "seeded-restormer")
    told = defocusfix("evaluate", "-m", run, "--input", blurry, "--target", sharp)
    assert told.exit_code == 0, told.stderr
    assert "model seeded-restormer by torch" in told.stderr
