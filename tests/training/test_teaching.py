"""Teachers: how a picture is shown to them, what they answer, and the sets they make of it."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.errors import InputError, ModelError, OutputError, UsageError
from defocusfix.networks.build import build_network
from defocusfix.networks.described import described
from defocusfix.networks.pyramid import image_pyramid, restore_levels
from defocusfix.pairs.rendered import RenderedSet, shard_folder
from defocusfix.rendering.photos import dead_leaves
from defocusfix.training.data import as_batch
from defocusfix.training.recipe import Progress
from defocusfix.training.recipes.supervised import Config, build
from defocusfix.training.taught_set import Pictures, teach_set
from defocusfix.training.teaching import VIEWS, Teachers, View
from defocusfix.training.weights import write_weights

CPU = torch.device("cpu")
ROUNDING = 4e-3  # of bf16, which has 8 bits
views = st.builds(View, st.integers(0, 3), st.booleans())


def network_of(seed: int, name: str = "focusnet-s2"):
    torch.manual_seed(seed)
    return build_network(name).eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    def written(seed: int, name: str = "focusnet-s2"):
        network = network_of(seed, name)
        path = tmp_path_factory.mktemp("teacher") / "weights.safetensors"
        spec = described(network, name, licence="Apache-2.0", training_data="none")
        write_weights(path, network.state_dict(), spec)
        return path

    return written


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "photo.png"), dead_leaves(np.random.default_rng(0), 150))
    return folder


@given(views, st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_what_is_answered_lies_as_the_picture_does(view, size):
    picture = torch.arange(2 * 3 * size[0] * size[1]).view(2, 3, *size)
    assert torch.equal(view.answered(view.shown(picture)), picture)


def test_the_eight_views_differ():
    picture = torch.arange(9).view(1, 1, 3, 3)
    assert len({tuple(view.shown(picture).flatten().tolist()) for view in VIEWS}) == 8


def test_the_answer_is_the_mean_over_networks_and_views(weights):
    files = [weights(1), weights(2), weights(1)]
    files[2] = files[0]  # counts twice
    image = torch.rand(2, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    wanted = torch.zeros(2, 4, 64, 128)
    with torch.no_grad():
        for seed, weight in ((1, 2), (2, 1)):
            network = network_of(seed)
            for view in VIEWS:
                found = restore_levels(network, view.shown(image), 3)[0]
                wanted += weight / 24 * view.answered(torch.cat(found, dim=1))
    # Every view of the second is asked about; of the first, which is named twice, it would be 16.
    with pytest.raises(UsageError, match="asked about 16 views"):
        Teachers(files, views=8, device=CPU)
    teachers = Teachers(files, views=4, device=CPU)
    assert teachers.passes == 12
    rng = np.random.default_rng(0)
    answers = [torch.cat(teachers.answer(image, rng), dim=1) for _ in range(12)]
    errors = [float((answer - wanted).abs().max()) for answer in answers]
    # Four of eight views of the second network differ from one time to the next, and in the mean
    # over several times they are all eight.
    assert len(set(errors)) > 6
    mean = torch.stack(answers).mean(dim=0)
    assert float((mean - wanted).abs().max()) < max(ROUNDING, 0.75 * max(errors))
    assert not mean.requires_grad


def test_a_network_that_is_asked_about_all_views_always_answers_the_same(weights):
    teachers = Teachers([weights(3)], views=8, device=CPU)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    one, other = (teachers.answer(image, np.random.default_rng(k))[0] for k in range(2))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
    mirrored = teachers.answer(image.flip(-1), np.random.default_rng(0))[0].flip(-1)
    torch.testing.assert_close(one, mirrored, atol=1e-6, rtol=0)


def test_only_networks_that_work_level_by_level_can_teach(weights, tmp_path):
    with pytest.raises(UsageError, match="only FocusNets"):
        Teachers([weights(0, "unet")], views=1, device=CPU)
    with pytest.raises(ModelError):
        Teachers([tmp_path / "none.safetensors"], views=1, device=CPU)


def test_pairs_keep_their_pictures_and_their_exact_radius(weights, rendered_crops, tmp_path):
    teachers = Teachers([weights(3)], views=8, device=CPU)
    pictures = Pictures.of(rendered_crops, count=3, size=256, seed=0)
    assert (pictures.facts["source"], pictures.count, pictures.size) == ("pairs", 3, 64)
    counts = list(teach_set(pictures, teachers, tmp_path / "set", seed=0, shard_size=2))
    assert counts == [0, 2, 3]
    taught, pairs = RenderedSet(tmp_path / "set"), RenderedSet(rendered_crops)
    assert len(taught) == 3
    for k in range(3):
        blurred, restored, radius = taught[k]
        np.testing.assert_array_equal(blurred, pairs[k][0])
        np.testing.assert_array_equal(radius, pairs[k][2])
        image = as_batch(np.array(blurred[None]))
        answer = teachers.answer(image, np.random.default_rng(0))[0][0].clamp(0, 1)
        difference = restored / 255 - answer.permute(1, 2, 0).numpy()
        assert np.abs(difference).max() < 0.51 / 255
    with pytest.raises(InputError, match="what networks restored"):
        taught.require_truth()


def test_photos_have_the_radius_that_the_teachers_see(weights, photos, tmp_path):
    teachers = Teachers([weights(3)], views=8, device=CPU)
    pictures = Pictures.of(photos, count=2, size=64, seed=5)
    list(teach_set(pictures, teachers, tmp_path / "set", seed=0))
    blurred, restored, radius = RenderedSet(tmp_path / "set")[1]
    np.testing.assert_array_equal(blurred, pictures.get(1)[0])
    assert not np.array_equal(restored, blurred)
    image = as_batch(np.array(blurred[None]))
    seen = teachers.answer(image, np.random.default_rng(0))[1][0, 0]
    wanted = seen.view(32, 2, 32, 2).mean(dim=(1, 3)).numpy()
    np.testing.assert_allclose(radius, wanted, rtol=2e-3, atol=1e-3)  # stored in half precision


def test_a_taught_set_goes_on_where_it_stopped_and_ends_the_same(weights, photos, tmp_path):
    teachers = Teachers([weights(3)], views=1, device=CPU)
    pictures = Pictures.of(photos, count=5, size=64, seed=5)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert list(teach_set(pictures, teachers, whole, seed=0, shard_size=2)) == [0, 2, 4, 5]
    list(teach_set(pictures, teachers, cut, seed=0, shard_size=2))
    shutil.rmtree(shard_folder(cut, 1))
    assert list(teach_set(pictures, teachers, cut, seed=0, shard_size=2)) == [3, 5]
    for index in range(5):
        for a, b in zip(RenderedSet(whole)[index], RenderedSet(cut)[index], strict=True):
            np.testing.assert_array_equal(a, b)
    other = Teachers([weights(3)], views=2, device=CPU)
    with pytest.raises(OutputError, match="differs in teachers"):
        list(teach_set(pictures, other, cut, seed=0, shard_size=2))


def test_pictures_must_suit_the_teachers(weights, photos, tmp_path):
    teachers = Teachers([weights(3)], views=1, device=CPU)
    pictures = Pictures.of(photos, count=1, size=72, seed=0)
    with pytest.raises(UsageError, match="multiples of 64 px"):
        list(teach_set(pictures, teachers, tmp_path / "set", seed=0))
    assert not (tmp_path / "set").exists()


def test_a_network_learns_from_a_taught_set_as_from_rendered_pairs(weights, photos, tmp_path):
    teachers = Teachers([weights(3)], views=1, device=CPU)
    pictures = Pictures.of(photos, count=2, size=128, seed=0)
    list(teach_set(pictures, teachers, tmp_path / "set", seed=0))
    settings = {"batch_size": 2, "steps": 10, "windows_px": (64, 48, 32)}
    batch = build(Config(crops=(tmp_path / "set",), **settings)).stages[0].batch(0, 0, 1)
    assert batch["blurred"].shape == batch["all_in_focus"].shape == (2, 3, 128, 128)
    assert batch["radius_px"].min() >= 0
    with pytest.raises(InputError, match="what networks restored"):
        build(Config(crops=(tmp_path / "set",), validation=tmp_path / "set", **settings))


def test_of_what_was_taught_the_logarithm_allows_for_the_teachers_own_error(rendered_crops):
    stage = build(
        Config(crops=(rendered_crops,), batch_size=2, steps=10, windows_px=(64,), levels=2)
    ).stages[0]
    batch, progress = stage.batch(0, 0, 1), Progress(stage.name, 9, stage.steps)
    assert not batch["is_taught"].any()
    plain = stage.turns[0].terms(stage.forward(batch, progress), batch, progress)
    batch |= {"is_taught": torch.tensor([True, True])}
    found = stage.forward(batch, progress)
    terms = stage.turns[0].terms(found, batch, progress)
    for level in range(2):
        changes = (found[f"target_{level}"] - image_pyramid(batch["blurred"], 2)[level]).square()
        error = (found[f"restored_{level}"] - found[f"target_{level}"]).square()
        whole = error.mean(dim=(1, 2, 3)) + 4 * changes.mean(dim=(1, 2, 3)) + 1e-4 + 1e-5
        torch.testing.assert_close(terms[f"log_error_{level}"], whole.log().mean())
        assert terms[f"log_error_{level}"] > plain[f"log_error_{level}"]
        assert terms[f"pixel_{level}"] == plain[f"pixel_{level}"]
