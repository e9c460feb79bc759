"""DefocusGAN's stages: what each moves, how the masks fade, cut off and gone on with."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from defocusfix.errors import ModelError, UsageError
from defocusfix.networks.build import build_network
from defocusfix.networks.described import described
from defocusfix.networks.pyramid import restore_levels
from defocusfix.restoration.restorer import open_restorer
from defocusfix.training.adversarial import critic_terms
from defocusfix.training.checkpoint import read_checkpoint
from defocusfix.training.config import read_preset, resolve_config
from defocusfix.training.export import export_onnx, load_network
from defocusfix.training.recipe import Progress
from defocusfix.training.recipes import learnable_kernel_gan as stages_of_gan
from defocusfix.training.recipes.defocus_gan import Config, build
from defocusfix.training.recipes.learnable_kernel_gan import GanConfig, mask_schedule, radius_of
from defocusfix.training.trainer import Outcome
from defocusfix.training.weights import write_weights
from tests.training.reblur_steps import stage_of, step_of
from tests.training.runs import losses, play, state, trainer
from tests.training.small_gan import SMALL_GAN


@pytest.fixture(scope="module")
def config(rendered_crops) -> Config:
    """Two steps per stage."""
    return Config(
        crops=(rendered_crops,),
        network="defocusgan-small",
        critic_width=4,
        crop_px=32,
        gan=SMALL_GAN,
    )


@pytest.fixture
def recipe(config):
    torch.manual_seed(0)
    return build(config)


def test_the_three_stages_and_what_each_lowers(recipe):
    generator = {"pixel": 0.5, "defocus_pixel": 0.01}
    critic = {"wasserstein": 1.0, "defocus": 0.1, "penalty": 10.0}
    told = {
        stage.name: [(turn.trains, turn.repeat, dict(turn.weights)) for turn in stage.turns]
        for stage in recipe.stages
    }
    assert told == {
        "pixels": [(("generator",), 1, generator)],
        "critic_joins": [(("critic",), 2, critic), (("generator",), 1, generator)],
        "adversarial": [
            (("critic",), 2, critic),
            (("generator",), 1, generator | {"adversarial": 0.001}),
        ],
    }
    assert [stage.steps for stage in recipe.stages] == [2, 2, 2]


@pytest.mark.parametrize(
    ("stage", "moved"),
    [
        ("pixels", {"generator"}),
        ("critic_joins", {"generator", "critic"}),
        ("adversarial", {"generator", "critic"}),
    ],
)
def test_a_step_lowers_the_named_terms_and_moves_those_who_learn(recipe, stage, moved):
    terms, found = step_of(recipe, stage)
    assert found == moved
    assert all(map(math.isfinite, terms.values()))
    assert terms.keys() == {n for turn in stage_of(recipe, stage).turns for n in turn.weights}


def test_of_the_reference_masks_are_full_for_nine_epochs_and_gone_after_20000_steps():
    gan, per_epoch = GanConfig(), 7000 / 4
    joins = mask_schedule(gan, 5, 5, per_epoch)
    assert joins(Progress("critic_joins", 0, 8750)) == 1
    assert joins(Progress("critic_joins", 7000, 8750)) == 1  # nine epochs are over
    assert joins(Progress("critic_joins", 7001, 8750)) == pytest.approx(1, abs=1e-7)
    assert joins(Progress("critic_joins", 7001, 8750)) < 1
    last = mask_schedule(gan, 10, 81, per_epoch)
    steps = 81 * 1750
    for step in (0, 5000, 18_000):
        expected = math.exp(-((2 * (1750 + step) / 20_000) ** 2))
        assert last(Progress("adversarial", step, steps)) == pytest.approx(expected)
    assert last(Progress("adversarial", 18_249, steps)) == pytest.approx(math.exp(-4), rel=1e-3)
    assert last(Progress("adversarial", 18_251, steps)) == 0
    assert last(Progress("adversarial", steps - 1, steps)) == 0


def test_no_masks_at_all_where_they_take_no_steps_to_fade():
    schedule = mask_schedule(replace(GanConfig(), fade_steps=0), 0, 5, 10)
    assert schedule(Progress("pixels", 0, 50)) == 0


def test_the_map_masks_what_is_learnt_until_the_masks_are_gone(config):
    faded = replace(config, gan=replace(SMALL_GAN, fade_after_epochs=0, fade_steps=2))
    torch.manual_seed(0)
    stages = build(faded).stages

    def restored(stage, factor: float) -> torch.Tensor:
        batch = stage.batch(0, 0, 1)
        batch["radius_px"] = batch["radius_px"] * factor
        with torch.no_grad():
            return stage.forward(batch, Progress(stage.name, 0, stage.steps))["restored"]

    assert not torch.equal(restored(stages[0], 0), restored(stages[0], 1))
    assert torch.equal(restored(stages[1], 0), restored(stages[1], 1))


def test_learning_rates_halve_over_all_stages_together(rendered_crops):
    gan = replace(SMALL_GAN, pixel_epochs=30, joining_epochs=30, adversarial_epochs=31)
    found = build(
        Config(crops=(rendered_crops,), network="defocusgan-small", critic_width=4, gan=gan)
    )
    for stage, factor in zip(found.stages, (1, 0.5, 0.25), strict=True):
        for step in (0, stage.steps // 2):
            rate = stage.learning_rate(Progress(stage.name, step, stage.steps))
            assert rate == pytest.approx(1e-3 * factor)
    assert found.stages[2].learning_rate(Progress("adversarial", 61, 62)) == pytest.approx(1.25e-4)


def test_the_exact_map_is_the_radius_of_the_rendered_pair(recipe):
    batch = recipe.stages[0].batch(0, 0, 1)
    radius = radius_of({}, batch)
    assert radius.shape == (2, 1, 32, 32)
    assert torch.equal(radius[:, :, ::2, 1::2], batch["radius_px"])


def test_a_focusnet_may_say_how_blurred_a_place_is_and_learns_nothing(config, tmp_path):
    torch.manual_seed(3)
    network = build_network("focusnet-s")
    write_weights(
        tmp_path / "w.safetensors", network.state_dict(), described(network, "focusnet-s")
    )
    told = replace(config, estimator=tmp_path / "w.safetensors", crop_px=64)
    made = build(told)
    batch = made.stages[0].batch(0, 0, 1)
    with torch.no_grad():
        expected = restore_levels(network, batch["blurred"], 3)[0][1]
    torch.testing.assert_close(radius_of(made.modules, batch), expected)
    assert step_of(made, "adversarial")[1] == {"generator", "critic"}


def test_a_blur_map_sees_both_views_or_the_photo_twice():
    torch.manual_seed(0)
    network, views = build_network("blur-map-small"), torch.rand(2, 6, 16, 16)
    with torch.no_grad():
        both = network.estimator(views).abs().amax(dim=1, keepdim=True)
        alone = network.estimator(views[:, :3].repeat(1, 2, 1, 1))
    modules, batch = {"estimator": network}, {"blurred": views[:, :3]}
    torch.testing.assert_close(radius_of(modules, batch | {"views": views}), both)
    expected = alone.abs().amax(dim=1, keepdim=True)
    torch.testing.assert_close(radius_of(modules, batch), expected)
    assert expected.max() > 0


def test_an_estimator_that_knows_no_radius_is_refused(config, tmp_path):
    network = build_network("defocusgan-small")
    facts = described(network, "defocusgan-small")
    write_weights(tmp_path / "w.safetensors", network.state_dict(), facts)
    with pytest.raises(UsageError, match="says nothing of the radius"):
        build(replace(config, estimator=tmp_path / "w.safetensors"))


def test_each_move_of_the_critic_looks_elsewhere_between_the_photos(recipe, monkeypatch):
    seen = []

    def noted(critic, *photos, mixing, norm):
        seen.append(mixing)
        return critic_terms(critic, *photos, mixing=mixing, norm=norm)

    monkeypatch.setattr(stages_of_gan, "critic_terms", noted)
    step_of(recipe, "critic_joins")
    torch.manual_seed(5)
    step_of(recipe, "adversarial")
    step_of(recipe, "adversarial")
    assert len(set(seen[:4])) == 4
    assert seen[2:4] == seen[4:]  # of the step's number, not of a generator's state
    assert all(0 <= mixing < 1 for mixing in seen)


def test_features_are_compared_in_the_order_of_colours_that_the_reference_has(config, monkeypatch):
    seen = []

    class Features:
        def __call__(self, restored, target):
            seen.append(target)
            return (restored - target).square().mean()

    monkeypatch.setattr(stages_of_gan, "feature_loss", lambda settings: Features())
    for colours in ("bgr", "rgb"):
        gan = replace(SMALL_GAN, feature_weight=0.006, feature_colours=colours)
        made = build(replace(config, gan=gan))
        assert made.stages[0].turns[0].weights["feature"] == 0.006
        assert step_of(made, "adversarial")[0]["feature"] > 0
    batch = made.stages[0].batch(0, 0, 1)
    torch.testing.assert_close(seen[0], batch["all_in_focus"].flip(1))
    torch.testing.assert_close(seen[1], batch["all_in_focus"])


def test_the_references_features_are_those_before_the_last_relu_of_conv3_3():
    feature = GanConfig().feature
    assert (feature.layers, feature.distance, feature.normalises) == (("conv3_3",), "l2", False)


def test_without_the_weights_of_vgg_the_recipe_says_what_to_do(config):
    with pytest.raises(ModelError, match="VGG-19"):
        build(replace(config, gan=replace(SMALL_GAN, feature_weight=0.006)))


def test_a_focusnet_is_made_crisper_and_its_map_stays(rendered_crops):
    gan = replace(SMALL_GAN, pixel_epochs=0, joining_epochs=0)
    torch.manual_seed(0)
    made = build(Config(crops=(rendered_crops,), network="focusnet-s", critic_width=4, gan=gan))
    assert [stage.name for stage in made.stages] == ["adversarial"]
    assert (made.spec.levels, made.spec.outputs) == (3, ("restored", "radius_px"))
    network = made.modules["generator"]
    before = [p.clone() for p in network.map.parameters()]
    assert step_of(made, "adversarial")[1] == {"generator", "critic"}
    assert all(map(torch.equal, before, network.map.parameters()))


def built_by(config: Config):
    return lambda: build(config)


@pytest.mark.parametrize(("ticks", "stage"), [(10, 1), (14, 2)])
def test_a_resumed_run_equals_an_unbroken_one_to_the_last_bit(config, tmp_path, ticks, stage):
    assert play(trainer(tmp_path / "unbroken", built_by(config))) == Outcome("finished", 6)
    clock = itertools.count().__next__  # ticks at every look
    broken = trainer(tmp_path / "broken", built_by(config), clock=clock, max_hours=ticks / 3600)
    assert play(broken).reason == "time"
    cut = read_checkpoint(tmp_path / "broken" / "last.ckpt")
    assert (cut.stage, cut.step) == (stage, 1)
    resumed = trainer(tmp_path / "broken", built_by(config), resume=True, seed=77)
    assert play(resumed) == Outcome("finished", 6)
    one, other = state(tmp_path / "unbroken"), state(tmp_path / "broken")
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert losses(tmp_path / "unbroken") == losses(tmp_path / "broken")
    last = losses(tmp_path / "broken")[-1]
    assert {"wasserstein", "defocus", "penalty", "pixel", "adversarial"} <= last.keys()


def test_a_run_ends_with_a_network_that_restores_without_a_map(config, rendered_crops, tmp_path):
    longer = replace(
        config, validation=rendered_crops, samples_per_epoch=12, gan=replace(SMALL_GAN, clip=1.0)
    )
    play(trainer(tmp_path / "run", built_by(longer)))
    rows = losses(tmp_path / "run")
    assert rows[-1]["pixel"] < 0.8 * rows[0]["pixel"]
    network, spec = load_network(tmp_path / "run" / "best.safetensors")
    assert (spec.levels, spec.outputs, spec.size_multiple) == (1, ("restored",), 16)
    with torch.no_grad():
        assert network(torch.rand(1, 3, 16, 32)).shape == (1, 3, 16, 32)


@pytest.mark.slow
def test_the_network_becomes_a_file_with_which_restore_works(tmp_path):
    torch.manual_seed(0)
    network = build_network("defocusgan-small").eval()
    facts = described(network, "defocusgan-small")
    exported = export_onnx(network, facts, tmp_path / "out.onnx")
    assert max(parity.engine for parity in exported.parities) <= 1e-4
    restorer = open_restorer(exported.path, engine="onnxruntime", device="cpu", threads=1)
    photo = np.random.default_rng(2).random((100, 60, 3), dtype=np.float32)
    found = restorer(photo)
    assert found.image.shape == photo.shape
    assert found.defocus_map is None
    with torch.no_grad():
        image = torch.from_numpy(photo[:96, :48].transpose(2, 0, 1)[None].copy())
        alone = network(image)[0].permute(1, 2, 0).numpy()
    assert np.abs(found.image[:32, :16] - alone[:32, :16]).mean() < 0.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pixel_weight": -1.0}, "must not be negative"),
        ({"pixel_weight": 0.0}, "pixel_weight or feature_weight"),
        ({"pixel_epochs": -1.0}, "epochs must not be negative"),
        ({"pixel_epochs": 0.0, "joining_epochs": 0.0, "adversarial_epochs": 0.0}, "0 epochs"),
        ({"fade_steps": -1}, "must not be negative"),
        ({"critic_repeats": 0}, "at least 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL_GAN, **change)


def test_crops_and_weights_that_do_not_fit_are_refused(config, rendered_crops, tmp_path):
    with pytest.raises(ValueError, match="crops is empty"):
        Config()
    with pytest.raises(UsageError, match="crop_px = 24 does not fit"):
        build(replace(config, crop_px=24))
    network = build_network("defocusgan-small")
    facts = described(network, "defocusgan-small")
    write_weights(tmp_path / "w.safetensors", network.state_dict(), facts)
    with pytest.raises(ModelError, match="do not fit focusnet-s"):
        build(
            replace(config, network="focusnet-s", crop_px=64, start_from=tmp_path / "w.safetensors")
        )


@pytest.mark.parametrize("preset", ["paper", "focusnet-s"])
def test_the_presets_are_read(rendered_crops, preset):
    table = read_preset("defocus-gan", preset)
    found = resolve_config("defocus-gan", table, [f'recipe.crops=["{rendered_crops}"]']).recipe
    assert found.gan.critic_repeats == 2
    if preset == "paper":
        assert found.gan == GanConfig()
