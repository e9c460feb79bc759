"""The learnable blur kernel: what each stage moves and lowers, data, settings, whole runs."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from defocusfix.errors import ModelError
from defocusfix.networks.blur_map import BlurMap, BlurMapConfig, as_views
from defocusfix.networks.kernel_bank import reblur
from defocusfix.optics import butterworth
from defocusfix.pairs.crops import PairSettings
from defocusfix.training.config import read_preset, resolve_config
from defocusfix.training.losses import total_variation
from defocusfix.training.map_validation import sign_accuracy
from defocusfix.training.recipe import Progress
from defocusfix.training.recipes import learnable_kernel
from defocusfix.training.recipes.learnable_kernel import Config, first_kernels
from defocusfix.training.recipes.learnable_kernel_config import STAGES
from tests.training.blur_maps import RADIUS_PX, half_blurred
from tests.training.misaligned import write_pairs
from tests.training.reblur_steps import stage_of, step_of
from tests.training.runs import losses, play, state, trainer

pytestmark = pytest.mark.usefixtures("tiny_blur_map")


@pytest.fixture
def config(half_blurred_crops):
    return Config(
        crops=(half_blurred_crops,),
        network="blur-map-small",
        data=PairSettings(crop_px=32),
        epochs=(2, 1, 1, 1, 1),
        batch_size=2,
        learning_rate=1e-3,
        smooth_after_steps=2,
    )


def built(config):
    torch.manual_seed(0)
    return learnable_kernel.build(config)


@pytest.mark.parametrize("settings", [{}, {"sides": "both", "is_normalised": False}])
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_moves_the_estimator_or_the_kernels_and_nothing_else(config, name, settings):
    recipe = built(replace(config, starts_in_focus=False, **settings))
    terms, moved = step_of(recipe, name)
    part = "kernels" if name.startswith("kernels") else "estimator"
    assert moved == {part, "map"}  # the map is both of them
    assert terms.keys() == stage_of(recipe, name).turns[0].weights.keys()


def test_stages_without_a_length_are_left_out(config):
    recipe = built(replace(config, epochs=(3, 0, 0, 0.5, 0)))
    assert [(stage.name, stage.steps) for stage in recipe.stages] == [
        ("map 1", 6),
        ("kernels 2", 1),
    ]


def test_the_map_is_smoothed_only_after_the_first_steps(config):
    recipe = built(replace(config, starts_in_focus=False))

    def smoothness(name, step):
        stage = stage_of(recipe, name)
        progress = Progress(name, step, 4)
        batch = stage.batch(0, 0, 1)
        terms = stage.turns[0].terms(stage.forward(batch, progress), batch, progress)
        return float(terms["smoothness"].detach())

    assert smoothness("map 1", 1) == 0
    assert smoothness("map 1", 2) == smoothness("map 2", 0) > 0


def test_total_variation_sums_both_directions_per_value():
    ramp = torch.arange(4.0).expand(1, 1, 5, 4)
    assert float(total_variation(ramp)) == pytest.approx(5 * 3 / 20)
    torch.testing.assert_close(total_variation(ramp.mT), total_variation(ramp))


def test_the_first_map_says_that_all_is_in_focus_and_the_kernels_are_of_the_lens(config):
    recipe = built(config)
    stage = stage_of(recipe, "map 1")
    batch = stage.batch(0, 0, 1)
    outputs = stage.forward(batch, Progress("map 1", 0, 4))
    assert torch.equal(outputs["reblurred"], batch["all_in_focus"])
    kernels = recipe.modules["kernels"].kernels()
    for side in kernels:
        torch.testing.assert_close(side[4], torch.from_numpy(butterworth(4)))


@pytest.mark.parametrize("broken_after", [3, 5, 9])
def test_a_resumed_run_equals_an_unbroken_one_to_the_last_bit(config, tmp_path, broken_after):
    assert play(trainer(tmp_path / "unbroken", built_by(config))).total_steps == 12
    clock = itertools.count().__next__  # ticks at every look
    ticks = 2 * broken_after
    broken = trainer(tmp_path / "broken", built_by(config), clock=clock, max_hours=ticks / 3600)
    assert play(broken).reason == "time"
    resumed = trainer(tmp_path / "broken", built_by(config), resume=True, seed=77)
    assert play(resumed).reason == "finished"
    one, other = state(tmp_path / "unbroken"), state(tmp_path / "broken")
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert losses(tmp_path / "unbroken") == losses(tmp_path / "broken")


def built_by(config):
    return lambda: learnable_kernel.build(config)


def test_a_run_logs_every_term_and_leaves_pictures_of_kernels_and_maps(
    config, half_blurred_crops, tmp_path
):
    made = trainer(tmp_path / "run", built_by(replace(config, validation=half_blurred_crops)))
    play(made)
    rows = losses(tmp_path / "run")
    assert {"reblur", "smoothness", "level", "positive_share"} <= rows[0].keys()
    last = [row for row in rows if row["stage"] == "kernels 2"][-1]
    assert last["smallest_sum"] == pytest.approx(1, abs=1e-5)
    assert last["largest_sum"] == pytest.approx(1, abs=1e-5)
    names = {path.name for path in (tmp_path / "run" / "samples").iterdir()}
    assert {"step-000012-kernels.png", "step-000012-pair_00.png"} <= names
    sheet = cv2.imread(str(tmp_path / "run" / "samples" / "step-000012-pair_00.png"))
    assert sheet.shape == (64, 5 * 64, 3)
    found = made.folder.validations()[-1]
    assert {"radius_error_px_textured", "radius_correlation_all", "sign_accuracy"} <= found.keys()


def test_pairs_of_photos_are_learnt_from_and_held_out_ones_looked_at(config, tmp_path):
    blurry, sharp = write_pairs(tmp_path, 3)
    recipe = built(
        replace(
            config, crops=(), blurry=blurry, sharp=sharp, held_out=("01",), epochs=(2, 1, 0, 0, 0)
        )
    )
    step_of(recipe, "map 1")
    found = recipe.validate(recipe.modules["map"].eval())
    assert found.metrics["reblur_error"] == pytest.approx(-found.score)
    assert found.metrics.keys() == {"reblur_error", "sharp_error"}
    assert found.pictures["pair_00"].shape == (112, 4 * 112, 3)


def test_the_estimator_reads_dual_pixel_views_where_there_are_some(config, tmp_path):
    blurry, sharp = write_pairs(tmp_path, 2)
    views = (write_pairs(tmp_path / name, 2, gain=gain)[0] for name, gain in (("l", 1), ("r", 1)))
    left, right = views
    recipe = built(
        replace(config, crops=(), blurry=blurry, sharp=sharp, left=left, right=right, sides="both")
    )
    batch = recipe.stages[0].batch(0, 0, 1)
    assert batch["views"].shape == (2, 6, 32, 32)
    assert step_of(recipe, "map 1")[1] == {"estimator", "map"}


def test_dpdd_brings_its_views(config, tmp_path):
    for part in ("train", "val"):
        for folder in ("c/source", "c/target", "l/source", "r/source"):
            write_pairs(tmp_path / "flat", 1)
            target = tmp_path / f"{part}_{folder}"
            target.mkdir(parents=True)
            picture = cv2.imread(str(tmp_path / "flat" / "blurry" / "00.png"))
            cv2.imwrite(str(target / "0.png"), picture)
    recipe = built(replace(config, crops=(), data_set=tmp_path, layout="dpdd", uses_views=True))
    assert recipe.stages[0].batch(0, 0, 1)["views"].shape == (2, 6, 32, 32)
    assert recipe.validate(recipe.modules["map"].eval()).metrics["sharp_error"] == 0


def test_training_goes_on_from_weights_with_their_kernels(config, tmp_path):
    play(trainer(tmp_path / "run", built_by(config)))
    weights = tmp_path / "run" / "weights.safetensors"
    recipe = built(replace(config, start_from=weights))
    kept = trainer(tmp_path / "run", built_by(config), resume=True).average.module
    assert torch.equal(recipe.modules["kernels"].positive, kept.kernels.positive)
    with pytest.raises(ModelError, match="do not fit"):
        built(replace(config, start_from=weights, network="blur-map"))


@pytest.mark.parametrize(("preset", "data"), [("paper", "recipe.data_set=D"),
                                              ("recommended", 'recipe.crops=["C"]')])  # fmt: skip
def test_presets_are_read(preset, data):
    config = resolve_config("learnable-kernel", read_preset("learnable-kernel", preset), [data])
    assert config.recipe.network == "blur-map"
    assert config.recipe.is_normalised == (preset == "recommended")
    if preset == "paper":
        # 1e-5 on the sum over four maps of 512 px in three colours.
        assert config.recipe.smoothness_weight == pytest.approx(1e-5 * 4 * 3 * 512**2)
        assert config.recipe.total_epochs == 30
        assert config.recipe.padding == "zeros"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"crops": ()}, "name the data"),
        ({"blurry": "b", "sharp": "s"}, "name the data"),
        ({"sharp": "s"}, "blurry and sharp go together"),
        ({"left": "l"}, "left and right go together"),
        ({"left": "l", "right": "r"}, "views of the photos"),
        ({"uses_views": True}, "layout dpdd"),
        ({"network": "unet"}, "network is one of"),
        ({"held_out": ("1",)}, "take validation"),
        ({"epochs": (0, 0, 0, 0, 0)}, "not all 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(config, settings, why):
    with pytest.raises(ValueError, match=why):
        replace(config, **settings)


def test_signs_count_alike_on_both_sides_and_may_all_be_the_wrong_way_round():
    truth = np.full((4, 4), 3, np.float32)
    truth[:, 3:] = -3
    wide = truth.repeat(2, axis=0).repeat(2, axis=1)
    assert sign_accuracy([wide], [truth]) == 1
    assert sign_accuracy([-wide], [truth]) == 1
    assert sign_accuracy([np.ones_like(wide)], [truth]) == 0.5
    assert np.isnan(sign_accuracy([wide], [np.abs(truth)]))


@pytest.mark.slow
def test_blurred_and_sharp_halves_are_told_apart_within_a_few_hundred_steps():
    torch.manual_seed(0)
    network = BlurMap(BlurMapConfig(width=16, branches=(0, 1), levels=9), has_sides=False)
    network.kernels.start_from(first_kernels(9))
    network.estimator.start_in_focus()
    kernels = network.kernels.kernels().detach()
    optimiser = torch.optim.Adam(network.estimator.parameters(), lr=1e-3)
    for step in range(150):
        blurred, sharp, _ = (torch.from_numpy(a.astype(np.float32)) for a in half_blurred(64, step))
        photo, target = (view.permute(2, 0, 1)[None] for view in (blurred, sharp))
        levels = network.estimator(as_views(photo))
        loss = 1000 * (reblur(target, levels, kernels, "reflect") - photo).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = network.estimator(as_views(photo)).detach().abs().mean(dim=(0, 1))
    truth = torch.zeros(64, 64)
    truth[:, :32] = RADIUS_PX
    correlation = torch.corrcoef(torch.stack([found.flatten(), truth.flatten()]))[0, 1]
    assert float(correlation) > 0.8
