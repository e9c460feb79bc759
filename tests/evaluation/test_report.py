from __future__ import annotations

import csv
import io

import pytest

from defocusfix.evaluation import brackets, maps, pairs, rendered, report
from defocusfix.evaluation.protocols import Restored, untouched
from tests.evaluation.scenes import answer, blurred, bracket, texture

SHARP = texture(48, 48)


@pytest.fixture(scope="module")
def bracket_report():
    sharp, soft_left, soft_right = bracket()
    scores = {"input": [], "truth": []}
    for scene in ("lytro_1", "books"):
        case = brackets.bracket_case(scene, "A", soft_left, soft_right)
        scores["input"] += brackets.score_brackets(untouched, [case])
        scores["truth"] += brackets.score_brackets(answer(sharp), [case])
    return report.brackets_report(scores)


def test_brackets_have_a_row_for_all_scenes_and_one_for_lytro(bracket_report):
    rows = [(row["method"], row["scenes"], row["cases"]) for row in bracket_report.means]
    assert rows[:2] == [("input", "all", 2), ("input", "lytro", 1)]
    assert rows[2:] == [("truth", "all", 2), ("truth", "lytro", 1)]
    assert [row["case"] for row in bracket_report.each] == ["lytro_1_A", "books_A"] * 2


def test_csv_reads_back_with_every_figure(bracket_report):
    rows = list(csv.DictReader(io.StringIO(report.as_csv(bracket_report.each))))
    assert len(rows) == 4
    assert float(rows[2]["gain_db"]) == bracket_report.each[2]["gain_db"]


def test_json_holds_means_and_single_photos(bracket_report):
    written = bracket_report.as_json()
    assert written.keys() == {"protocol", "means", "each"}
    assert written["protocol"] == "brackets"


def test_rendered_rows_name_each_band_and_region():
    flat = (texture(32, 32) * 255).astype("uint8")
    pairs_ = [(flat, flat, texture(16, 16)[..., 0])]
    scores = rendered.score_rendered(untouched, pairs_)
    found = report.rendered_report({"input": scores})
    assert [row["region"] for row in found.means] == ["all", "textured"]
    assert {"gain_db_sharp", "gain_db_10-24", "map_error_px"} <= found.means[0].keys()
    assert [row["photo"] for row in found.each] == [0, 0]


def test_pairs_are_grouped_by_alignment_with_the_input_first():
    case = pairs.pair_case("one", blurred(SHARP), SHARP)
    methods = {"input": untouched, "truth": answer(SHARP)}
    found = report.pairs_report(pairs.score_pairs(methods, [case]))
    first = [(row["alignment"], row["method"]) for row in found.means][:3]
    assert first == [("raw", "input"), ("raw", "truth"), ("global", "input")]
    assert "lpips" not in found.means[0]
    measured = pairs.score_pairs(methods, [case], lambda image, target: 0.25)
    assert {row["lpips"] for row in report.pairs_report(measured).means} == {0.25}


def test_maps_have_a_row_per_method():
    photo = maps.MaskedPhoto("a", SHARP, SHARP[..., 0] > 0.5)
    scores = maps.score_maps(lambda image: Restored(image, image[..., 0]), [photo])
    found = report.maps_report({"model": scores})
    assert [row["method"] for row in found.means] == ["model"]
    assert found.each[0]["photo"] == "a"


def test_the_figures_of_single_photos_have_the_means_of_the_table():
    masks = {"a": SHARP[..., 0] > 0.4, "b": SHARP[..., 0] > 0.6}
    photos = [maps.MaskedPhoto(name, SHARP, mask) for name, mask in masks.items()]
    scores = maps.score_maps(lambda image: Restored(image, 4 * image[..., 0]), photos)
    found = report.maps_report({"model": scores})
    (mean,) = found.means
    for key in ("f_at_chosen", "best_f", "best_threshold_px", "error"):
        assert sum(row[key] for row in found.each) / 2 == pytest.approx(mean[key])


def test_a_table_aligns_numbers_and_shows_what_is_missing_as_a_dash():
    rows = [
        {"method": "input", "gain_db": 0.0, "cases": 60, "share": float("nan")},
        {"method": "x", "gain_db": -12.3456, "cases": 5, "share": 0.91666},
    ]
    assert report.as_table(rows).splitlines() == [
        "method  gain db  cases  share",
        "input      0.00     60      -",
        "x        -12.35      5  0.917",
    ]
    assert report.as_table([]) == report.as_csv([]) == ""
