from __future__ import annotations

import pytest

from defocusfix.errors import InputError
from defocusfix.pairs.find import find_pairs


@pytest.fixture
def folders(tmp_path):
    def fill(blurred: str, sharp: str):
        for folder, names in (("blurred", blurred), ("sharp", sharp)):
            (tmp_path / folder).mkdir()
            for name in names.split():
                (tmp_path / folder / name).touch()
        return tmp_path / "blurred", tmp_path / "sharp"

    return fill


def names(pairing) -> list[tuple[str, str]]:
    return [(pair.blurred.name, pair.all_in_focus.name) for pair in pairing.pairs]


def test_equal_names_belong_together_whatever_their_case_and_format(folders):
    found = find_pairs(*folders("IMG_1.JPG b.png", "img_1.tif b.jpg"))
    assert names(found) == [("IMG_1.JPG", "img_1.tif"), ("b.png", "b.jpg")]
    assert found.by == "name"


def test_words_for_the_role_in_the_pair_do_not_count(folders):
    found = find_pairs(*folders("01_blurry.png 02-blur.png", "01_sharp.png 02-gt.png"))
    assert names(found) == [("01_blurry.png", "01_sharp.png"), ("02-blur.png", "02-gt.png")]


def test_an_exact_name_goes_before_one_that_fits_without_its_role(folders):
    found = find_pairs(*folders("a.png a_blur.png", "a.png a_sharp.png"))
    assert names(found) == [("a.png", "a.png"), ("a_blur.png", "a_sharp.png")]


def test_photos_without_a_counterpart_are_named(folders):
    found = find_pairs(*folders("a.png b.png", "a.png c.png d.png"))
    assert names(found) == [("a.png", "a.png")]
    assert [path.name for path in found.blurred_alone] == ["b.png"]
    assert [path.name for path in found.sharp_alone] == ["c.png", "d.png"]


def test_where_no_name_fits_equally_many_photos_are_paired_in_order(folders):
    found = find_pairs(*folders("1001.png 1003.png", "1002.png 1004.png"))
    assert found.by == "order"
    assert names(found) == [("1001.png", "1002.png"), ("1003.png", "1004.png")]


def test_order_can_be_asked_for_although_names_fit(folders):
    found = find_pairs(*folders("a.png b.png", "b.png c.png"), by="order")
    assert names(found) == [("a.png", "b.png"), ("b.png", "c.png")]


def test_order_needs_equally_many_photos(folders):
    with pytest.raises(InputError, match="1 and 2 photos"):
        find_pairs(*folders("a.png", "b.png c.png"), by="order")


def test_folders_that_have_nothing_in_common_are_refused(folders):
    with pytest.raises(InputError, match="has a counterpart"):
        find_pairs(*folders("a.png", "b.png c.png"))


def test_by_name_alone_nothing_is_paired_in_order(folders):
    with pytest.raises(InputError, match="has a counterpart"):
        find_pairs(*folders("a.png", "b.png"), by="name")


def test_two_sharp_photos_of_one_name_are_refused(folders):
    with pytest.raises(InputError, match=r"a\.jpg and a\.png"):
        find_pairs(*folders("a.png", "a.png a.jpg"))
