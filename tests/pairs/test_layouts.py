from __future__ import annotations

import pytest

from defocusfix.errors import InputError, UsageError
from defocusfix.pairs.find import pairs_of_folders
from defocusfix.pairs.layouts import pairs_of_layout


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("layout", "blurred", "all_in_focus"),
    [
        ("dpdd", "test_c/source/1P0A0917.png", "test_c/target/1P0A0917.png"),
        ("realdof", "source/0001.png", "target/0001.png"),
        ("sdd", "test/blur/7.png", "test/gt/7.png"),
        ("lfdof", "test_data/input/s1/IMG_1_ap02.png", "test_data/ground_truth/IMG_1.png"),
        ("pairs", "blurry/IMG.JPG", "sharp/IMG.jpeg"),
    ],
)
def test_a_known_data_set_is_understood_by_name(tmp_path, layout, blurred, all_in_focus):
    touch(tmp_path, blurred, all_in_focus)
    (pair,) = pairs_of_layout(tmp_path, layout)
    assert (pair.blurred, pair.all_in_focus) == (tmp_path / blurred, tmp_path / all_in_focus)


def test_many_blurred_light_field_photos_share_one_target(tmp_path):
    touch(tmp_path, "test_data/ground_truth/s.png")
    touch(tmp_path, "test_data/input/s/s_ap1.png", "test_data/input/s/s_ap2.png")
    pairs = pairs_of_layout(tmp_path, "lfdof")
    assert [pair.name for pair in pairs] == ["s_ap1", "s_ap2"]
    assert len({pair.all_in_focus for pair in pairs}) == 1


def test_an_unknown_layout_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(UsageError, match="dpdd, realdof"):
        pairs_of_layout(tmp_path, "gopro")


def test_two_shots_with_other_numbers_are_matched_in_order(tmp_path):
    touch(tmp_path, "in/0001.png", "in/0003.png", "to/0002.png", "to/0004.png")
    pairs = pairs_of_folders(tmp_path / "in", tmp_path / "to")
    assert [pair.all_in_focus.name for pair in pairs] == ["0002.png", "0004.png"]


def test_a_missing_target_is_refused_by_name(tmp_path):
    touch(tmp_path, "in/a.png", "in/b.png", "to/a.png")
    with pytest.raises(InputError, match=r"b\.png would need b"):
        pairs_of_folders(tmp_path / "in", tmp_path / "to")


def test_an_empty_or_missing_folder_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no pictures"):
        pairs_of_folders(tmp_path / "empty", tmp_path / "empty")
    with pytest.raises(InputError, match="is not a folder"):
        pairs_of_folders(tmp_path / "none", tmp_path / "none")


@pytest.mark.parametrize(
    ("layout", "blurred", "all_in_focus"),
    [
        ("dpdd", "train_c/source/1.png", "train_c/target/1.png"),
        ("sdd", "train_patches/blur/1_2.png", "train_patches/gt/1_2.png"),
        ("ded", "image/image_12.jpg", "sharp/sharp_12.jpg"),
    ],
)
def test_the_pairs_to_train_on_lie_apart_from_those_of_the_test(
    tmp_path, layout, blurred, all_in_focus
):
    touch(tmp_path, blurred, all_in_focus)
    (pair,) = pairs_of_layout(tmp_path, layout, "train")
    assert (pair.blurred, pair.all_in_focus) == (tmp_path / blurred, tmp_path / all_in_focus)


def test_a_part_that_a_data_set_does_not_have_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no part 'test'"):
        pairs_of_layout(tmp_path, "ded")


@pytest.mark.parametrize(
    ("part", "folder"), [("test", "test"), ("train", "train"), ("validation", "val")]
)
def test_pairs_of_dpdd_have_their_views_by_name(tmp_path, part, folder):
    for name in ("b.png", "a.png"):
        touch(tmp_path, *(f"{folder}_{view}/source/{name}" for view in "clr"))
        touch(tmp_path, f"{folder}_c/target/{name}")
    pairs = pairs_of_layout(tmp_path, "dpdd", part)
    assert [pair.name for pair in pairs] == ["a", "b"]
    for pair in pairs:
        left, right = (tmp_path / f"{folder}_{view}/source/{pair.name}.png" for view in "lr")
        assert pair.views == (left, right)


def test_views_with_numbers_of_their_own_are_matched_in_order(tmp_path):
    touch(tmp_path, "test_c/source/1.png", "test_c/source/4.png")
    touch(tmp_path, "test_c/target/1.png", "test_c/target/4.png")
    touch(tmp_path, "test_l/source/2.png", "test_l/source/5.png")
    touch(tmp_path, "test_r/source/3.png", "test_r/source/6.png")
    views = [pair.views for pair in pairs_of_layout(tmp_path, "dpdd")]
    assert [(left.name, right.name) for left, right in views] == [
        ("2.png", "3.png"),
        ("5.png", "6.png"),
    ]


def test_without_any_views_there_are_none_and_with_some_all_are_wanted(tmp_path):
    touch(tmp_path, "test_c/source/a.png", "test_c/target/a.png")
    touch(tmp_path, "test_c/source/b.png", "test_c/target/b.png")
    assert {pair.views for pair in pairs_of_layout(tmp_path, "dpdd")} == {None}
    touch(tmp_path, "test_l/source/a.png", "test_l/source/b.png")
    with pytest.raises(InputError, match="is not a folder"):
        pairs_of_layout(tmp_path, "dpdd")
    touch(tmp_path, "test_r/source/a.png")
    with pytest.raises(InputError, match="1 of 2 photos have no right view"):
        pairs_of_layout(tmp_path, "dpdd")
