from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from defocusfix.evaluation.baselines import unsharp_mask
from defocusfix.pairs.rendered import write_facts, write_shard
from tests.engines.image_distances import mean_square
from tests.evaluation.scenes import blurred, bracket, texture


@pytest.fixture(autouse=True)
def sharpening_model(monkeypatch):
    """Stands in for weights: sharpens, and says that the brighter a place, the more blurred."""
    sharpen = unsharp_mask(2.0, 1.0)

    class Restorer:
        spec = SimpleNamespace(name="sharpener", views=())
        engine = SimpleNamespace(name="a stand-in", device="cpu", precision="fp32")

        def __call__(self, image, views=None):
            return SimpleNamespace(image=sharpen(image).image, radius_px=4 * image[..., 0])

    def opened(model, *, settings, precision):
        assert (model, precision) == (None, "fp32")
        return Restorer()

    monkeypatch.setattr("defocusfix.restoration.restorer.open_restorer", opened)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(path)


@pytest.fixture
def scenes(tmp_path):
    _, soft_left, soft_right = bracket()
    write(tmp_path / "lytro_1" / "lytro_1_A.png", soft_left)
    write(tmp_path / "lytro_1" / "lytro_1_B.png", soft_right)
    return tmp_path


@pytest.fixture
def two_folders(tmp_path):
    sharp = texture(64, 80)
    write(tmp_path / "blurry" / "one.png", blurred(sharp, 1.2))
    write(tmp_path / "sharp" / "one.png", sharp)
    return tmp_path


def test_brackets_give_a_table_that_begins_with_the_untouched_input(defocusfix, scenes):
    told = defocusfix("evaluate", "--brackets", scenes)
    assert told.exit_code == 0
    heading, first, *rest = told.stdout.splitlines()
    assert heading.startswith("method")
    assert first.startswith("input")
    assert [line.split()[0] for line in rest] == ["input", "model", "model"]
    assert "model sharpener by a stand-in on cpu in fp32" in told.stderr


def test_baselines_stand_above_the_model(defocusfix, scenes):
    told = defocusfix("evaluate", "--brackets", scenes, "--baselines", "--json")
    methods = [row["method"] for row in json.loads(told.stdout)["means"]]
    assert methods[::2] == ["input", "unsharp mask", "Richardson-Lucy, disc 2 px", "model"]


def test_rows_and_sheet_are_saved_where_asked(defocusfix, scenes, tmp_path):
    table, sheet = tmp_path / "new" / "scores.csv", tmp_path / "sheet.png"
    told = defocusfix("evaluate", "--brackets", scenes, "--save", table, "--sheet", sheet)
    assert told.exit_code == 0
    with table.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["case"] for row in rows] == ["lytro_1_A", "lytro_1_B"] * 2
    with Image.open(sheet) as picture:
        assert picture.width > 5 * 2 * 90


def test_rendered_sets_are_measured_up_to_the_number_asked_for(defocusfix, tmp_path):
    sharp = np.rint(np.stack([texture(64, 64, seed) for seed in range(3)]) * 255)
    write_facts(tmp_path, {})
    radius = np.full((3, 32, 32), 2, np.float16)
    soft = np.stack([blurred(photo) for photo in sharp])
    write_shard(tmp_path, 0, soft.astype(np.uint8), sharp.astype(np.uint8), radius)
    sheet = tmp_path / "sheet.png"
    told = defocusfix("evaluate", "--rendered", tmp_path, "--first", 2, "--json", "--sheet", sheet)
    report = json.loads(told.stdout)
    assert [row["photos"] for row in report["means"]] == [2] * 4
    model = next(row for row in report["means"] if row["method"] == "model")
    assert model["gain_db_1.5-4"] > 0
    assert model["gain_db_sharp"] is None
    assert sheet.exists()


@pytest.fixture
def sheets(monkeypatch):
    """The labels of every sheet that is drawn, row by row."""
    seen = []

    def draw(rows):
        seen.append([[panel.label for panel in row] for row in rows])
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr("defocusfix.figures.contact_sheet.contact_sheet", draw)
    return seen


def gains(rows) -> list[float]:
    return [float(label.split()[1]) for row in rows for label in row if "output" in label]


def test_the_sheet_of_pairs_goes_from_the_worst_to_the_best(defocusfix, two_folders, sheets):
    sharp = texture(64, 80)  # sharpened on, it is worse
    write(two_folders / "blurry" / "two.png", sharp)
    write(two_folders / "sharp" / "two.png", sharp)
    where = ("--input", two_folders, "--layout", "pairs")
    told = defocusfix("evaluate", *where, "--sheet", two_folders / "sheet.png")
    assert told.exit_code == 0
    (rows,) = sheets
    assert [row[0] for row in rows] == ["two input", "one input"]
    worst, best = gains(rows)
    assert worst < 0 < best


def test_the_sheet_of_a_rendered_set_goes_from_the_worst_to_the_best(defocusfix, tmp_path, sheets):
    sharp = texture(64, 64)
    write_facts(tmp_path, {})
    radius = np.full((2, 32, 32), 2, np.float16)
    soft = np.rint(np.stack([blurred(sharp), sharp]) * 255).astype(np.uint8)
    write_shard(tmp_path, 0, soft, np.stack([soft[1]] * 2), radius)
    told = defocusfix("evaluate", "--rendered", tmp_path, "--sheet", tmp_path / "sheet.png")
    assert told.exit_code == 0
    worst, best = gains(sheets[0])
    assert worst < 0 < best


def test_figures_of_maps_are_saved_for_every_photo(defocusfix, tmp_path):
    for name in ("a", "b"):
        write(tmp_path / "images" / f"{name}.png", texture(60, 70))
        write(tmp_path / "masks" / f"{name}.png", np.ones((60, 70)))
    told = defocusfix(
        *("evaluate", "--maps", tmp_path / "images", tmp_path / "masks"),
        *("--json", "--save", tmp_path / "scores.csv"),
    )
    (mean,) = json.loads(told.stdout)["means"]
    with (tmp_path / "scores.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["photo"] for row in rows] == ["a", "b"]
    for key in ("f_at_chosen", "best_f", "best_threshold_px", "error"):
        assert float(rows[0][key]) == pytest.approx(mean[key])


def test_maps_are_measured_against_masks(defocusfix, tmp_path):
    photo = texture(60, 70)
    write(tmp_path / "images" / "a.png", photo)
    write(tmp_path / "masks" / "a.png", (photo[..., 0] > 0.5).astype(float))
    told = defocusfix(
        *("evaluate", "--maps", tmp_path / "images", tmp_path / "masks"),
        *("--threshold", 2, "--json", "--sheet", tmp_path / "sheet.png"),
    )
    (row,) = json.loads(told.stdout)["means"]
    assert row["f_at_chosen"] > 0.99
    assert (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize("as_layout", [True, False], ids=["by layout", "by two folders"])
def test_pairs_are_measured_raw_and_aligned(defocusfix, two_folders, as_layout):
    where = (
        ("--input", two_folders, "--layout", "pairs")
        if as_layout
        else ("--input", two_folders / "blurry", "--target", two_folders / "sharp")
    )
    told = defocusfix("evaluate", *where, "--json", "--sheet", two_folders / "sheet.png")
    means = {(row["alignment"], row["method"]): row for row in json.loads(told.stdout)["means"]}
    assert {alignment for alignment, _ in means} == {"raw", "global", "tiled", "flow"}
    assert means["raw", "model"]["psnr_db"] > means["raw", "input"]["psnr_db"]


def test_lpips_is_one_more_column_where_its_graph_is_given(defocusfix, two_folders):
    graph, table = two_folders / "lpips.onnx", two_folders / "scores.csv"
    mean_square(graph)
    where = ("--input", two_folders, "--layout", "pairs")
    assert "lpips" not in defocusfix("evaluate", *where).stdout
    told = defocusfix("evaluate", *where, "--lpips", graph, "--save", table)
    assert told.exit_code == 0
    assert told.stdout.splitlines()[0].split()[-1] == "lpips"
    with table.open(newline="") as lines:
        assert all(float(row["lpips"]) >= 0 for row in csv.DictReader(lines))


def test_a_graph_that_is_no_distance_is_told_before_any_photo_is_read(defocusfix, two_folders):
    (two_folders / "lpips.onnx").write_bytes(b"no graph")
    where = ("--input", two_folders / "missing", "--layout", "pairs")
    told = defocusfix("evaluate", *where, "--lpips", two_folders / "lpips.onnx")
    assert told.exit_code == 5
    assert "lpips.onnx cannot be loaded" in told.stderr
    assert "two images" in told.stderr


def test_a_pair_that_cannot_be_aligned_is_told(defocusfix, tmp_path):
    write(tmp_path / "blurry" / "one.png", texture(64, 80))
    write(tmp_path / "sharp" / "one.png", texture(64, 80, seed=5))
    told = defocusfix("evaluate", "--input", tmp_path, "--layout", "pairs")
    assert told.exit_code == 0
    assert "1 of 1 pairs could not be aligned" in told.stderr


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--brackets", "a", "--rendered", "b"),
        ("--input", "a"),
        ("--brackets", "a", "--target", "b"),
        ("--input", "a", "--target", "b", "--layout", "dpdd"),
        ("--brackets", "a", "--lpips", "b.onnx"),
        ("--maps", "a", "b", "--baselines"),
        ("--maps", "a", "b", "--threshold", "0"),
    ],
)
def test_a_request_that_is_not_one_measurement_is_refused(defocusfix, words):
    told = defocusfix("evaluate", *words)
    assert told.exit_code == 2
    assert told.stdout == ""


def test_a_folder_that_is_not_there_is_told_with_its_exit_code(defocusfix, tmp_path):
    told = defocusfix("evaluate", "--brackets", tmp_path / "none")
    assert told.exit_code == 4
    assert "is not a folder" in told.stderr


def test_a_table_that_cannot_be_saved_is_told_with_its_exit_code(defocusfix, scenes, tmp_path):
    (tmp_path / "file").touch()
    told = defocusfix("evaluate", "--brackets", scenes, "--save", tmp_path / "file" / "t.csv")
    assert told.exit_code == 9
