"""The benchmark of the two steps: what it shares, what it does not do twice, its stand-ins."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch

from defocusfix.networks.build import BUILDERS
from defocusfix.training.recipes.light_field import build
from tests.training.misaligned import write_pairs

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def claim(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    benchmark = importlib.import_module("two_step_claim")
    monkeypatch.setitem(BUILDERS, benchmark.NETWORK, benchmark.SmallResidualUNet)
    return benchmark


@pytest.fixture
def places(claim, tmp_path):
    write_pairs(tmp_path / "pairs", 2, size=(112, 128))
    return claim.Places(tmp_path, tmp_path / "crops", (tmp_path / "pairs",), None, None, 0)


def test_the_network_starts_from_the_photo_as_it_is(claim):
    network, image = claim.SmallResidualUNet().eval(), torch.rand(1, 3, 32, 48)
    assert torch.equal(network(image), image)
    assert sum(values.numel() for values in network.parameters()) == 487_860


def test_methods_share_their_first_part_and_nothing_is_done_twice(claim, places, monkeypatch):
    trained = []

    def train(places, config, file, loss="pixel"):
        trained.append((file.stem, loss, config.start_from and config.start_from.stem))
        file.touch()

    monkeypatch.setattr(claim, "train", train)
    monkeypatch.setattr(claim, "loaded", lambda file: torch.nn.Identity())
    monkeypatch.setattr(claim, "restoring", lambda network: network)
    monkeypatch.setattr(claim, "scores", lambda *_: {"brackets": 1.0})
    monkeypatch.setattr(claim, "settings", lambda *_: claim.Config(**minimal(places)))
    names = list(claim.METHODS)[:3]
    claim.play(places, names[:2], claim.Unseen([], []))
    claim.play(places, names, claim.Unseen([], []))
    first = "first rendered, seed 0"
    losses = [claim.METHODS[name].loss for name in names]
    assert trained == [
        (first, "pixel", None),
        *((f"{name}, seed 0", loss, first) for name, loss in zip(names, losses, strict=True)),
    ]
    rows = [json.loads(line) for line in (places.work / "runs.jsonl").read_text().splitlines()]
    assert [row["method"] for row in rows] == ["untouched", *names]


def minimal(places) -> dict[str, object]:
    rendered = importlib.import_module("defocusfix.training.rendered_data")
    return {"rendered": rendered.RenderedChoice(crops=(places.crops,)), "real_steps": 0}


def test_every_loss_is_a_setting_of_the_recipe(claim, places):
    for loss in ("pixel", "reblur"):
        config = claim.settings(places, "real", 20, 1e-4, loss)
        recipe = build(config)
        assert sum(stage.steps for stage in recipe.stages) == 20
        assert [stage.name for stage in recipe.stages][-1] == "real"
        assert (len(recipe.stages) == 2) == (loss == "reblur")


def test_efficientnets_features_are_those_of_plain_convolutions_with_tensorflows_padding(
    claim, tmp_path
):
    features = importlib.import_module("imagenet_features")
    torch.manual_seed(0)
    state = random_state([(32, 16, 3), (16, 24, 3), (24, 24, 3), (24, 40, 5), (40, 40, 5)])
    torch.save(state, tmp_path / "lite.pth")
    network = features.EfficientNetFeatures(tmp_path / "lite.pth")
    image = torch.rand(1, 3, 48, 64, requires_grad=True)
    found = network(image)
    assert {name: tuple(values.shape[1:]) for name, values in found.items()} == {
        "block_0": (16, 24, 32), "block_2": (24, 12, 16), "block_4": (40, 6, 8),
    }  # fmt: skip
    sum(values.sum() for values in found.values()).backward()
    assert image.grad.abs().sum() > 0
    # An even side halved by a kernel of 3: nothing is padded on the left, one pixel on the right.
    stem = network.stem
    expected = torch.nn.functional.conv2d(
        torch.nn.functional.pad(image, (0, 1, 0, 1)), stem.weight, stem.bias, stride=2
    )
    torch.testing.assert_close(stem(image), expected)


def random_state(blocks: list[tuple[int, int, int]]) -> dict[str, torch.Tensor]:
    """Of the first blocks, (inputs, outputs, kernel), under the published names."""
    state: dict[str, torch.Tensor] = {}

    def add(name: str, norm: str, shape: tuple[int, ...]) -> None:
        state[f"{name}.weight"] = 0.1 * torch.randn(shape)
        for part, values in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0),
                             ("running_var", 1.0)):  # fmt: skip
            state[f"{norm}.{part}"] = torch.full((shape[0],), values)

    add("_conv_stem", "_bn0", (32, 3, 3, 3))
    for number, (inputs, outputs, kernel) in enumerate(blocks):
        block, wide = f"_blocks.{number}", inputs * (6 if number else 1)
        if number:
            add(f"{block}._expand_conv", f"{block}._bn0", (wide, inputs, 1, 1))
        add(f"{block}._depthwise_conv", f"{block}._bn1", (wide, 1, kernel, kernel))
        add(f"{block}._project_conv", f"{block}._bn2", (outputs, wide, 1, 1))
    return state
