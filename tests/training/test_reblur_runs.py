"""Whole runs of the reblurring-guided recipe: from end to end, and cut off and gone on with."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from functools import partial

import pytest
import torch

from defocusfix.training.checkpoint import read_checkpoint
from defocusfix.training.recipe import Progress
from defocusfix.training.recipes.reblur_guided import build
from defocusfix.training.recipes.reblur_guided_config import Config
from defocusfix.training.trainer import Outcome, Trainer
from tests.training.reblur_steps import stage_of
from tests.training.runs import losses, play, state
from tests.training.runs import trainer as run_of


def trainer(path, config: Config, **settings) -> Trainer:
    return run_of(path, partial(build, config), **settings)


@pytest.mark.parametrize(
    ("kernels_from", "ticks", "stage"), [("output", 10, 1), ("target", 10, 1), ("target", 16, 2)]
)
def test_a_resumed_run_equals_an_unbroken_one_to_the_last_bit(
    config, tmp_path, kernels_from, ticks, stage
):
    config = replace(config, warm_up_reblurs=True, kernels_from=kernels_from, full_epochs=2)
    assert play(trainer(tmp_path / "unbroken", config)) == Outcome("finished", 8)
    clock = itertools.count().__next__  # ticks at every look
    broken = trainer(tmp_path / "broken", config, clock=clock, max_hours=ticks / 3600)
    assert play(broken).reason == "time"
    cut = read_checkpoint(tmp_path / "broken" / "last.ckpt")
    assert (cut.stage, cut.step > 0) == (stage, True)
    resumed = trainer(tmp_path / "broken", config, resume=True, seed=77)
    assert play(resumed) == Outcome("finished", 8)
    one, other = state(tmp_path / "unbroken"), state(tmp_path / "broken")
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert losses(tmp_path / "unbroken") == losses(tmp_path / "broken")
    assert ("kernels" in losses(tmp_path / "broken")[-1]) == (kernels_from == "target")


def test_a_run_from_end_to_end_lowers_its_losses_and_logs_each_term(config, tmp_path):
    longer = replace(config, held_out=("02",), warm_up_epochs=6, full_epochs=6, learning_rate=3e-3)
    made = trainer(tmp_path / "run", longer)

    def of_one_batch() -> dict[str, float]:
        """Of one batch, whatever the stage, as the deblurrer is used later."""
        stage = stage_of(made.recipe, "full")
        made.recipe.modules["deblurrer"].eval()
        with torch.no_grad():
            batch = stage.batch(1000, 0, 1)
            outputs = stage.forward(batch, Progress("full", 0, 2))
            return stage.turns[0].terms(outputs, batch, Progress("full", 0, 2))

    before = of_one_batch()
    made.recipe.modules["deblurrer"].train()
    play(made)
    after = of_one_batch()
    assert after["to_output"] < 0.7 * before["to_output"]
    assert after["reblur"] < 0.7 * before["reblur"]
    rows = list(map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()))
    row = [row for row in rows if row.get("stage") == "full"][-1]
    assert row["reblur.weighted"] == pytest.approx(0.5 * row["reblur"])
    weighted = [value for name, value in row.items() if name.endswith(".weighted")]
    assert row["loss"] == pytest.approx(sum(weighted))
    assert [row["kind"] for row in rows].count("validation") == 1
    assert (tmp_path / "run" / "best.safetensors").is_file()
