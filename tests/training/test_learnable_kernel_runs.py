"""Both stages of the learnable blur kernel from one configuration."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from defocusfix.errors import UsageError
from defocusfix.pairs.crops import PairSettings
from defocusfix.training.checkpoint import read_checkpoint
from defocusfix.training.config import read_preset, resolve_config
from defocusfix.training.export import load_network
from defocusfix.training.recipes import learnable_kernel
from defocusfix.training.recipes.learnable_kernel import Config
from defocusfix.training.trainer import Outcome
from tests.training.runs import losses, play, state, trainer
from tests.training.small_gan import SMALL_GAN

STAGES = ["map 1", "kernels 1", "map 2", "kernels 2", "map 3"]
STAGES += ["pixels", "critic_joins", "adversarial"]

pytestmark = pytest.mark.usefixtures("tiny_blur_map")


@pytest.fixture
def config(half_blurred_crops):
    """Two steps per stage."""
    return Config(
        crops=(half_blurred_crops,),
        validation=half_blurred_crops,
        network="blur-map-small",
        data=PairSettings(crop_px=32),
        epochs=(1, 1, 1, 1, 1),
        batch_size=2,
        generator="defocusgan-small",
        critic_width=4,
        gan=SMALL_GAN,
    )


def test_the_stages_follow_each_other_and_the_generator_is_what_is_kept(config, tmp_path):
    assert play(trainer(tmp_path / "run", lambda: learnable_kernel.build(config))) == Outcome(
        "finished", 16
    )
    rows = losses(tmp_path / "run")
    assert [row["stage"] for row in rows[::2]] == STAGES
    assert {"reblur", "smoothness"} <= rows[0].keys()
    assert {"wasserstein", "defocus", "penalty", "pixel", "adversarial"} <= rows[-1].keys()
    network, spec = load_network(tmp_path / "run" / "weights.safetensors")
    assert spec.architecture == "defocusgan-small"
    with torch.no_grad():
        assert network(torch.rand(1, 3, 16, 32)).shape == (1, 3, 16, 32)


def test_maps_and_restorations_are_both_looked_at(config, tmp_path):
    run = trainer(tmp_path / "run", lambda: learnable_kernel.build(config), validate_steps=4)
    play(run)
    looks = run.folder.validations()
    assert [row["step"] for row in looks] == [4, 8, 12, 16]
    assert {"kept_db", "map_sign_accuracy", "map_reblur_error"} <= looks[0].keys()
    shown = {path.stem for path in (tmp_path / "run" / "samples").rglob("*.png")}
    assert any("-map_" in name for name in shown)
    assert any("-pair_" in name for name in shown)


@pytest.mark.parametrize(("ticks", "stage"), [(14, 2), (40, 7)])
def test_a_resumed_run_equals_an_unbroken_one_to_the_last_bit(config, tmp_path, ticks, stage):
    def build():
        return learnable_kernel.build(replace(config, validation=None))

    assert play(trainer(tmp_path / "unbroken", build)) == Outcome("finished", 16)
    clock = itertools.count().__next__  # ticks at every look
    broken = trainer(tmp_path / "broken", build, clock=clock, max_hours=ticks / 3600)
    assert play(broken).reason == "time"
    cut = read_checkpoint(tmp_path / "broken" / "last.ckpt")
    assert (cut.stage, cut.step) == (stage, 1)
    resumed = trainer(tmp_path / "broken", build, resume=True, seed=77)
    assert play(resumed) == Outcome("finished", 16)
    one, other = state(tmp_path / "unbroken"), state(tmp_path / "broken")
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert losses(tmp_path / "unbroken") == losses(tmp_path / "broken")


def test_maps_learn_nothing_from_the_second_stage(config):
    torch.manual_seed(0)
    recipe = learnable_kernel.build(config)
    assert [stage.name for stage in recipe.stages] == STAGES
    trained = {name for stage in recipe.stages[5:] for turn in stage.turns for name in turn.trains}
    assert trained == {"generator", "critic"}


def test_crops_that_do_not_fit_the_generator_are_refused(config):
    with pytest.raises(UsageError, match="crop_px = 32 does not fit focusnet-s"):
        learnable_kernel.build(replace(config, generator="focusnet-s"))


def test_the_preset_of_the_paper_has_both_stages(half_blurred_crops):
    preset = read_preset("learnable-kernel", "paper")
    config = resolve_config("learnable-kernel", preset, ['recipe.data_set="DPDD"']).recipe
    assert config.generator == "defocusgan"
    assert (config.total_epochs, config.gan.total_epochs) == (30, 91)
