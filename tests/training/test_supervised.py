"""The supervised recipe: what it feeds to the levels, what it lowers, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from defocusfix.errors import UsageError
from defocusfix.rendering.produce import RenderSettings, render_set
from defocusfix.training.config import read_preset, resolve_config
from defocusfix.training.optimiser import ModuleOptimiser
from defocusfix.training.recipe import Progress
from defocusfix.training.recipes.supervised import Config, build
from defocusfix.training.step import train_step


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    settings = RenderSettings((), size=128, count=4, seed=0, shard_size=4)
    list(render_set(settings, folder, processes=1))
    return folder


def built(crops, **settings):
    torch.manual_seed(0)
    windows_px = (64, 48, 32)
    return build(
        Config(
            crops=(crops,), validation=crops, batch_size=2, steps=10, windows_px=windows_px,
            **settings,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def recipe(crops):
    return built(crops)


def outputs(recipe, step):
    stage = recipe.stages[0]
    return stage.forward(stage.batch(0, 0, 1), Progress(stage.name, step, stage.steps))


@pytest.mark.parametrize(
    ("levels", "sides"), [(None, [64, 48, 32]), (2, [64, 64]), (4, [64, 48, 32, 16])]
)
def test_every_level_is_trained_on_its_window(crops, levels, sides):
    recipe = built(crops, levels=levels)
    assert recipe.spec.levels == len(sides)
    found = outputs(recipe, 0)
    assert sum(name.startswith("restored_") for name in found) == len(sides)
    for level, side in enumerate(sides):
        assert found[f"target_{level}"].shape[-1] == side
        assert found[f"radius_truth_{level}"].shape[-1] == side // 2


def test_the_windows_show_the_same_place_of_blurred_photo_target_and_radius(recipe):
    stage = recipe.stages[0]
    batch = stage.batch(0, 0, 1)
    top, left = batch["windows"][0].tolist()
    found = stage.forward(batch, Progress(stage.name, 0, stage.steps))
    cut = batch["all_in_focus"][:, :, top : top + 64, left : left + 64]
    torch.testing.assert_close(found["target_0"], cut)
    half = batch["radius_px"][:, :, top // 2 : top // 2 + 32, left // 2 : left // 2 + 32]
    torch.testing.assert_close(found["radius_truth_0"], half)


def test_batches_depend_on_the_step_only(recipe):
    stage = recipe.stages[0]
    first, again, other = stage.batch(3, 0, 1), stage.batch(3, 0, 1), stage.batch(4, 0, 1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["blurred"], other["blurred"])


def test_the_known_radius_is_missed_alike_however_many_processes_share_the_batch(recipe):
    stage = recipe.stages[0]

    def restored(rank: int, world: int) -> torch.Tensor:
        torch.manual_seed(10 * world + rank)  # as the trainer seeds every process differently
        found = stage.forward(stage.batch(3, rank, world), Progress(stage.name, 0, stage.steps))
        return found["restored_0"]

    joint = restored(0, 1)
    torch.testing.assert_close(joint, torch.cat([restored(0, 2), restored(1, 2)]))


def test_each_sample_misses_the_known_radius_in_its_own_way(recipe):
    stage = recipe.stages[0]
    draws = torch.cat([stage.batch(step, 0, 1)["jitter"] for step in range(8)])
    assert draws.shape == (16, 3, 2, 4, 4)
    assert len({float(draw.sum()) for draw in draws.flatten(0, 2)}) == 96
    assert draws.mean() == pytest.approx(0, abs=0.1)
    assert draws.std() == pytest.approx(1, abs=0.1)


def test_a_step_lowers_the_named_terms_and_moves_map_and_trunk(recipe):
    stage, network = recipe.stages[0], recipe.modules["network"]
    before = [p.detach().clone() for p in (network.map.tail.weight, network.tail.weight)]
    optimisers = {"network": ModuleOptimiser(network, recipe.optimisers["network"])}
    terms = train_step(
        recipe, stage, stage.batch(0, 0, 1), Progress(stage.name, 5, stage.steps), optimisers,
        torch.autocast("cpu", torch.bfloat16),
    )  # fmt: skip
    assert terms.keys() == stage.turns[0].weights.keys()
    assert all(np.isfinite(list(terms.values())))
    after = (network.map.tail.weight, network.tail.weight)
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_validation_reports_gains_by_band_and_the_maps_error(recipe):
    found = recipe.validate(recipe.modules["network"].eval())
    assert {"radius_mae_px", "radius_relative_error"} <= found.metrics.keys()
    assert any(name.startswith("gain_") for name in found.metrics)
    assert all(picture.shape == (128, 384, 3) for picture in found.pictures.values())


def test_the_preset_of_the_bundled_weights_is_read(crops):
    table = read_preset("supervised", "focusnet-s")
    config = resolve_config("supervised", table, [f'recipe.crops=["{crops}"]'])
    assert config.recipe.network == "focusnet-s2"
    assert config.trainer.precision == "bf16"


def test_settings_that_cannot_work_are_refused(crops):
    with pytest.raises(ValueError, match="crops is empty"):
        Config()
    with pytest.raises(ValueError, match="contradict each other"):
        Config(crops=(crops,), photos=(crops,))
    with pytest.raises(ValueError, match="contradict each other"):
        Config(crops=(crops,), renders_live=True)
    with pytest.raises(ValueError, match="at least 2"):
        Config(crops=(crops,), levels=1)
    with pytest.raises(UsageError, match="for 4 levels, windows_px needs 3 sides"):
        build(Config(crops=(crops,), windows_px=(64, 48), levels=4))
    with pytest.raises(UsageError, match="pairs of 192 px do not suit 4 levels"):
        build(Config(renders_live=True, live_size_px=192, windows_px=(64, 48, 32), levels=4))
    with pytest.raises(UsageError, match="96 px do not fit into 64 px"):
        build(Config(renders_live=True, live_size_px=128))
    with pytest.raises(ValueError, match="multiples of 16"):
        Config(crops=(crops,), windows_px=(100, 96, 64))
    with pytest.raises(UsageError, match="crops"):
        resolve_config("supervised", {}, [])
