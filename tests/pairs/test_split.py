"""Which scenes are held out."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.errors import OutputError, TrainingError
from defocusfix.pairs.find import PairFiles, find_pairs
from defocusfix.pairs.split import scenes_of, split_by_scene
from defocusfix.pairs.split_files import Split, write_split
from tests.pairs.photographed import write_pair, write_set


def named(*names: str) -> list[PairFiles]:
    """Pairs of files that are not there, so that names alone tell scenes apart."""
    return [PairFiles(n, Path(f"blurry/{n}.jpg"), Path(f"sharp/{n}.jpg")) for n in names]


@given(
    st.lists(st.integers(0, 8), min_size=2, max_size=30).filter(lambda s: len(set(s)) > 1),
    st.floats(0.05, 0.9),
    st.integers(0, 5),
)
def test_no_scene_stands_on_both_sides_and_none_is_empty(numbers, share, seed):
    pairs = named(*(f"p{index}" for index in range(len(numbers))))
    scenes = [f"scene {number}" for number in numbers]
    learnt, held_out = split_by_scene(pairs, share, seed, scenes)
    assert learnt
    assert held_out
    assert sorted(learnt + held_out, key=pairs.index) == pairs
    of = dict(zip((pair.name for pair in pairs), scenes, strict=True))
    assert {of[pair.name] for pair in learnt}.isdisjoint(of[pair.name] for pair in held_out)
    assert split_by_scene(pairs, share, seed, scenes) == (learnt, held_out)


def test_as_many_pairs_are_held_out_as_was_asked_for_where_scenes_allow():
    pairs = named(*(f"{number:03d}" for number in range(50)))
    assert len(split_by_scene(pairs, 0.2)[1]) == 10
    assert split_by_scene(pairs, 0.2, seed=0) != split_by_scene(pairs, 0.2, seed=1)


def test_one_scene_cannot_be_split():
    with pytest.raises(TrainingError, match="no scene can be held out"):
        split_by_scene(named("a_f2_8", "a_f1_8"))
    with pytest.raises(ValueError, match="held_out_share"):
        split_by_scene(named("a", "b"), 1.0)


@pytest.mark.parametrize(
    ("names", "scenes"),
    [
        (["0001_f1_8", "0001_f2.8", "0002_f1_8"], 2),
        (["door_A", "door_B", "tree"], 2),
        (["tree_ap1", "tree_ap22", "house_ap1"], 2),
        (["IMG_0001", "IMG_0002", "IMG_0003"], 3),
        (["a", "b", "f"], 3),
    ],
)
def test_names_that_differ_by_a_setting_are_of_one_scene(names, scenes):
    assert len(set(scenes_of(named(*names)))) == scenes


def test_photos_in_one_folder_among_several_are_of_one_scene(tmp_path):
    for folder in ("kitchen", "garden"):
        for number, seed in ((1, 0), (2, 1)):
            write_pair(tmp_path / folder, f"{number}.png", 10 * len(folder) + seed)
            for kind in ("blurry", "sharp"):
                (tmp_path / kind / folder).mkdir(parents=True, exist_ok=True)
                place = tmp_path / folder / kind / f"{number}.png"
                place.rename(tmp_path / kind / folder / f"{number}.png")
    pairs = find_pairs(tmp_path / "blurry", tmp_path / "sharp").pairs
    assert [pair.name for pair in pairs] == ["garden/1", "garden/2", "kitchen/1", "kitchen/2"]
    assert scenes_of(pairs) == ["garden/1", "garden/1", "kitchen/1", "kitchen/1"]


def test_photos_that_look_alike_are_of_one_scene(tmp_path):
    write_set(tmp_path, 2)
    write_pair(tmp_path, "again.png", 0, radius_px=6)
    pairs = find_pairs(tmp_path / "blurry", tmp_path / "sharp").pairs
    assert scenes_of(pairs) == ["00", "01", "00"]


def test_a_split_is_written_as_a_list_and_as_settings_for_training(tmp_path):
    pairs = tuple(named("a", "b"))
    split = Split(pairs, ("a", "b"), frozenset({"b"}), "time")
    write_split(split, tmp_path / "out", Path("blurry"), Path("sharp"))
    rows = list(csv.DictReader((tmp_path / "out" / "split.csv").read_text().splitlines()))
    assert [(row["name"], row["part"]) for row in rows] == [("a", "learn"), ("b", "held-out")]
    settings = tomllib.loads((tmp_path / "out" / "split.toml").read_text())
    assert settings["recipe_name"] == "reblur-guided"
    assert settings["recipe"] == {
        "blurry": str(Path("blurry").resolve()),
        "sharp": str(Path("sharp").resolve()),
        "matching": "time",
        "held_out": ["b"],
    }
    with pytest.raises(OutputError, match=r"split\.csv exists already"):
        write_split(split, tmp_path / "out", Path("blurry"), Path("sharp"))


@pytest.mark.parametrize("files", ["link", "copy"])
def test_photos_can_be_put_into_two_folders(tmp_path, files):
    folders = write_set(tmp_path, 2)
    pairs = find_pairs(*folders).pairs
    split = Split(pairs, ("00", "01"), frozenset({"01"}), "name")
    write_split(split, tmp_path / "out", *folders, files=files)
    for part, name in (("learn", "00"), ("held-out", "01")):
        for kind in ("blurry", "sharp"):
            (found,) = (tmp_path / "out" / part / kind).iterdir()
            assert found.read_bytes() == (tmp_path / kind / f"{name}.png").read_bytes()
            assert found.is_symlink() == (files == "link")
    with pytest.raises(OutputError, match="photos already"):
        write_split(split, tmp_path / "out", *folders, files=files, may_overwrite=True)
