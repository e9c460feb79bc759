"""The light-field recipe: what each stage lowers and moves, and which networks it can train."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from defocusfix.errors import ModelError, UsageError
from defocusfix.networks import build as networks
from defocusfix.networks import vgg
from defocusfix.networks.reblur import ReblurConfig
from defocusfix.networks.unet import UNet
from defocusfix.pairs.crops import PairSettings
from defocusfix.pairs.rendered import write_facts, write_shard
from defocusfix.training.checkpoint import read_checkpoint
from defocusfix.training.config import read_config, read_preset, resolve_config
from defocusfix.training.feature_loss import FeatureSettings
from defocusfix.training.guidance import Guidance
from defocusfix.training.pair_data import PairChoice
from defocusfix.training.recipe import Progress
from defocusfix.training.recipes.light_field import Config, build
from defocusfix.training.rendered_data import RenderedChoice
from defocusfix.training.trainer import Outcome
from defocusfix.training.weights import read_weights
from tests.evaluation.scenes import blurred, texture
from tests.training.misaligned import write_pairs
from tests.training.processes import train
from tests.training.reblur_steps import stage_of, step_of
from tests.training.runs import losses, play, state, trainer

SMALL_BLOCKS = ((4, 2), (4, 2), (6, 4), (6, 4), (6, 4))
MATCHING = PairSettings(crop_px=64, alignment="none", matches_exposure=False)
SHIFT = np.array([[1, 0, 2], [0, 1, -1]])


class CoarseToFine(nn.Module):
    """Black is -1 and white 1; one factor per size, coarse to fine, is all it learns."""

    size_multiple, halo = 4, 0
    value_range = (-1.0, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.tensor([0.5, 0.6, 0.7]))

    def estimates(self, image: torch.Tensor) -> list[torch.Tensor]:
        views = [F.avg_pool2d(image, n) for n in (4, 2, 1)]
        return [factor * view for factor, view in zip(self.factors, views, strict=True)]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.estimates(image)[-1].clamp(-1, 1)


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch):
    monkeypatch.setattr(vgg, "BLOCKS", SMALL_BLOCKS)
    monkeypatch.setitem(networks.BUILDERS, "unet", lambda: UNet(widths=(4, 4, 8, 8, 8)))
    monkeypatch.setitem(networks.BUILDERS, "coarse-to-fine", CoarseToFine)


@pytest.fixture(scope="module")
def crops(tmp_path_factory) -> Path:
    """A rendered set of four pairs of 64 px; the blur grows from left to right."""
    folder = tmp_path_factory.mktemp("set")
    sharp = np.stack([texture(64, 64, seed) for seed in range(4)])
    soft = np.stack([blurred(image, 1.5) for image in sharp])
    radius = np.broadcast_to(np.linspace(0, 5, 32), (4, 32, 32)).astype(np.float16)
    write_facts(folder, {})
    write_shard(
        folder, 0, *(np.rint(view * 255).astype(np.uint8) for view in (soft, sharp)), radius
    )
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> tuple[Path, Path]:
    return write_pairs(tmp_path_factory.mktemp("pairs"), 3, matrix=SHIFT)


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> FeatureSettings:
    """Random weights of a narrow VGG-19."""
    file = tmp_path_factory.mktemp("vgg") / "vgg.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vgg, "BLOCKS", SMALL_BLOCKS)
        torch.manual_seed(0)
        save_file(vgg.Vgg19Features(("relu1_2",)).state_dict(), file)
    return FeatureSettings(weights=file)


@pytest.fixture
def config(crops, pairs, features) -> Config:
    """Two steps per stage."""
    return Config(
        rendered=RenderedChoice(crops=(crops,)),
        real=PairChoice(blurry=pairs[0], sharp=pairs[1], data=PairSettings(crop_px=64)),
        crop_px=64,
        network="unet",
        light_field_steps=2,
        light_field_batch_size=2,
        light_field_rate=1e-3,
        real_steps=2,
        real_batch_size=2,
        real_rate=1e-3,
        feature=features,
    )


def made(config: Config):
    torch.manual_seed(0)
    return build(config)


def test_first_pixels_then_features_are_compared_and_both_move_the_network(config):
    recipe = made(config)
    assert [(stage.name, stage.steps) for stage in recipe.stages] == [
        ("light_field", 2),
        ("real", 2),
    ]
    terms, moved = step_of(recipe, "light_field")
    assert (terms.keys(), moved) == ({"pixel"}, {"deblurrer"})
    terms, moved = step_of(recipe, "real")
    assert (terms.keys(), moved) == ({"feature", "pixel"}, {"deblurrer"})
    (turn,) = stage_of(recipe, "real").turns
    assert turn.weights == {"feature": 1.0, "pixel": 0.1}
    assert all(map(math.isfinite, terms.values()))


def test_the_loss_of_the_first_stage_is_l1(config):
    stage = stage_of(made(config), "light_field")
    batch, progress = stage.batch(0, 0, 1), Progress("light_field", 0, 2)
    outputs = stage.forward(batch, progress)
    found = stage.turns[0].terms(outputs, batch, progress)["pixel"]
    expected = (outputs["restored"] - batch["all_in_focus"]).abs().mean()
    torch.testing.assert_close(found, expected)


def test_either_stage_can_be_played_alone(config):
    assert [s.name for s in made(replace(config, real_steps=0)).stages] == ["light_field"]
    alone = replace(config, light_field_steps=0, real_loss="pixel")
    recipe = made(alone)
    assert [s.name for s in recipe.stages] == ["real"]
    assert stage_of(recipe, "real").turns[0].weights == {"pixel": 1.0}


def test_the_first_stage_learns_from_pairs_of_light_fields_in_their_published_layout(
    config, tmp_path
):
    blurry, sharp = write_pairs(tmp_path / "made", 1)
    places = {"input": tmp_path / "train_data/input/scene", "ground_truth": tmp_path}
    places["input"].mkdir(parents=True)
    for number in (1, 2):  # two focal planes of one scene
        (places["input"] / f"scene_ap{number}.png").write_bytes((blurry / "00.png").read_bytes())
    (tmp_path / "train_data/ground_truth").mkdir()
    sharp.joinpath("00.png").rename(tmp_path / "train_data/ground_truth/scene.png")
    usual = Config(real=config.real, rendered=config.rendered).light_field
    of_set = replace(usual, data_set=tmp_path, data=replace(usual.data, crop_px=64))
    recipe = made(replace(config, rendered=RenderedChoice(), light_field=of_set, real_steps=0))
    batch = stage_of(recipe, "light_field").batch(0, 0, 1)
    assert batch.keys() == {"blurred", "all_in_focus"}
    assert batch["blurred"].shape == (2, 3, 64, 64)
    assert (usual.layout, usual.data.alignment, usual.data.matches_exposure) == (
        "lfdof",
        "none",
        False,
    )


def test_a_network_that_restores_coarse_to_fine_is_taught_at_every_size(config):
    several = replace(config, network="coarse-to-fine", scale_weights=(1.0, 0.5, 0.25))
    recipe = made(several)
    stage = stage_of(recipe, "light_field")
    assert stage.turns[0].weights == {"pixel": 1.0, "pixel_2": 0.5, "pixel_4": 0.25}
    batch, progress = stage.batch(0, 0, 1), Progress("light_field", 0, 2)
    terms = stage.turns[0].terms(stage.forward(batch, progress), batch, progress)
    # In [-1, 1] the estimate is a factor times the photo: half and a quarter of the size alike.
    for name, factor, size in (("pixel", 0.7, 1), ("pixel_2", 0.6, 2), ("pixel_4", 0.5, 4)):
        photo, target = (F.avg_pool2d(batch[n], size) for n in ("blurred", "all_in_focus"))
        estimate = (factor * (2 * photo - 1) + 1) / 2
        torch.testing.assert_close(terms[name], (estimate - target).abs().mean())
    sum(terms.values()).backward()
    assert (recipe.modules["deblurrer"].factors.grad != 0).all()
    assert recipe.spec.value_range == (-1.0, 1.0)


def test_weights_for_sizes_that_a_network_does_not_restore_are_refused(config):
    with pytest.raises(UsageError, match="has 2 weights") as caught:
        made(replace(config, scale_weights=(1.0, 0.5)))
    assert caught.value.why == "unet restores at 1 size"


def test_a_focusnets_map_learns_from_rendered_radii_and_its_levels_are_sizes(config):
    recipe = made(replace(config, network="focusnet-s", scale_weights=(1.0, 0.5, 0.25)))
    before = [p.detach().clone() for p in recipe.modules["deblurrer"].map.parameters()]
    terms, _ = step_of(recipe, "light_field")
    assert terms.keys() == {"pixel", "pixel_2", "pixel_4", "radius"}
    after = recipe.modules["deblurrer"].map.parameters()
    assert not all(map(torch.equal, before, after))
    terms, _ = step_of(recipe, "real")
    assert terms.keys() == {"feature", "pixel"}
    assert recipe.spec.levels == 3


@pytest.mark.parametrize("network", ["unet", "seeded-unet-small"])
def test_the_second_stage_can_be_guided_by_reblurring_instead(config, network):
    guidance = Guidance(map_weight=0.0, reblur=ReblurConfig(width=8))
    guided = replace(config, network=network, real_loss="reblur", guidance=guidance, kernel_steps=1)
    recipe = made(guided)
    assert [stage.name for stage in recipe.stages] == ["light_field", "kernels", "real"]
    terms, moved = step_of(recipe, "kernels")
    assert (terms.keys(), moved) == ({"reblur"}, {"reblur"})
    terms, moved = step_of(recipe, "real")
    logged = {"to_output", "to_target", "reblur", "flow_px", "trusted_share", "kernels"}
    assert (terms.keys(), moved) == (logged, {"deblurrer", "reblur"})


def test_a_map_can_be_taught_only_to_a_network_that_has_one(config):
    guided = replace(config, real_loss="reblur", guidance=Guidance(reblur=ReblurConfig(width=8)))
    with pytest.raises(UsageError, match="says nothing of the blur") as caught:
        made(guided)
    assert "recipe.guidance.map_weight" in caught.value.why
    assert "map" in step_of(made(replace(guided, network="seeded-unet-small")), "real")[0]


def test_batches_depend_on_the_step_only(config):
    first, again = made(config), made(config)
    for name in ("light_field", "real"):
        one, other = (stage_of(recipe, name).batch(3, 0, 1) for recipe in (first, again))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def rates(stage) -> list[float]:
    return [stage.learning_rate(Progress(stage.name, step, stage.steps)) for step in range(10)]


def test_rates_fall_by_halves_in_our_reading_of_the_paper_and_by_a_cosine_otherwise(config):
    longer = replace(config, light_field_steps=10, real_steps=10, real_rate=1e-4)
    paper = made(replace(longer, decay="halvings"))
    assert rates(paper.stages[0]) == [1e-3] * 6 + [0.5e-3] * 2 + [0.25e-3] * 2
    assert rates(paper.stages[1]) == [1e-4] * 10
    for stage in made(longer).stages:
        assert np.all(np.diff(rates(stage)[1:]) < 0)


def test_held_out_real_pairs_or_a_rendered_set_are_looked_at(config, crops):
    assert made(config).validate is None
    looking = replace(config, real=replace(config.real, held_out=("01",)))
    first = replace(config.real, data=MATCHING, held_out=("00",))
    from_first = replace(config, rendered=RenderedChoice(), light_field=first)
    rendered = replace(config, validation=crops)
    for chosen, figure in (
        (looking, "gain_raw"), (from_first, "gain_raw"), (rendered, "kept_db"),
    ):  # fmt: skip
        recipe = made(chosen)
        with torch.no_grad():
            found = recipe.validate(recipe.modules["deblurrer"].eval())
        assert math.isfinite(found.score)
        assert figure in found.metrics
        assert found.pictures


def test_missing_weights_of_vgg_are_told_before_anything_is_trained(config):
    with pytest.raises(ModelError, match="needs the weights of VGG-19"):
        made(replace(config, feature=FeatureSettings()))
    made(replace(config, feature=FeatureSettings(), real_loss="pixel"))
    made(replace(config, feature=FeatureSettings(), real_steps=0))


def test_crops_that_a_network_cannot_take_are_refused(config):
    with pytest.raises(UsageError, match=r"recipe\.crop_px = 40 does not fit unet"):
        made(replace(config, crop_px=40))
    small = replace(config.real, data=PairSettings(crop_px=48))
    with pytest.raises(UsageError, match=r"recipe\.real\.data\.crop_px = 48"):
        made(replace(config, network="focusnet-s", real=small, light_field_steps=0))


def test_settings_that_contradict_each_other_are_refused(config):
    for change, reason in (
        ({"network": "drawing"}, "network is one of"),
        ({"light_field_steps": 0, "real_steps": 0}, "nothing would be trained"),
        ({"light_field": config.real}, "either rendered or light_field"),
        ({"rendered": RenderedChoice()}, "either rendered or light_field"),
        ({"real": PairChoice()}, "name the pairs of the second stage"),
        ({"kernel_steps": 1}, "kernel_steps need"),
        ({"scale_weights": (0.0, 1.0)}, "begin above 0"),
        ({"pixel_weight": -1.0}, "not negative"),
        ({"real_steps": -1}, "not negative"),
    ):
        with pytest.raises(ValueError, match=reason):
            replace(config, **change)


def test_the_presets_are_read_and_the_papers_says_that_it_is_our_reading(pairs, crops):
    data = [f"recipe.real.blurry={pairs[0]}", f"recipe.real.sharp={pairs[1]}"]
    first = [f"recipe.light_field.data_set={crops}"]
    paper = resolve_config("light-field", read_preset("light-field", "paper"), data + first).recipe
    assert (paper.light_field_steps, paper.light_field_batch_size) == (300_000, 8)
    assert (paper.light_field_rate, paper.real_rate, paper.decay) == (1e-4, 1e-5, "halvings")
    assert (paper.real_steps, paper.real_batch_size, paper.real_loss) == (60_000, 4, "feature")
    assert (paper.scale_weights, paper.light_field.layout) == ((), "lfdof")
    assert (paper.real.data.alignment, paper.real.data.augments) == ("none", True)
    assert paper.feature == FeatureSettings()
    text = (
        Path(networks.__file__)
        .parents[1]
        .joinpath("training/recipes/light-field-paper.toml")
        .read_text("utf-8")
    )
    assert "IN OUR READING" in text
    rendered = [f'recipe.rendered.crops=["{crops}"]']
    table = read_preset("light-field", "recommended")
    ours = resolve_config("light-field", table, data + rendered).recipe
    assert (ours.guidance.map_weight, ours.real.data.alignment) == (0.0, "affine")


def test_a_table_of_losses_leaves_the_others_as_the_recipe_has_them(pairs, crops, tmp_path):
    changes = [
        f"recipe.real.blurry={pairs[0]}", f"recipe.real.sharp={pairs[1]}",
        f'recipe.rendered.crops=["{crops}"]', "recipe.guidance.reblur_weight=0.2",
        "recipe.clip=inf",
    ]  # fmt: skip
    run = resolve_config("light-field", {}, changes)
    assert (run.recipe.guidance.map_weight, run.recipe.guidance.reblur_weight) == (0.0, 0.2)
    (tmp_path / "config.toml").write_text(run.to_toml())
    assert resolve_config("light-field", read_config(tmp_path / "config.toml"), []) == run


@pytest.mark.parametrize(("loss", "ticks"), [("feature", 9), ("feature", 6), ("reblur", 13)])
def test_a_resumed_run_equals_an_unbroken_one_to_the_last_bit(config, tmp_path, loss, ticks):
    guidance = Guidance(map_weight=0.0, reblur=ReblurConfig(width=8))
    config = replace(config, real_loss=loss, guidance=guidance, real_steps=3)
    if loss == "reblur":
        config = replace(config, kernel_steps=1)
    steps = 5 + (loss == "reblur")
    assert play(trainer(tmp_path / "unbroken", partial(build, config))) == Outcome(
        "finished", steps
    )
    clock = itertools.count().__next__  # ticks at every look
    cut_short = {"clock": clock, "max_hours": ticks / 3600}
    broken = trainer(tmp_path / "broken", partial(build, config), **cut_short)
    assert play(broken).reason == "time"
    assert 0 < read_checkpoint(tmp_path / "broken" / "last.ckpt").total_steps < steps
    resumed = trainer(tmp_path / "broken", partial(build, config), resume=True, seed=77)
    assert play(resumed) == Outcome("finished", steps)
    one, other = state(tmp_path / "unbroken"), state(tmp_path / "broken")
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert losses(tmp_path / "unbroken") == losses(tmp_path / "broken")


def words(config: Config, **changes: object) -> list[str]:
    """The settings of `config` as one types them."""
    settings = {
        "trainer.device": "cpu", "trainer.precision": "fp32", "trainer.log_steps": 1,
        "recipe.network": config.network,
        "recipe.rendered.crops": [str(path) for path in config.rendered.crops],
        "recipe.crop_px": config.crop_px, "recipe.light_field_steps": config.light_field_steps,
        "recipe.light_field_batch_size": 2, "recipe.real.blurry": config.real.blurry,
        "recipe.real.sharp": config.real.sharp, "recipe.real.data.crop_px": 64,
        "recipe.real_steps": config.real_steps, "recipe.real_batch_size": 2,
        "recipe.feature.weights": config.feature.weights,
    } | changes  # fmt: skip
    typed = {key: json.dumps(v) if isinstance(v, list) else v for key, v in settings.items()}
    return [word for key, value in typed.items() for word in ("--set", f"{key}={value}")]


def test_both_stages_are_trained_by_the_command_and_the_run_restores(defocusfix, config, tmp_path):
    run = tmp_path / "run"
    told = defocusfix("train", "-r", "light-field", "-o", run, *words(config))
    assert told.exit_code == 0, told.stderr
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["stage"] for row in rows] == ["light_field"] * 2 + ["real"] * 2
    assert {"feature", "pixel", "feature.weighted"} <= rows[-1].keys()
    photo = config.real.blurry / "00.png"
    output = tmp_path / "restored.png"
    told = defocusfix("restore", photo, "-m", run, "-o", output, "--engine", "torch")
    assert told.exit_code == 0, told.stderr
    assert output.is_file()


def test_without_the_weights_of_vgg_the_command_says_what_to_type(defocusfix, config, tmp_path):
    settings = words(config)
    where = next(n for n, word in enumerate(settings) if "feature.weights" in word)
    settings[where - 1 : where + 1] = []
    told = defocusfix("train", "-r", "light-field", "-o", tmp_path / "run", *settings)
    assert told.exit_code == 5
    assert "defocusfix models pull vgg19-features" in told.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_is_exported_and_evaluated(defocusfix, config, tmp_path):
    run, graph = tmp_path / "run", tmp_path / "run.onnx"
    for typed in (
        ("train", "-r", "light-field", "-o", run, *words(config)),
        ("export", run, "-o", graph),
        ("evaluate", "-m", run, "--input", config.real.blurry, "--target", config.real.sharp),
        ("evaluate", "-m", graph, "--input", config.real.blurry, "--target", config.real.sharp),
        ("restore", config.real.blurry / "00.png", "-m", graph, "-o", tmp_path / "a.png"),
    ):
        told = defocusfix(*typed)
        assert told.exit_code == 0, told.stderr


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["pixel", "reblur"])
def test_two_processes_learn_in_two_steps_as_one_does(config, tmp_path, loss):
    changes = {
        "recipe.network": "focusnet-s", "recipe.real_loss": loss, "recipe.guidance.reblur.width": 8,
        "recipe.kernel_steps": int(loss == "reblur"), "recipe.light_field_rate": 1e-5,
    }  # fmt: skip
    settings = words(config, **changes)
    train(tmp_path / "one", 1, "-r", "light-field", *settings)
    train(tmp_path / "two", 2, "-r", "light-field", *settings)
    one, two = (read_weights(tmp_path / run / "weights.safetensors")[0] for run in ("one", "two"))
    apart = torch.cat([(one[name] - two[name]).abs().flatten() for name in one])
    # Each step moves a weight by up to 1e-5, and Adam one without a gradient by its rounding.
    assert apart.mean() < 1e-7
    assert (apart > 2e-5).float().mean() < 1e-5
    told = [[row["loss"] for row in losses(tmp_path / run)] for run in ("one", "two")]
    assert told[0] == pytest.approx(told[1], rel=1e-3)
