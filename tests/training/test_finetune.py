"""Fine-tuning from folders to a run: what it finds, what it leaves, and how it goes on."""

from __future__ import annotations

import csv
import itertools
import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import tomlkit
import torch

from defocusfix.errors import OutputError, TrainingError, UsageError
from defocusfix.evaluation.pairs import pair_case
from defocusfix.networks.build import BUILDERS
from defocusfix.pairs import measures
from defocusfix.training.finetuning import command
from defocusfix.training.finetuning.command import finetune_run
from defocusfix.training.finetuning.held_out import HeldOut
from defocusfix.training.finetuning.settings import usual_steps
from defocusfix.training.weights import read_weights
from tests.training.small_finetuning import (
    small_focusnet,
    small_settings,
    write_base,
    write_lens,
    write_noise,
    write_unlearnable,
)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setitem(BUILDERS, "focusnet-s", small_focusnet)
    # Takes longer than all else together; `tuned` is exported.
    monkeypatch.setattr(command, "export_onnx", lambda *_, **__: None)


@pytest.fixture(scope="module")
def lens(tmp_path_factory):
    """Pairs of a lens, and weights to start from beside them."""
    root = tmp_path_factory.mktemp("lens")
    write_lens(root)
    write_base(root / "base.safetensors")
    return root


def tune(root, run, **changed):
    base = changed.pop("base", root / "base.safetensors")
    options = {name: changed.pop(name) for name in ("is_fresh", "page") if name in changed}
    return finetune_run(small_settings(root, base, **changed), run, talks=False, **options)


@pytest.fixture(scope="module")
def tuned(lens, tmp_path_factory):
    """A finished run that found a gain."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BUILDERS, "focusnet-s", small_focusnet)
        run = tmp_path_factory.mktemp("tuned") / "run"
        return run, tune(lens, run, page=lambda report: f"<p>{len(report.pairs)} pairs</p>")


def validations(run) -> list[dict]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == "validation"]


def test_pairs_of_one_lens_bring_a_reliable_gain(tuned):
    _, found = tuned
    verdict = found.gains.verdict
    assert verdict.is_reliable
    assert verdict.better == len(verdict.gains_db) == 4
    assert found.gains.in_words.startswith("Better on 4 of 4 held-out scenes")


def test_row_zero_is_the_base_model_and_the_input_stands_beside_it(tuned):
    run, found = tuned
    first = validations(run)[0]
    assert (first["step"], first["score"]) == (0, 0.0)
    with (run / "held-out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["network"] for row in rows] == ["input"] * 4 + ["base"] * 4 + ["tuned"] * 4
    assert all(row[f"psnr_{a}"] for row in rows for a in ("raw", "global", "tiled", "flow"))
    assert [row["network"] for row in found.gains.means()] == ["input", "base", "tuned"]


def test_the_run_holds_what_restoring_and_reading_up_need(tuned):
    run, _ = tuned
    assert {path.name for path in run.iterdir()} - {"tensorboard"} == {
        "config.toml", "environment.json", "finetune.json", "data-report.json", "data-report.html",
        "last.ckpt", "weights.safetensors", "best.safetensors", "model.onnx", "MODEL_CARD.md",
        "metrics.jsonl", "metrics.csv", "validation.csv", "held-out.csv", "samples", "log.txt",
    }  # fmt: skip
    assert (run / "data-report.html").read_text() == "<p>9 pairs</p>"
    _, spec = read_weights(run / "best.safetensors")
    assert (spec.name, spec.licence, spec.halo) == ("small-finetuned", "Apache-2.0", 64)
    assert "fine-tuned on 5 pairs" in spec.training_data


def test_the_card_names_base_licence_data_and_gains(tuned):
    run, found = tuned
    card = (run / "MODEL_CARD.md").read_text()
    assert found.gains.in_words in card
    for words in ("Apache-2.0, inherited", "9 pairs from", "| small, ", "5 pairs were learnt from"):
        assert words in card
    for scene, gain in found.gains.verdict.gains_db.items():
        assert f"| {scene} | {gain:+.2f} |" in card


def test_only_the_trunk_learns_from_few_pairs(tuned, lens):
    run, _ = tuned
    before, _ = read_weights(lens / "base.safetensors")
    after, _ = read_weights(run / "best.safetensors")
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"head", "body", "tail"}


def test_a_finished_run_tells_the_same_again(tuned, lens):
    run, found = tuned
    rows, best = validations(run), (run / "best.safetensors").read_bytes()
    again = tune(lens, run)
    assert again.gains.as_json() == found.gains.as_json()
    assert (validations(run), (run / "best.safetensors").read_bytes()) == (rows, best)


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tuned, lens, tmp_path, monkeypatch):
    whole, _ = tuned
    look, looks = HeldOut.look, itertools.count()

    def stopping(self, network):
        if next(looks) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return look(self, network)

    monkeypatch.setattr(HeldOut, "look", stopping)
    stopped = tune(lens, tmp_path / "run")
    assert (stopped.gains, stopped.outcome.signal_number) == (None, signal.SIGINT)
    assert 0 < stopped.outcome.total_steps < 60
    monkeypatch.setattr(HeldOut, "look", look)
    resumed = tune(lens, tmp_path / "run")
    for name in ("weights.safetensors", "best.safetensors"):
        one, other = (read_weights(run / name)[0] for run in (whole, tmp_path / "run"))
        assert all(torch.equal(one[key], other[key]) for key in one)
    scores = [[row["score"] for row in validations(run)] for run in (whole, tmp_path / "run")]
    assert scores[0] == scores[1]
    assert resumed.gains.verdict == tuned[1].gains.verdict


def test_another_wish_or_another_photo_does_not_go_on_with_the_run(tuned, lens, tmp_path):
    run, _ = tuned
    with pytest.raises(UsageError, match=r"begun otherwise[^$]*learning_rate: 0.004 then, 0.001"):
        tune(lens, run, learning_rate=0.001)
    photo = lens / "blurry" / "00.png"
    before = photo.stat()
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(UsageError, match="photos came, went or changed"):
        tune(lens, run)
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(UsageError, match="its own weights"):
        tune(lens, run, base=run / "best.safetensors")
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(OutputError, match="a run of another kind"):
        tune(lens, tmp_path)


def test_a_fresh_run_takes_away_the_old_one_and_nothing_else(lens, tmp_path):
    run = tmp_path / "run"
    tune(lens, run, steps=1)
    (run / "notes.txt").write_text("mine")
    found = tune(lens, run, steps=2, is_fresh=True)
    assert found.outcome.total_steps == 3  # one of them for the reblurring module alone
    assert (run / "notes.txt").read_text() == "mine"


def test_detail_that_nobody_could_know_is_no_gain(tmp_path):
    write_unlearnable(tmp_path)
    base = write_base(tmp_path / "base.safetensors")
    found = tune(tmp_path, tmp_path / "run", base=base, steps=20)
    assert not found.gains.verdict.is_reliable
    assert found.gains.in_words.startswith("No reliable gain, keep the base model")
    assert "No reliable gain" in (tmp_path / "run" / "MODEL_CARD.md").read_text()


def test_each_pair_is_measured_once_for_check_and_training(lens, tmp_path, monkeypatch):
    measured: list[str] = []

    def counted(name: str):
        measure = getattr(measures, name)
        return lambda *photos: measured.append(name) or measure(*photos)

    for name in ("find_geometry", "measure_blur"):
        monkeypatch.setattr(measures, name, counted(name))
    tune(lens, tmp_path / "run", steps=6)  # 12 crops of 5 pairs
    assert sorted(measured) == ["find_geometry"] * 9 + ["measure_blur"] * 9
    assert not (tmp_path / "run" / "cache").exists()


def test_pairs_that_differ_by_noise_alone_are_refused(tmp_path):
    write_noise(tmp_path)
    base = write_base(tmp_path / "base.safetensors")
    with pytest.raises(TrainingError, match="cannot be trained on") as caught:
        tune(tmp_path, tmp_path / "run", base=base)
    assert caught.value.exit_code == 8
    assert (tmp_path / "run" / "data-report.json").is_file()


def test_a_loss_that_is_not_a_number_leaves_the_best_weights(lens, tmp_path):
    with pytest.raises(TrainingError, match="not finite") as caught:
        tune(lens, tmp_path / "run", learning_rate=1e30)
    assert "--learning-rate" in caught.value.fix
    weights, _ = read_weights(tmp_path / "run" / "best.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_the_time_is_for_everything(lens, tmp_path):
    found = tune(lens, tmp_path / "run", steps=None, max_hours=10 / 3600)
    assert found.outcome.reason in ("finished", "patience")
    assert found.outcome.total_steps < usual_steps(6)
    config = tomlkit.parse((tmp_path / "run" / "config.toml").read_text())
    assert 5 / 3600 <= config["trainer"]["max_hours"] < 10 / 3600


def test_a_softer_result_is_told_whatever_its_psnr(tuned):
    _, found = tuned
    gains = found.gains
    assert gains.less_detail == pytest.approx(
        1 - gains.means()[2]["detail"] / gains.means()[1]["detail"]
    )
    for share, is_told in ((0.8, True), (1.0, False), (1.3, False)):
        tuned_rows = [row | {"detail": share * row["detail"]} for row in gains.rows["base"]]
        told = replace(gains, rows=gains.rows | {"tuned": tuned_rows}).in_words
        assert ("softer: 20% less detail" in told) == is_told


def test_untouched_photos_have_the_same_targets_as_the_network(lens, tmp_path):
    rng = np.random.default_rng(0)
    image = rng.random((64, 64, 3), np.float32)
    held_out = HeldOut([pair_case("a", image, image)], {"a": "a"})
    row = held_out.untouched()[0]
    assert row["psnr_raw"] == 60.0
    assert replace(held_out, base=[row]).look(small_focusnet().eval()).metrics["gain_db"] < 0
