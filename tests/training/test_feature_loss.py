"""The feature loss, with random weights: what it measures, what it forgives, what it needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from defocusfix.errors import ModelError
from defocusfix.networks.vgg import Vgg19Features
from defocusfix.training.feature_loss import (
    FeatureLoss,
    FeatureSettings,
    feature_loss,
    load_vgg19,
)
from tests.evaluation.scenes import blurred, texture

SIDE = 48


def loss_of(*layers: str, **settings) -> FeatureLoss:
    """With the same random weights every time."""
    torch.manual_seed(0)
    chosen = FeatureSettings(layers=layers or FeatureSettings().layers, **settings)
    network = Vgg19Features(chosen.layers, normalises=chosen.normalises)
    return FeatureLoss(network, chosen.weights_by_layer, chosen.distance)


def as_batch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A picture, the same a pixel further right, and the same out of focus."""
    wide = texture(SIDE + 2, SIDE + 2)
    inner = slice(1, -1)
    return (
        as_batch(wide[inner, inner]),
        as_batch(wide[inner, :-2]),
        as_batch(blurred(wide, 1.5)[inner, inner]),
    )


def test_equal_pictures_have_no_distance_and_others_have_some(pictures):
    loss = loss_of()
    sharp, shifted, soft = pictures
    assert loss(sharp, sharp) == 0
    assert loss(soft, sharp) > 0
    assert loss(shifted, sharp) > 0


def test_gradients_reach_the_restored_picture_and_lead_to_the_target(pictures):
    sharp, _, soft = pictures
    loss = loss_of()
    restored, target = soft.clone().requires_grad_(), sharp.clone().requires_grad_()
    before = loss(restored, target)
    before.backward()
    assert target.grad is None
    step = 1e-2 / restored.grad.abs().max()
    assert loss((restored - step * restored.grad).detach(), sharp) < before


def test_each_layer_enters_by_its_weight(pictures):
    sharp, _, soft = pictures
    layers = ("relu1_2", "relu2_2", "relu3_4")
    alone = [loss_of(name)(soft, sharp) for name in layers]
    assert len({float(value) for value in alone}) == 3
    assert loss_of(*layers)(soft, sharp) == pytest.approx(float(sum(alone)) / 3)
    weighted = loss_of(*layers, layer_weights=(1.0, 0.0, 3.0))(soft, sharp)
    assert weighted == pytest.approx(float(alone[0] + 3 * alone[2]) / 4)


def test_the_squared_distance_is_that_of_the_features(pictures):
    sharp, _, soft = pictures
    torch.manual_seed(0)
    network = Vgg19Features(("conv3_3",), normalises=False)
    expected = (network(soft)["conv3_3"] - network(sharp)["conv3_3"]).square().mean()
    found = loss_of("conv3_3", distance="l2", normalises=False)(soft, sharp)
    assert found == pytest.approx(float(expected))


def test_features_mind_a_shift_of_one_pixel_less_than_pixels_do(pictures):
    # Sharp but a pixel aside, against blurred by 1.5 px in its place. Measured over ten pictures
    # and three sets of random weights: L1 1.2 on textures, relu1_2 1.2, relu2_2 0.75 to 0.9,
    # relu3_4 0.47 to 0.53. So L1 prefers the blurred picture, deep features the sharp one.
    sharp, shifted, soft = pictures
    by_pixels = (shifted - sharp).abs().mean() / (soft - sharp).abs().mean()
    by_features = loss_of("relu3_4")(shifted, sharp) / loss_of("relu3_4")(soft, sharp)
    assert by_pixels > 1
    assert by_features < 0.7


def test_under_autocast_the_loss_is_float32(pictures):
    sharp, _, soft = pictures
    with torch.autocast("cpu", torch.bfloat16):
        found = loss_of()(soft.bfloat16(), sharp)
    assert found.dtype == torch.float32
    assert found == pytest.approx(float(loss_of()(soft, sharp)), rel=0.05)


def test_pictures_of_different_shapes_are_refused(pictures):
    with pytest.raises(ValueError, match="shapes differ"):
        loss_of()(pictures[0], pictures[0][..., 1:])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"layers": ()}, "one layer or several"),
        ({"layers": ("relu1_2", "relu1_2")}, "once each"),
        ({"layers": ("relu7_1",)}, "no layer 'relu7_1'"),
        ({"layer_weights": (1.0,)}, "3 layers need as many"),
        ({"layer_weights": (0.0, 0.0, 0.0)}, "one of them is above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        FeatureSettings(**settings)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> dict[str, Path]:
    """A file as torchvision and one as timm publish theirs, classifier included; random weights."""
    folder = tmp_path_factory.mktemp("vgg")
    torch.manual_seed(1)
    features = Vgg19Features(("relu1_2",)).state_dict()
    torch.save(features | {"classifier.0.weight": torch.zeros(4, 4)}, folder / "vgg19.pth")
    save_file(features | {"head.fc.weight": torch.zeros(4, 4)}, folder / "model.safetensors")
    return {"torchvision": folder / "vgg19.pth", "timm": folder / "model.safetensors"}


@pytest.mark.parametrize("source", ["torchvision", "timm"])
def test_published_weights_are_read_without_their_classifier(published, source, pictures):
    sharp, _, soft = pictures
    torch.manual_seed(1)
    expected = FeatureLoss(Vgg19Features(("relu1_2",)), {"relu1_2": 1.0})
    found = feature_loss(FeatureSettings(layers=("relu1_2",), weights=published[source]))
    assert found(soft, sharp) == expected(soft, sharp)


def test_weights_that_are_absent_are_asked_for_by_name():
    with pytest.raises(ModelError) as caught:
        feature_loss(FeatureSettings())
    assert "VGG-19" in caught.value.what
    assert "vgg19-features" in caught.value.why  # the folder that was looked into
    assert "defocusfix models pull vgg19-features" in caught.value.fix
    assert "recipe.feature.weights=" in caught.value.fix


def test_weights_in_the_folder_of_the_catalogue_are_found(published, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFOCUSFIX_CACHE_DIR", str(tmp_path))
    place = tmp_path / "defocusfix" / "vgg19-features" / "model.safetensors"
    place.parent.mkdir(parents=True)
    place.write_bytes(published["timm"].read_bytes())
    assert feature_loss(FeatureSettings()) is not None


def test_files_that_hold_something_else_are_refused(published, tmp_path):
    network = Vgg19Features(("relu1_2",))
    part = dict(network.state_dict())
    del part["features.34.bias"]
    torch.save(part, tmp_path / "part.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "text.safetensors").write_text("weights")
    for name, reason in (
        ("part.pth", "features.34.bias"), ("list.pth", "holds a list"),
        ("text.safetensors", ""), ("missing.pth", "No such file"),
    ):  # fmt: skip
        with pytest.raises(ModelError, match="does not hold the weights of VGG-19") as caught:
            load_vgg19(network, tmp_path / name)
        assert reason in caught.value.why
