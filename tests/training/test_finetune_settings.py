"""The settings of a fine-tuning run: what follows from the pairs, the model and the time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from defocusfix.errors import UsageError
from defocusfix.training.config import RunConfig, read_config, resolve_config
from defocusfix.training.finetuning.data import DataFacts
from defocusfix.training.finetuning.folds import fold_config, share_of_time
from defocusfix.training.finetuning.settings import FinetuneSettings, run_config
from tests.training.small_finetuning import SPEC

SETTINGS = FinetuneSettings(Path("/lens/blurry"), Path("/lens/sharp"), Path("/base.safetensors"))


def facts(pairs: int) -> DataFacts:
    names = [f"{number:03d}" for number in range(pairs + 3)]
    return DataFacts(
        found=len(names),
        rejected=0,
        shift_px=1.0,
        radius_px=3.0,
        scales={"1": len(names)},
        scenes={name: name for name in names},
        crop_px=192,
        held_out=tuple(names[pairs:]),
        folds=(),
        left_out=(),
        remarks=(),
        fingerprint="",
    )


def config(
    pairs: int = 30, architecture: str = "focusnet-s", gone: float = 0.0, **wishes
) -> RunConfig:
    return run_config(
        replace(SETTINGS, **wishes),
        facts(pairs),
        replace(SPEC, architecture=architecture),
        cache=Path("/run/cache"),
        has_gpu=False,
        seconds_gone=gone,
    )


@pytest.mark.parametrize(("pairs", "steps"), [(6, 300), (40, 640), (500, 3000)])
def test_a_run_is_longer_the_more_there_is_to_learn_from(pairs, steps):
    recipe = config(pairs).recipe
    assert recipe.samples_per_epoch / recipe.batch_size == steps
    assert config(pairs, steps=77).recipe.samples_per_epoch == 77 * recipe.batch_size


def test_another_batch_size_does_not_change_the_number_of_steps():
    recipe = config(steps=50, changes=("recipe.batch_size=16",)).recipe
    assert (recipe.batch_size, recipe.samples_per_epoch) == (16, 800)


def test_training_takes_what_the_check_leaves_of_the_time():
    hours = [config(gone=gone, max_hours=1.0).trainer.max_hours for gone in (0, 900, 3000)]
    assert hours[0] - hours[1] == pytest.approx(0.25)
    assert hours[0] < 1
    assert hours[2] == 0.5


def test_few_pairs_do_not_move_what_they_cannot_teach():
    assert config().recipe.trains == ("head", "body", "tail")
    assert config().recipe.map_weight == 0
    few, many = (config(pairs, "seeded-unet-small").recipe for pairs in (20, 80))
    assert (few.trains, many.trains) == (("estimator", "fusion"), ())


def test_a_network_that_says_nothing_of_the_blur_gets_its_seeded_form():
    assert config(architecture="restormer").recipe.network == "seeded-restormer"
    assert config(architecture="seeded-unet").recipe.network == "seeded-unet"


def test_licence_and_training_data_are_handed_on():
    recipe = config().recipe
    assert recipe.licence == SPEC.licence
    assert recipe.training_data == (
        "nothing at all; fine-tuned on 30 pairs of the user's own photos (blurry, sharp)"
    )


def test_what_stands_in_the_folder_is_the_same_run(tmp_path):
    made = config(changes=("recipe.clip=0.5",))
    (tmp_path / "config.toml").write_text(made.to_toml())
    assert resolve_config("reblur-guided", read_config(tmp_path / "config.toml"), ()) == made


def test_the_run_on_all_pairs_gets_what_time_the_folds_leave():
    whole = replace(config(max_hours=1.0), trainer=replace(config().trainer, max_hours=1.0))
    first = share_of_time(whole, 0.0, 3)
    assert first == pytest.approx(0.25)
    last = share_of_time(whole, 3 * 3600 * first, 0)
    assert last == pytest.approx(0.25)
    assert 0 < share_of_time(whole, 7200.0, 0) <= 0.1
    one = fold_config(whole, ["001"], first)
    assert (one.recipe.held_out, one.trainer.validates_first) == (("001",), True)
    assert (one.trainer.validate_steps, one.trainer.validate_minutes, one.trainer.patience) == (
        0, 0, 0,
    )  # fmt: skip
    assert fold_config(whole, (), last).recipe.held_out == ()


@pytest.mark.parametrize(
    "wish",
    [
        {"max_hours": 0},
        {"learning_rate": 0},
        {"held_out": 0.7},
        {"folds": 1},
        {"folds": -2},
        {"folds": 3, "held_out": 0.2},
    ],
)
def test_what_cannot_be_done_is_refused(wish):
    with pytest.raises(UsageError):
        config(**wish)
