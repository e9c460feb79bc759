from __future__ import annotations

import json

import pytest
import torch

from defocusfix.rendering.produce import RenderSettings, render_set
from defocusfix.training.distributed import average, average_gradients, from_first
from defocusfix.training.weights import read_weights
from tests.training.misaligned import write_pairs
from tests.training.processes import train


def assert_trained_alike(one, two, *, rtol=1e-5, atol=1e-6):
    """The weights and the losses of two runs."""
    alone, _ = read_weights(one / "weights.safetensors")
    shared, _ = read_weights(two / "weights.safetensors")
    for name in alone:
        torch.testing.assert_close(alone[name], shared[name], rtol=rtol, atol=atol, msg=name)
    losses = [
        [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()
         if json.loads(line)["kind"] == "train"]
        for folder in (one, two)
    ]  # fmt: skip
    assert len(losses[0]) > 1
    assert losses[0] == pytest.approx(losses[1], rel=rtol)


@pytest.mark.slow
def test_two_processes_train_as_one_does_with_the_joint_batch(tmp_path):
    toy = ["-r", "toy", "--set", "recipe.steps=5", "--set", "recipe.critic=true"]
    train(tmp_path / "one", 1, *toy)
    train(tmp_path / "two", 2, *toy)
    assert_trained_alike(tmp_path / "one", tmp_path / "two")
    samples = [
        json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])["samples"]
        for folder in (tmp_path / "one", tmp_path / "two")
    ]
    assert samples == [4, 4]


@pytest.mark.slow
def test_two_processes_learn_from_misaligned_pairs_as_one_does(tmp_path):
    blurry, sharp = write_pairs(tmp_path / "pairs", 2)
    settings = {
        "recipe.blurry": blurry, "recipe.sharp": sharp, "recipe.network": "focusnet-s",
        "recipe.batch_size": 2, "recipe.samples_per_epoch": 2, "recipe.reblur_epochs": 1,
        "recipe.warm_up_epochs": 1, "recipe.full_epochs": 2, "recipe.data.crop_px": 64,
        "recipe.reblur.width": 8, "recipe.kernels_from": "target", "recipe.warm_up_reblurs": "true",
    }  # fmt: skip
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    train(tmp_path / "one", 1, "-r", "reblur-guided", *words)
    train(tmp_path / "two", 2, "-r", "reblur-guided", *words)
    assert_trained_alike(tmp_path / "one", tmp_path / "two", rtol=1e-4, atol=2e-5)
    last = json.loads((tmp_path / "two" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"to_output", "reblur", "kernels"} <= last.keys()  # both turns of the last stage


@pytest.mark.slow
def test_two_processes_train_against_a_critic_as_one_does(tmp_path):
    rendered = RenderSettings((), size=64, count=4, seed=0, shard_size=4)
    list(render_set(rendered, tmp_path / "set", processes=1))
    settings = {
        "crops": f'["{tmp_path / "set"}"]', "network": "defocusgan-small", "critic_width": 4,
        "crop_px": 32, "gan.feature_weight": 0, "gan.batch_size": 2, "gan.pixel_epochs": 1,
        "gan.joining_epochs": 1, "gan.adversarial_epochs": 1, "gan.fade_steps": 4,
        "gan.fade_after_epochs": 1,
    }  # fmt: skip
    words = [w for key, value in settings.items() for w in ("--set", f"recipe.{key}={value}")]
    train(tmp_path / "one", 1, "-r", "defocus-gan", *words)
    train(tmp_path / "two", 2, "-r", "defocus-gan", *words)
    assert_trained_alike(tmp_path / "one", tmp_path / "two", rtol=1e-4, atol=2e-5)
    last = json.loads((tmp_path / "two" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"wasserstein", "defocus", "penalty", "pixel", "adversarial"} <= last.keys()


@pytest.mark.slow
def test_two_processes_that_are_told_the_radius_train_as_one_is(tmp_path):
    rendered = RenderSettings((), size=64, count=4, seed=0, shard_size=4)
    list(render_set(rendered, tmp_path / "set", processes=1))
    settings = {
        "crops": f'["{tmp_path / "set"}"]', "levels": 2, "windows_px": "[32]", "batch_size": 2,
        "steps": 4, "known_radius_share": 0.5, "learning_rate": 1e-4,
    }  # fmt: skip
    words = [w for key, value in settings.items() for w in ("--set", f"recipe.{key}={value}")]
    train(tmp_path / "one", 1, *words)
    train(tmp_path / "two", 2, *words)
    assert_trained_alike(tmp_path / "one", tmp_path / "two", rtol=1e-4, atol=2e-5)


def test_alone_nothing_is_averaged():
    weight = torch.ones(2, requires_grad=True)
    weight.grad = torch.tensor([1.0, 2.0])
    average_gradients([weight])
    assert weight.grad.tolist() == [1.0, 2.0]
    assert average(torch.tensor([3.0])).tolist() == [3.0]
    assert from_first([1.0, 2.0], torch.device("cpu")) == [1.0, 2.0]
