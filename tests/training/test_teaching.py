"""Teachers: how a picture is shown to them, what they answer, and what a network learns of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.errors import ModelError, UsageError
from defocusfix.networks.build import build_network
from defocusfix.networks.described import described
from defocusfix.networks.pyramid import nothing_known
from defocusfix.rendering.produce import RenderSettings, render_set
from defocusfix.training.recipe import Progress
from defocusfix.training.recipes.supervised import Config, build
from defocusfix.training.teaching import Question, Teachers
from defocusfix.training.weights import write_weights

VIEWS = [Question(0, turns, mirrored) for turns in range(4) for mirrored in (False, True)]
views = st.builds(Question, st.just(0), st.integers(0, 3), st.booleans())


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    def written(seed: int, name: str = "focusnet-s"):
        torch.manual_seed(seed)
        network = build_network(name)
        path = tmp_path_factory.mktemp("teacher") / "weights.safetensors"
        spec = described(network, name, licence="Apache-2.0", training_data="none")
        write_weights(path, network.state_dict(), spec)
        return path

    return written


@given(views, st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_what_is_answered_lies_as_the_picture_does(view, size):
    picture = torch.arange(2 * 3 * size[0] * size[1]).view(2, 3, *size)
    assert torch.equal(view.answered(view.shown(picture)), picture)


def test_the_eight_views_differ():
    picture = torch.arange(9).view(1, 1, 3, 3)
    assert len({tuple(view.shown(picture).flatten().tolist()) for view in VIEWS}) == 8


def test_all_teachers_and_all_views_are_asked_alike_often(weights):
    teachers = Teachers([weights(0), weights(1)])
    rng = np.random.default_rng(0)
    asked = [teachers.question(rng) for _ in range(1600)]
    counts = [asked.count(question) for question in set(asked)]
    assert len(counts) == 16
    assert 60 < min(counts) <= max(counts) < 140  # 100 expected; 4 standard deviations of 9.7


def test_a_teacher_answers_what_its_network_makes_of_the_turned_picture(weights):
    path = weights(2)
    torch.manual_seed(2)
    network = build_network("focusnet-s").eval()
    image = torch.rand(1, 3, 32, 48)
    below = nothing_known(image)
    turned = [torch.rot90(values.flip(-1), 1, (-2, -1)) for values in (image, below)]
    with torch.no_grad():
        expected = [torch.rot90(v, -1, (-2, -1)).flip(-1) for v in network(*turned)]
    answer = Teachers([path]).answer(Question(0, 1, True), image, below)
    for got, wanted in zip(answer, expected, strict=True):
        torch.testing.assert_close(got, wanted)
        assert not got.requires_grad


def test_only_networks_that_work_level_by_level_can_teach(weights, tmp_path):
    with pytest.raises(UsageError, match="only FocusNets"):
        Teachers([weights(0, "unet")])
    with pytest.raises(ModelError):
        Teachers([tmp_path / "none.safetensors"])


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    list(
        render_set(RenderSettings((), size=128, count=2, seed=0, shard_size=2), folder, processes=1)
    )
    return folder


def test_a_network_learns_from_its_teachers_at_every_level(weights, crops):
    torch.manual_seed(0)
    settings = {"crops": (crops,), "batch_size": 2, "steps": 10, "windows_px": (64, 48, 32)}
    alone = build(Config(**settings)).stages[0]
    stage = build(Config(**settings, teachers=(weights(3),), taught_share=0.75)).stages[0]
    batch, progress = stage.batch(0, 0, 1), Progress(stage.name, 4, stage.steps)
    found, again = stage.forward(batch, progress), stage.forward(batch, progress)
    for level, side in enumerate((64, 48, 32)):
        assert found[f"taught_{level}"].shape == (2, 3, side, side)
        assert torch.equal(found[f"taught_{level}"], again[f"taught_{level}"])
        assert not found[f"taught_{level}"].requires_grad
    turn = stage.turns[0]
    assert turn.terms(found, batch, progress).keys() == turn.weights.keys()
    # Both shares together weigh what the truth alone weighs.
    for term, weight in alone.turns[0].weights.items():
        taught = turn.weights.get(f"taught_{term}", 0.0)
        assert turn.weights[term] + taught == pytest.approx(weight)
        assert taught == pytest.approx(0.0 if term == "radius" else 0.75 * weight)


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_that_is_none_is_refused(crops, share):
    with pytest.raises(ValueError, match="taught_share"):
        Config(crops=(crops,), taught_share=share)


def test_photos_without_truth_are_learnt_from_teachers_alone(weights, crops, tmp_path):
    torch.manual_seed(0)
    picture = np.random.default_rng(0).integers(0, 256, (140, 150, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), picture)
    settings = {"crops": (crops,), "batch_size": 2, "steps": 10, "windows_px": (64, 48, 32)}
    settings |= {"teachers": (weights(3),), "known_radius_share": 0.0}
    plain = build(Config(**settings)).stages[0]
    stage = build(Config(**settings, unlabelled=(tmp_path,), unlabelled_share=1.5)).stages[0]
    batch, progress = stage.batch(0, 0, 1), Progress(stage.name, 4, stage.steps)
    assert batch["unlabelled"].shape == (3, 3, 128, 128)
    found = stage.forward(batch, progress)
    for level, side in enumerate((64, 48, 32)):
        assert found[f"taught_{level}"].shape == (5, 3, side, side)
        assert found[f"target_{level}"].shape == (2, 3, side, side)
        assert found[f"radius_{level}"].shape == (2, 1, side // 2, side // 2)
    terms = stage.turns[0].terms(found, batch, progress)
    assert terms.keys() == stage.turns[0].weights.keys() == plain.turns[0].weights.keys()
    # What has a truth is compared with it alone: other photos beside it change nothing there.
    others = stage.forward(batch | {"unlabelled": 1 - batch["unlabelled"]}, progress)
    changed = stage.turns[0].terms(others, batch, progress)
    for name, value in terms.items():
        assert torch.isclose(changed[name], value, rtol=1e-4) != name.startswith("taught_"), name


@pytest.mark.parametrize("told", [True, False])
def test_the_true_radius_is_told_where_it_is_known(weights, crops, tmp_path, told):
    picture = np.random.default_rng(0).integers(0, 256, (140, 150, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), picture)
    config = Config(
        crops=(crops,),
        batch_size=2,
        steps=10,
        windows_px=(64, 48, 32),
        teachers=(weights(3),),
        unlabelled=(tmp_path,),
        unlabelled_share=0.5,
        known_radius_share=float(told),
    )
    stage = build(config).stages[0]
    found = stage.forward(stage.batch(0, 0, 1), Progress(stage.name, 4, stage.steps))
    assert found["restored_0"].shape == (3, 3, 64, 64)


def test_photos_without_truth_need_a_teacher(weights, crops, tmp_path):
    with pytest.raises(ValueError, match="need teachers"):
        Config(crops=(crops,), unlabelled=(tmp_path,))
    with pytest.raises(ValueError, match=r"less than one window, got 0\.1 of 4"):
        Config(
            crops=(crops,),
            unlabelled=(tmp_path,),
            teachers=(tmp_path,),
            unlabelled_share=0.1,
            batch_size=4,
        )
