"""Verdicts on pairs: every kind of bad data gets an answer, and no stack trace."""

from __future__ import annotations

import csv
import io
import json
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from defocusfix.pairs.check import check_pairs
from defocusfix.pairs.find import find_pairs
from defocusfix.pairs.report import DataReport, PairReport, as_csv
from tests.pairs.photographed import (
    SIZE,
    as_8_bits,
    defocused,
    moved,
    scene,
    similarity,
    write_pair,
    write_set,
)


def checked(root, **how) -> DataReport:
    return check_pairs(find_pairs(root / "blurry", root / "sharp"), **how)


def only(root) -> PairReport:
    (pair,) = checked(root).pairs
    return pair


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> DataReport:
    root = tmp_path_factory.mktemp("good")
    write_set(root, 6, radius_px=8)
    return checked(root, with_thumbnails=True)


def test_good_pairs_are_good_and_their_set_can_be_trained_on(good):
    assert [pair.verdict for pair in good.pairs] == ["good"] * 6
    assert all(pair.reasons == () for pair in good.pairs)
    assert good.can_train
    assert good.problems == ()
    assert len(good.usable) == 6
    assert len({pair.scene for pair in good.pairs}) == 6


def test_what_was_measured_stands_in_the_report(good):
    pair = good.pairs[0]
    assert pair.blurred_size == pair.sharp_size == (384, 288)
    assert pair.shift_px == pytest.approx(5, abs=0.5)
    assert pair.rotation_deg == pytest.approx(0.3, abs=0.1)
    assert pair.zoom == pytest.approx(1, abs=0.005)
    assert pair.exposure_stops == pytest.approx(0, abs=0.1)
    assert pair.sharper == "sharp"
    assert pair.blur.median_px == pytest.approx(8, rel=0.2)
    assert pair.scale == 2


def test_thumbnails_are_small_pictures_of_both_photos(good):
    small = good.pairs[0].thumbnails
    for content in (small.blurred, small.sharp, small.blurred_detail, small.sharp_detail):
        assert max(Image.open(io.BytesIO(content)).size) <= 400
    assert len(small.sharp) > len(small.blurred)  # detail takes bytes


def test_the_report_becomes_json_and_csv(good):
    content = json.loads(json.dumps(good.to_json()))
    assert content["can_train"] is True
    assert content["counts"] == {"good": 6, "usable": 0, "reject": 0}
    assert content["pairs"][2]["name"] == "02"
    assert content["pairs"][2]["reasons"] == []
    rows = list(csv.DictReader(io.StringIO(as_csv(good.pairs))))
    assert [row["name"] for row in rows] == ["00", "01", "02", "03", "04", "05"]
    assert float(rows[0]["shift_px"]) == good.pairs[0].shift_px


def test_each_pair_is_told_of_as_soon_as_it_is_done(tmp_path):
    write_set(tmp_path, 2)
    told: list[str] = []
    checked(tmp_path, report=lambda pair: told.append(pair.name))
    assert told == ["00", "01"]


def test_swapped_folders_are_found_out(tmp_path):
    write_set(tmp_path, 5)
    swapped = check_pairs(find_pairs(tmp_path / "sharp", tmp_path / "blurry"))
    assert swapped.are_swapped
    assert not swapped.can_train
    assert "swapped: in 5 of 5 pairs" in swapped.problems[0]
    assert all(pair.verdict == "reject" for pair in swapped.pairs)


def test_fewer_than_five_pairs_cannot_be_trained_on(tmp_path):
    write_set(tmp_path, 2)
    report = checked(tmp_path)
    assert report.problems == ("2 usable pairs, and at least 5 are needed",)
    assert not report.can_train


def test_one_scene_alone_leaves_nothing_to_hold_out(tmp_path):
    for number, radius in enumerate((2, 3, 4, 5, 6)):
        write_pair(tmp_path, f"{number}.png", 0, radius_px=radius)
    report = checked(tmp_path)
    assert {pair.verdict for pair in report.pairs} == {"good"}
    assert "one scene" in report.problems[0]


def test_unreadable_files_reject_their_pair_alone(tmp_path):
    write_set(tmp_path, 4)
    whole = (tmp_path / "blurry" / "01.png").read_bytes()
    (tmp_path / "blurry" / "01.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "sharp" / "02.png").write_text("no photo at all")
    verdicts = {pair.name: pair for pair in checked(tmp_path).pairs}
    assert [verdicts[name].verdict for name in ("00", "01", "02", "03")] == [
        *("good", "reject", "reject", "good"),
    ]
    assert verdicts["01"].reasons[0].startswith("the blurry photo cannot be read (damaged PNG")
    assert verdicts["02"].reasons[0].startswith("the sharp photo is not a photo")


def test_photos_of_two_sizes_are_rejected_with_both(tmp_path):
    write_set(tmp_path, 1)
    path = tmp_path / "sharp" / "00.png"
    Image.open(path).resize((200, 150)).save(path)
    assert only(tmp_path).reasons == ("the photos differ in size: 384 x 288 and 200 x 150 pixels",)


@pytest.mark.parametrize("folder", ["blurry", "sharp"])
def test_a_blank_photo_is_rejected(tmp_path, folder):
    write_set(tmp_path, 1)
    Image.new("RGB", (384, 288), (9, 9, 9)).save(tmp_path / folder / "00.png")
    assert only(tmp_path).reasons == (f"the {folder} photo is blank",)


def test_the_same_picture_twice_is_rejected(tmp_path):
    write_set(tmp_path, 1)
    shutil.copy(tmp_path / "sharp" / "00.png", tmp_path / "blurry" / "00.png")
    assert only(tmp_path).reasons == ("both photos are the same picture",)


def test_equally_sharp_photos_are_rejected(tmp_path):
    write_set(tmp_path, 1, radius_px=0)
    assert only(tmp_path).reasons == ("both photos are equally sharp",)


def test_strangers_are_rejected(tmp_path):
    write_set(tmp_path, 1)
    write_pair(tmp_path, "other.png", 5)
    shutil.copy(tmp_path / "sharp" / "other.png", tmp_path / "sharp" / "00.png")
    pair = checked(tmp_path).pairs[0]
    assert pair.verdict == "reject"
    assert "do not fit over each other" in pair.reasons[0]
    assert pair.sharper == "unknown"


def test_a_pair_that_is_there_twice_counts_once(tmp_path):
    write_set(tmp_path, 1)
    for folder in ("blurry", "sharp"):
        shutil.copy(tmp_path / folder / "00.png", tmp_path / folder / "copy.png")
    first, second = checked(tmp_path).pairs
    assert first.verdict == "good"
    assert (second.verdict, second.duplicate_of) == ("reject", "00")
    assert second.reasons == ("the same two photos as 00",)


def test_one_scene_with_more_blur_at_its_side_is_not_there_twice(tmp_path):
    sharp = 0.1 + 0.8 * scene(3)
    aside = np.where(np.arange(SIZE[1]) < 0.7 * SIZE[1], 1.0, 0.0)[None, :, None]
    for name, radius_px in (("near", 2.0), ("far", 3.0)):
        photo = aside * defocused(sharp, 2.0) + (1 - aside) * defocused(sharp, radius_px)
        for folder, image in (("blurry", photo), ("sharp", sharp)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(as_8_bits(image)).save(tmp_path / folder / f"{name}.png")
    assert [pair.verdict for pair in checked(tmp_path).pairs] == ["good", "good"]


def test_photos_without_a_counterpart_are_named(tmp_path):
    write_set(tmp_path, 1)
    shutil.copy(tmp_path / "sharp" / "00.png", tmp_path / "sharp" / "alone.png")
    report = checked(tmp_path)
    assert [path.name for path in report.unmatched] == ["alone.png"]
    assert any("alone.png" in line for line in report.remarks)


def test_limits_are_told_and_leave_a_pair_usable(tmp_path):
    write_pair(tmp_path, "turned.png", 0, matrix=similarity(5, 1.12, 0, 0))
    write_pair(tmp_path, "dark.png", 1, gain=0.5)
    turned, dark = sorted(checked(tmp_path).pairs, key=lambda pair: pair.name, reverse=True)
    assert turned.verdict == dark.verdict == "usable"
    assert "turned by 5.0 degrees" in turned.reasons
    assert any("12% larger" in reason for reason in turned.reasons)
    assert any("stops" in reason for reason in dark.reasons)


def test_another_white_balance_is_told(tmp_path):
    write_pair(tmp_path, "a.png", 0)
    path = tmp_path / "sharp" / "a.png"
    warm = np.asarray(Image.open(path)) * np.array([1.0, 0.9, 0.7])
    Image.fromarray(warm.astype(np.uint8)).save(path)
    assert any("white balance" in reason for reason in only(tmp_path).reasons)


def test_a_scene_in_which_much_moved_is_told(tmp_path):
    write_pair(tmp_path, "a.png", 0)
    pixels = scene(0)
    pixels[:, :140] = moved(scene(4), similarity(0, 1, 30, 0))[:, :140]
    Image.fromarray(as_8_bits(pixels)).save(tmp_path / "sharp" / "a.png")
    assert any("of the scene changed" in reason for reason in only(tmp_path).reasons)


def test_16_bit_tiffs_are_judged_as_their_8_bit_copies_are(tmp_path, good):
    write_set(tmp_path / "8", 1, radius_px=8)
    for folder in ("blurry", "sharp"):
        (tmp_path / folder).mkdir()
        pixels = np.asarray(Image.open(tmp_path / "8" / folder / "00.png")).astype(np.uint16)
        tifffile.imwrite(tmp_path / folder / "00.tif", pixels * 257, photometric="rgb")
    pair = only(tmp_path)
    assert pair.verdict == "good"
    assert pair.blur.median_px == pytest.approx(good.pairs[0].blur.median_px, abs=0.01)
