"""Few scenes, each held out in turn: who judges, what is kept, and how such a run goes on."""

from __future__ import annotations

import itertools
import json
import os
import signal

import pytest
import torch

from defocusfix.errors import TrainingError
from defocusfix.networks.build import BUILDERS
from defocusfix.training.config import read_config, resolve_config
from defocusfix.training.finetuning import command
from defocusfix.training.finetuning.command import Finetuned, finetune_run
from defocusfix.training.finetuning.held_out import HeldOut
from defocusfix.training.weights import read_weights
from tests.training.small_finetuning import (
    small_focusnet,
    small_settings,
    write_base,
    write_lens,
    write_unlearnable,
)

NAMES = [f"{number:02d}" for number in range(5)]
STEPS = 60
QUICK = (  # turns and what becomes of them are in question here, not the losses
    *("recipe.data.crop_px=64", "recipe.batch_size=2", "recipe.reblur_weight=0"),
    *("recipe.reblur_epochs=0", "recipe.full_epochs=1", 'recipe.deformation.flow="none"'),
)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setitem(BUILDERS, "focusnet-s", small_focusnet)
    monkeypatch.setattr(command, "export_onnx", lambda *_, **__: None)


@pytest.fixture(scope="module")
def lens(tmp_path_factory):
    root = tmp_path_factory.mktemp("lens")
    write_lens(root, len(NAMES))
    write_base(root / "base.safetensors")
    return root


def tune(root, run, **changed) -> Finetuned:
    wishes = {"folds": 2, "steps": STEPS, "changes": QUICK} | changed
    settings = small_settings(root, root / "base.safetensors", **wishes)
    return finetune_run(settings, run, talks=False)


@pytest.fixture(scope="module")
def tuned(lens, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BUILDERS, "focusnet-s", small_focusnet)
        patch.setattr(command, "export_onnx", lambda *_, **__: None)
        run = tmp_path_factory.mktemp("tuned") / "run"
        return run, tune(lens, run)


def weights(run) -> dict[str, torch.Tensor]:
    return read_weights(run / "best.safetensors")[0]


def test_every_scene_judges_a_network_that_never_saw_it(tuned):
    run, found = tuned
    verdict = found.gains.verdict
    assert verdict.is_reliable
    assert sorted(verdict.gains_db) == NAMES
    held_out = []
    for number in (1, 2):
        config = resolve_config(
            "reblur-guided", read_config(run / "folds" / str(number) / "config.toml"), ()
        )
        held_out += config.recipe.held_out
    assert sorted(held_out) == NAMES


def test_what_is_kept_has_learnt_from_all_of_them(tuned):
    run, found = tuned
    config = resolve_config("reblur-guided", read_config(run / "config.toml"), ())
    assert config.recipe.held_out == config.recipe.left_out == ()
    assert found.outcome.total_steps == STEPS
    last = read_weights(run / "weights.safetensors")[0]
    assert all(torch.equal(tensor, last[name]) for name, tensor in weights(run).items())
    card = (run / "MODEL_CARD.md").read_text()
    assert "5 pairs were learnt from" in card
    assert "2 further networks were trained" in card
    assert f"the last of {STEPS} steps on all pairs" in card
    assert not list((run / "folds").rglob("*.ckpt")) + list((run / "folds").rglob("*.safetensors"))


def test_a_finished_run_tells_the_same_again(tuned, lens):
    run, found = tuned
    before = weights(run)
    assert tune(lens, run).gains.as_json() == found.gains.as_json()
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(run).items())


def test_a_run_stopped_in_its_second_turn_goes_on_as_if_it_had_not_been(
    tuned, lens, tmp_path, monkeypatch
):
    look, looks = HeldOut.look, itertools.count()

    def stopping(self, network):
        if next(looks) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return look(self, network)

    monkeypatch.setattr(HeldOut, "look", stopping)
    stopped = tune(lens, tmp_path / "run")
    assert (stopped.gains, stopped.outcome.signal_number) == (None, signal.SIGINT)
    assert (tmp_path / "run" / "folds" / "2" / "last.ckpt").is_file()
    monkeypatch.setattr(HeldOut, "look", look)
    resumed = tune(lens, tmp_path / "run")
    whole, found = tuned
    assert resumed.gains.verdict == found.gains.verdict
    one, other = weights(whole), weights(tmp_path / "run")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_where_no_scene_gains_the_base_model_is_kept_and_nothing_more_is_trained(tmp_path):
    write_unlearnable(tmp_path, 5)
    base = write_base(tmp_path / "base.safetensors")
    found = tune(tmp_path, tmp_path / "run", steps=14, learning_rate=0.05)
    assert found.gains.verdict.kept_step == 0
    assert found.gains.in_words.startswith("No reliable gain, keep the base model")
    assert (found.outcome.total_steps, (tmp_path / "run" / "last.ckpt").exists()) == (0, False)
    before = read_weights(base)[0]
    assert all(torch.equal(t, before[name]) for name, t in weights(tmp_path / "run").items())
    assert "| kept | the base model |" in (tmp_path / "run" / "MODEL_CARD.md").read_text()


def test_a_loss_that_is_not_a_number_ends_the_turn_and_says_what_to_do(lens, tmp_path):
    with pytest.raises(TrainingError, match="not finite") as caught:
        tune(lens, tmp_path / "run", learning_rate=1e30)
    assert "--learning-rate" in caught.value.fix
    assert (tmp_path / "run" / "folds" / "1" / "last.ckpt").is_file()


def test_the_time_is_for_all_turns_together(lens, tmp_path):
    found = tune(lens, tmp_path / "run", steps=1000, max_hours=6 / 3600)
    assert found.outcome.total_steps < 1000
    hours = [
        resolve_config("reblur-guided", read_config(path), ()).trainer.max_hours
        for path in (tmp_path / "run" / "folds").rglob("config.toml")
    ]
    assert len(hours) == 2
    assert all(0 < each <= 2.5 / 3600 for each in hours)


def test_beginning_anew_takes_the_turns_away_too(lens, tmp_path):
    run = tmp_path / "run"
    tune(lens, run, steps=1)
    settings = small_settings(lens, lens / "base.safetensors", folds=3, steps=1)
    finetune_run(settings, run, talks=False, is_fresh=True)
    assert sorted(path.name for path in (run / "folds").iterdir()) == ["1", "2", "3"]
    record = json.loads((run / "finetune.json").read_text())
    assert sorted(itertools.chain(*record["data"]["folds"])) == NAMES
