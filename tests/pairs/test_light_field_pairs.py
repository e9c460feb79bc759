"""Pairs made from light fields."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from defocusfix.errors import InputError, OutputError, UsageError
from defocusfix.optics.light_field import LightField
from defocusfix.pairs.find import find_pairs
from defocusfix.pairs.layouts import pairs_of_layout
from defocusfix.pairs.light_field_pairs import (
    Destination,
    LightFieldSettings,
    count_of,
    largest_rectangle,
    pairs_of,
    refuse_existing,
    write_scene,
)
from defocusfix.pairs.light_field_slopes import Slopes
from defocusfix.pairs.light_field_views import StoredLightField, from_light
from defocusfix.photo.read import read_photo
from tests.optics.light_fields import box_view, field_of, is_box, positions

SIZE = (96, 104)
FAR, NEAR = -0.2, 0.8
GRID = (5, 5)


@pytest.fixture(scope="module")
def field() -> LightField:
    return field_of(lambda step: box_view(step, SIZE, far=FAR, near=NEAR).clip(0, 1), GRID)


@pytest.fixture
def stored(field) -> StoredLightField:
    middle = np.rint(from_light(field.middle, "srgb") * 255).astype(np.uint8)
    return StoredLightField("toy", field, middle, np.ones((*GRID, 3), np.float32), "srgb")


@pytest.fixture
def slopes() -> Slopes:
    return Slopes(np.where(is_box(*positions(SIZE), SIZE), NEAR, FAR).astype(np.float32), True)


@pytest.fixture
def destination(tmp_path) -> Destination:
    return Destination(tmp_path / "pairs", lambda radius_px: radius_px.tobytes(), ".raw")


def test_pairs_are_found_again_by_name_with_their_exact_radius(stored, slopes, destination):
    settings = LightFieldSettings(radii_steps=(2.0, 1.0), planes=2)
    pairs = list(pairs_of(stored, slopes, settings))
    assert len(pairs) == count_of(settings) == 4
    facts = write_scene(destination, stored, slopes, pairs)
    folder = destination.folder
    found = find_pairs(folder / "blurry", folder / "sharp").pairs
    names = ["toy_ap100_f1", "toy_ap100_f2", "toy_ap200_f1", "toy_ap200_f2"]
    assert [pair.name for pair in found] == names
    assert [pair.name for pair in pairs_of_layout(folder, "pairs")] == names
    assert json.loads((folder / "toy.json").read_text("utf-8")) == facts
    height, width = facts["size"]
    top, left = facts["cut_from"]
    part = np.s_[top : top + height, left : left + width]
    assert min(facts["size"]) > 70
    focus = {pair["name"]: pair["focus_slope"] for pair in facts["pairs"]}
    assert focus["toy_ap200_f1"] == pytest.approx(FAR)  # the farthest plane is the first
    assert focus["toy_ap200_f2"] == pytest.approx(NEAR)
    for name in names:
        target = read_photo(folder / "sharp" / f"{name}.png").pixels
        np.testing.assert_array_equal(target, stored.middle[part])
        radius_px = np.frombuffer((folder / "radius" / f"{name}.raw").read_bytes(), np.float32)
        wanted = np.abs(focus[name] - slopes.values[part]) * (2 if "200" in name else 1)
        assert radius_px.reshape(height, width) == pytest.approx(wanted, abs=1e-3)
    assert not list(folder.glob(".*"))


def test_the_plane_in_focus_is_as_sharp_as_the_target_and_the_other_is_not(stored, slopes):
    settings = LightFieldSettings(radii_steps=(2.0,), focus_slopes=(NEAR,))
    (pair,) = pairs_of(stored, slopes, settings)
    apart = np.abs(stored.stored(pair.blurred).astype(int) - stored.middle)
    on_box = np.s_[36:60, 40:64]
    assert np.percentile(apart[on_box], 90) <= 3  # more where the texture is clipped to black
    beside = np.s_[12:20, 12:92]
    assert np.mean(apart[beside]) > 10
    assert pair.radius_px[48, 52] == pytest.approx(0, abs=1e-6)
    assert pair.radius_px[15, 15] == pytest.approx(2 * (NEAR - FAR))


def test_an_estimate_is_called_one(stored, slopes, destination):
    settings = LightFieldSettings(radii_steps=(1.0,), planes=1)
    guessed = Slopes(slopes.values, is_exact=False)
    facts = write_scene(destination, stored, guessed, list(pairs_of(stored, guessed, settings)))
    assert facts["slopes"] == "estimated"
    assert not (destination.folder / "radius").exists()
    assert len(list((destination.folder / "estimated-radius").iterdir())) == 1


def test_a_scene_that_is_there_is_neither_made_nor_written_again(stored, slopes, destination):
    pairs = list(pairs_of(stored, slopes, LightFieldSettings(radii_steps=(1.0,), planes=1)))
    refuse_existing(destination, "toy")
    write_scene(destination, stored, slopes, pairs)
    before = sorted(destination.folder.rglob("*"))
    with pytest.raises(OutputError, match="exists already"):
        refuse_existing(destination, "toy")
    with pytest.raises(OutputError, match="exists already"):
        write_scene(destination, stored, slopes, pairs)
    assert sorted(destination.folder.rglob("*")) == before
    again = Destination(destination.folder, destination.encode_radius, ".raw", may_overwrite=True)
    refuse_existing(again, "toy")
    write_scene(again, stored, slopes, pairs)


def test_an_aperture_beyond_the_views_and_a_scene_beyond_its_border_are_refused(
    stored, slopes, destination
):
    with pytest.raises(UsageError, match="radius 3 does not fit"):
        list(pairs_of(stored, slopes, LightFieldSettings(radii_steps=(3.0,))))
    far_out = LightFieldSettings(radii_steps=(2.0,), focus_slopes=(9.0,), largest_step_px=20)
    with pytest.raises(InputError, match="next to nothing in common"):
        write_scene(destination, stored, slopes, list(pairs_of(stored, slopes, far_out)))


@pytest.mark.parametrize(
    "settings",
    [{"radii_steps": (0.0,)}, {"focus_slopes": (float("nan"),)}, {"planes": 0}],
)
def test_settings_that_make_no_photo_are_refused(settings):
    with pytest.raises(ValueError, match="is"):
        LightFieldSettings(**settings)


@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_no_rectangle_is_larger_than_the_largest(mask):
    top, left, height, width = largest_rectangle(mask)
    assert mask[top : top + height, left : left + width].all()
    rows, columns = mask.shape
    areas = [
        (bottom - y) * (right - x)
        for y in range(rows)
        for bottom in range(y + 1, rows + 1)
        for x in range(columns)
        for right in range(x + 1, columns + 1)
        if mask[y:bottom, x:right].all()
    ]
    assert height * width == max(areas, default=0)
