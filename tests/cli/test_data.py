"""`defocusfix data`, as typed."""

from __future__ import annotations

import csv
import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from defocusfix.photo.read import read_photo
from tests.pairs.photographed import write_set


@pytest.fixture(scope="module")
def six_pairs(tmp_path_factory):
    root = tmp_path_factory.mktemp("six")
    write_set(root, 6)
    return root


@pytest.fixture
def data(defocusfix, tmp_path, six_pairs, monkeypatch):
    """`defocusfix data` in a folder with six good pairs."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(six_pairs, tmp_path, dirs_exist_ok=True)
    return lambda *words: defocusfix("data", *words)


def test_check_shows_a_row_for_each_pair_and_a_summary(data):
    told = data("check", "blurry", "sharp")
    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert lines[0].split()[:2] == ["pair", "verdict"]
    assert [line.split()[:2] for line in lines[1:7]] == [[f"{n:02d}", "good"] for n in range(6)]
    assert lines[-1] == "6 pairs: 6 good, 0 usable, 0 reject"
    assert "6 pairs by name" in told.stderr


def test_check_saves_a_list_and_a_page_with_the_worst_first(data, tmp_path):
    Image.new("RGB", (384, 288)).save(tmp_path / "blurry" / "04.png")
    words = ("check", "blurry", "sharp", "--csv", "out/list.csv", "--html", "out/page.html")
    assert data(*words).exit_code == 0
    rows = {
        row["name"]: row
        for row in csv.DictReader((tmp_path / "out/list.csv").read_text().splitlines())
    }
    assert rows["04"]["reasons"] == "the blurry photo is blank"
    assert float(rows["00"]["radius_median_px"]) == pytest.approx(3, rel=0.2)
    page = (tmp_path / "out/page.html").read_text()
    assert page.index("04.png") < page.index("00.png")
    assert page.count("<img") == 5 * 4
    assert data(*words).exit_code == 9
    assert data(*words, "--overwrite").exit_code == 0


def test_check_answers_in_json(data):
    told = data("check", "blurry", "sharp", "--json")
    content = json.loads(told.stdout)
    assert content["can_train"] is True
    assert [pair["verdict"] for pair in content["pairs"]] == ["good"] * 6


def test_a_set_that_cannot_be_trained_on_ends_with_8_and_says_why(data, tmp_path):
    told = data("check", "sharp", "blurry")
    assert told.exit_code == 8
    assert "swapped" in told.stderr
    assert "defocusfix data check blurry sharp" in told.stderr
    for number in range(2, 6):
        (tmp_path / "blurry" / f"{number:02d}.png").unlink()
    told = data("check", "blurry", "sharp")
    assert told.exit_code == 8
    assert "2 usable pairs, and at least 5 are needed" in told.stderr
    assert "02.png" in told.stderr  # without a counterpart


def test_folders_that_hold_no_pairs_end_with_4(data, tmp_path):
    (tmp_path / "empty").mkdir()
    for words in (("blurry", "empty"), ("blurry", "missing"), ("blurry", "blurry")):
        told = data("check", *words)
        assert told.exit_code == 4
        assert told.stdout == ""


def test_align_writes_copies_and_masks(data, tmp_path):
    told = data("align", "blurry", "sharp", "-o", "aligned")
    assert told.exit_code == 0
    assert "6 pairs aligned" in told.stderr
    for folder in ("blurry", "sharp", "valid"):
        assert len(list((tmp_path / "aligned" / folder).iterdir())) == 6
    assert data("align", "blurry", "sharp", "-o", "aligned").exit_code == 9


def test_align_does_what_can_be_done_and_says_what_cannot(data, tmp_path):
    (tmp_path / "blurry" / "03.png").write_bytes(b"broken")
    told = data("align", "blurry", "sharp", "-o", "aligned", "--crop")
    assert told.exit_code == 3
    assert "03.png" in told.stderr
    assert len(list((tmp_path / "aligned" / "sharp").iterdir())) == 5


def test_split_names_the_pairs_that_are_held_out(data, tmp_path):
    told = data("split", "blurry", "sharp", "--held-out", "0.4", "-o", "split", "--files", "copy")
    assert told.exit_code == 0
    rows = [line.split() for line in told.stdout.splitlines()[1:]]
    held_out = {name for name, _, part in rows if part == "held-out"}
    assert len(held_out) == 2
    found = {path.stem for path in (tmp_path / "split" / "held-out" / "sharp").iterdir()}
    assert found == held_out
    again = json.loads(data("split", "blurry", "sharp", "--held-out", "0.4", "--json").stdout)
    assert set(again["held_out"]) == held_out


def test_split_refuses_what_cannot_be_meant(data, tmp_path):
    assert data("split", "blurry", "sharp", "--held-out", "1.5").exit_code == 2
    assert data("split", "blurry", "sharp", "--files", "copy").exit_code == 2
    for number in range(1, 6):
        (tmp_path / "blurry" / f"{number:02d}.png").unlink()
    assert data("split", "blurry", "sharp").exit_code == 8


def test_preview_draws_the_crops_that_training_takes(data, tmp_path):
    words = ("preview", "blurry", "sharp", "-o", "crops.png", "-n", "4", "--crop-px", "96")
    told = data(*words)
    assert told.exit_code == 0
    sheet = read_photo(tmp_path / "crops.png").pixels
    assert sheet.shape[1] == 6 + 6 * (96 + 6)
    assert np.ptp(sheet) > 100
    assert data(*words).exit_code == 9
    assert data(*words, "--overwrite", "--scale", "2").exit_code == 0


def test_preview_leaves_out_what_cannot_be_read(data, tmp_path):
    (tmp_path / "blurry" / "03.png").write_bytes(b"broken")
    words = ("preview", "blurry", "sharp", "-o", "crops.png", "--crop-px", "96")
    told = data(*words, "--scale", "1")
    assert told.exit_code == 0
    assert "03.png" in told.stderr
    for refused in (("--scale", "half"), ("--crop-px", "100")):
        assert data(*words, "--overwrite", *refused).exit_code == 2


def test_data_alone_shows_its_commands(data):
    told = data()
    assert told.exit_code == 0
    for name in ("check", "align", "split", "preview"):
        assert name in told.stdout
    told = data("chek")
    assert told.exit_code == 2
    assert "defocusfix data check" in told.stderr


def test_the_commands_work_without_torch(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert data("check", "blurry", "sharp").exit_code == 0
