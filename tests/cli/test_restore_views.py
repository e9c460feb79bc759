"""`restore --left --right`, with a network that adds 0.3 of what the right view has more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from defocusfix.photo.read import read_photo
from tests.photo import sample_files as samples
from tests.restoration import small_networks

BOTH = ("--left", "left.png", "--right", "right.png")


@pytest.fixture
def dual(restore):
    """The command with a model for dual-pixel photos, beside a photo and its views."""
    model = restore.model.with_name("views.onnx")
    small_networks.of_two_views(model, name="views", value_range=(-1.0, 1.0))
    for name, value in (("photo", 100), ("left", 60), ("right", 160)):
        pixels = np.full((40, 56, 3), value, np.uint8)
        pixels[::2, ::2] += 1
        (restore.folder / f"{name}.png").write_bytes(samples.png(pixels))
    return replace(restore, model=model)


def inner(path: Path) -> np.ndarray:
    return read_photo(path).pixels[4:-4, 4:-4].astype(int)


def test_a_photo_is_restored_from_its_views_and_these_stay_as_they_are(dual):
    before = {path: path.read_bytes() for path in dual.folder.iterdir()}
    told = dual("photo.png", *BOTH)
    assert told.exit_code == 0, told.stderr
    change = inner(dual.folder / "photo_restored.png") - inner(dual.folder / "photo.png")
    assert set(np.unique(change)) <= {29, 30, 31}
    assert all(path.read_bytes() == content for path, content in before.items())


def test_exchanged_views_restore_the_other_way(dual):
    swapped = ("--left", "right.png", "--right", "left.png")
    assert dual("photo.png", *swapped).exit_code == 0
    change = inner(dual.folder / "photo_restored.png") - inner(dual.folder / "photo.png")
    assert set(np.unique(change)) <= {-29, -30, -31}


def test_other_wishes_go_with_views(dual):
    told = dual("photo.png", *BOTH, "--strength", 0.5, "--format", "png16", "-o", "o.png")
    assert told.exit_code == 0, told.stderr
    values = read_photo(dual.folder / "o.png").pixels[4:-4, 4:-4] / 257
    assert np.abs(values - inner(dual.folder / "photo.png") - 15).max() < 0.6
    assert dual("photo.png", *BOTH, "--dry-run").exit_code == 0
    assert dual("photo.png", *BOTH, "--map").exit_code == 2


def test_the_best_sees_the_views_exchanged_when_it_turns_them_by_half(dual):
    assert dual("photo.png", *BOTH, "--best").exit_code == 0
    # What this network adds has the opposite sign then, so that nothing is left of it.
    assert (inner(dual.folder / "photo_restored.png") == inner(dual.folder / "photo.png")).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("photo.png",), "needs the two views"),
        (("photo.png", "--left", "left.png"), "--left was given without --right"),
        (("photo.png", "--right", "right.png"), "--right was given without --left"),
        (("photo.png", "left.png", *BOTH, "-o", "out/"), "several were named"),
        ((".", *BOTH, "-o", "../out"), "several were named"),
    ],
)
def test_views_that_are_missing_or_of_several_photos_are_told(dual, words, said):
    told = dual(*words)
    assert told.exit_code == 2
    assert said in told.stderr
    assert not list(dual.folder.glob("*_restored*"))


@pytest.mark.parametrize("name", ["gone.png", "broken.png", "small.png"])
def test_a_view_that_is_none_of_the_photo_is_told_by_its_name(dual, name):
    (dual.folder / "broken.png").write_bytes(b"no photo")
    (dual.folder / "small.png").write_bytes(samples.png(samples.scene(40, 55)))
    told = dual("photo.png", "--left", name, "--right", "right.png")
    assert told.exit_code == 4
    assert name in told.stderr
    if name == "small.png":
        assert "55 x 40" in told.stderr
        assert "56 x 40" in told.stderr
    assert not (dual.folder / "photo_restored.png").exists()


def test_a_model_that_takes_no_views_says_so(dual, restore):
    told = restore("photo.png", *BOTH)
    assert told.exit_code == 2
    assert "brighten takes no views" in told.stderr
