from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import tomlkit

from defocusfix.errors import InputError, UsageError
from defocusfix.training import recipes
from defocusfix.training.config import (
    RunConfig,
    TrainerConfig,
    read_config,
    read_preset,
    resolve_config,
    settings_from,
)


@dataclass(frozen=True)
class Inner:
    depth: int = 2
    width: int = 3


@dataclass(frozen=True)
class Everything:
    name: str
    share: float = 0.5
    sizes: tuple[int, int] = (1, 2)
    folders: tuple[Path, ...] = ()
    start_from: Path | None = None
    kind: Literal["soft", "hard"] = "soft"
    inner: Inner = Inner()


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "toy", "tests.training.toy")


def resolve(*changes: str, table=None) -> RunConfig:
    return resolve_config("toy", table or {}, changes)


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner(depth=7, width=1)
    again: Everything = Everything("n", inner=Inner(depth=9))


def test_a_table_lies_over_what_stands_in_its_place_not_over_the_defaults_of_its_kind():
    assert settings_from(Outer, {"inner": {"width": 4}}, "").inner == Inner(depth=7, width=4)
    deeper = settings_from(Outer, {"again": {"inner": {"width": 4}}}, "").again
    assert (deeper.name, deeper.inner) == ("n", Inner(depth=9, width=4))
    with pytest.raises(UsageError) as caught:
        settings_from(Outer, {"again": {"inner": {"height": 4}}}, "")
    assert caught.value.what == "unknown setting again.inner.height"


def test_changes_stand_over_the_file_and_the_file_over_defaults():
    table = {"trainer": {"seed": 5, "precision": "fp32"}, "recipe": {"steps": 7}}
    config = resolve("trainer.seed=9", "recipe.optimiser=muon", table=table)
    assert (config.trainer.seed, config.trainer.precision) == (9, "fp32")
    assert (config.recipe.steps, config.recipe.optimiser) == (7, "muon")
    assert config.recipe.batch_size == 4
    assert table["trainer"]["seed"] == 5


def test_every_kind_of_value_is_read():
    table = {
        "name": "n", "share": 1, "sizes": [3, 4], "folders": ["a", "b"], "start_from": "w",
        "kind": "hard", "inner": {"depth": 3},
    }  # fmt: skip
    assert settings_from(Everything, table, "") == Everything(
        "n", 1.0, (3, 4), (Path("a"), Path("b")), Path("w"), "hard", Inner(3)
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": 3}, "name = 3 does not fit"),
        ({"name": "n", "sizes": [1]}, "a list of 2"),
        ({"name": "n", "sizes": [1, "x"]}, r"sizes\[1\]"),
        ({"name": "n", "kind": "softer"}, "'soft' or 'hard'"),
        ({"name": "n", "share": True}, "share"),
        ({"name": "n", "inner": {"dept": 1}}, "did you mean inner.depth"),
        ({"name": "n", "start_from": 4}, "start_from"),
        ({}, "name"),
    ],
)
def test_values_that_do_not_fit_are_refused(table, message):
    with pytest.raises(UsageError, match=message):
        settings_from(Everything, table, "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trainer.precison=fp32", "did you mean trainer.precision"),
        ("recipe.stepps=3", "did you mean recipe.steps"),
        ("trianer.seed=3", "did you mean trainer"),
        ("trainer.precision=fp8", "'bf16' or 'fp32'"),
        ("trainer.seed", "not of the form key=value"),
        ("trainer.seed.deeper=1", "is a value"),
        ("trainer.schedule_by=time", "needs max_hours"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_with_advice(change, message):
    with pytest.raises(UsageError, match=message) as caught:
        resolve("trainer.seed=1", change)
    assert caught.value.exit_code == 2


def test_the_resolved_configuration_is_read_back_as_it_was(tmp_path):
    config = resolve("trainer.ema_decay=0.9", "trainer.max_hours=2", "recipe.critic=true")
    (tmp_path / "config.toml").write_text(config.to_toml())
    assert resolve(table=read_config(tmp_path / "config.toml")) == config


def test_settings_without_a_value_are_left_out_of_the_file():
    everything = Everything("n", folders=(Path("a"),))
    text = RunConfig("toy", TrainerConfig(), everything).to_toml()
    assert "start_from" not in text
    table = tomlkit.parse(text).unwrap()["recipe"]
    assert settings_from(Everything, table, "recipe") == everything


def test_a_configuration_of_another_recipe_is_refused():
    with pytest.raises(UsageError, match="another recipe"):
        resolve(table={"recipe_name": "supervised"})


def test_unknown_recipes_and_presets_name_what_there_is():
    with pytest.raises(UsageError, match="supervised"):
        resolve_config("unsupervised", {}, [])
    with pytest.raises(UsageError, match="presets:"):
        read_preset("supervised", "no-such-preset")


def test_a_file_that_is_no_toml_is_named(tmp_path):
    (tmp_path / "bad.toml").write_text("steps = = 3")
    with pytest.raises(InputError, match=r"bad\.toml is not valid TOML"):
        read_config(tmp_path / "bad.toml")
