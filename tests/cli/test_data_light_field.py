"""`defocusfix data light-field`, as typed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from defocusfix.pairs.light_field_views import from_light
from defocusfix.photo.coding import PngCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.photo.write import write_photo
from tests.optics.light_fields import box_view, is_box, positions

SIZE = (88, 96)
FAR, NEAR = 0.1, 0.7


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    """A folder of 3 x 3 views and the disparity of the middle one."""
    root = tmp_path_factory.mktemp("light-field")
    (root / "toy").mkdir()
    for v, u in np.ndindex(3, 3):
        light = box_view((v - 1, u - 1), SIZE, far=FAR, near=NEAR).clip(0, 1)
        pixels = np.rint(from_light(light, "srgb") * 255).astype(np.uint8)
        write_photo(Photo(pixels, PngCoding()), root / "toy" / f"{v}_{u}.png")
    np.save(root / "map.npy", np.where(is_box(*positions(SIZE), SIZE), NEAR, FAR))
    return root


@pytest.fixture
def light_field(defocusfix, tmp_path, views, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: defocusfix("data", "light-field", *words)


def test_a_light_field_becomes_pairs_and_a_table(light_field, views, tmp_path):
    told = light_field(str(views / "toy"), "-o", "pairs")
    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert lines[0].split()[:2] == ["pair", "aperture"]
    names = [line.split()[0] for line in lines[1:]]
    assert names == [f"toy_ap{ap}_f{n}" for ap in ("100", "071", "050") for n in (1, 2, 3)]
    for folder in ("blurry", "sharp", "estimated-radius"):
        assert sorted(p.stem for p in (tmp_path / "pairs" / folder).iterdir()) == sorted(names)
    assert "9 pairs of" in told.stderr
    assert "(estimated)" in told.stderr
    told = light_field(str(views / "toy"), "-o", "pairs")
    assert told.exit_code == 9
    assert "--overwrite" in told.stderr


def test_a_given_disparity_makes_exact_maps_on_the_scale_of_restore(light_field, views, tmp_path):
    words = ("--aperture", "1", "--slope", "0.1", "--shape", "hexagon", "--json")
    told = light_field(
        *(str(views / "toy"), "-o", "pairs", "--disparity", str(views / "map.npy"), *words)
    )
    assert told.exit_code == 0
    facts = json.loads(told.stdout)
    assert facts["slopes"] == "given"
    (pair,) = facts["pairs"]
    codes = read_photo(tmp_path / "pairs" / "radius" / f"{pair['name']}.png").pixels
    assert codes.dtype == np.uint16
    assert np.unique(codes).tolist() == [0, round((NEAR - FAR) * 1024)]


@pytest.mark.parametrize(
    ("words", "exit_code", "complaint"),
    [
        (("--aperture", "2"), 2, "reaches beyond 3 x 3 views"),
        (("--aperture", "-1"), 2, "above 0"),
        (("--grid", "3"), 2, "is no grid"),
        (("--curve", "film"), 2, "is no curve"),
        (("--disparity", "none.npy"), 4, "is not there"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_written(
    light_field, views, tmp_path, words, exit_code, complaint
):
    told = light_field(str(views / "toy"), "-o", "pairs", *words)
    assert told.exit_code == exit_code
    assert complaint in told.stderr
    assert not (tmp_path / "pairs").exists()


def test_several_light_fields_are_done_as_far_as_they_can_be(light_field, views, tmp_path):
    (tmp_path / "empty").mkdir()
    words = ("-o", "pairs", "--planes", "1", "--aperture", "1")
    told = light_field(str(views / "toy"), "empty", *words)
    assert told.exit_code == 3
    assert "empty holds no pictures" in told.stderr
    assert (tmp_path / "pairs" / "toy.json").is_file()
    told = light_field(str(views / "toy"), str(views / "toy"), *words)
    assert told.exit_code == 2
    assert "two light fields are called toy" in told.stderr
    told = light_field(str(views / "toy"), "empty", "--disparity", "map.npy", *words)
    assert told.exit_code == 2
