from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from defocusfix.errors import InputError
from defocusfix.evaluation.pairs import (
    mean_score,
    pair_case,
    pair_gains,
    read_pair,
    score_pair,
    score_pairs,
    with_exposure_of,
)
from defocusfix.evaluation.protocols import untouched
from defocusfix.pairs.find import PairFiles
from defocusfix.registration.warp import affine_flow, warp
from tests.evaluation.scenes import answer, blurred, texture

SHARP = texture(96, 128)
BLURRED = blurred(SHARP, 1.5)


def by_alignment(scores):
    return {score.alignment: score for score in scores}


def test_a_pair_in_line_scores_alike_raw_and_aligned():
    scores = by_alignment(score_pair(pair_case("one", BLURRED, SHARP), BLURRED))
    assert scores.keys() == {"raw", "global", "tiled", "flow"}
    assert scores["global"].psnr_db == pytest.approx(scores["raw"].psnr_db, abs=0.3)


def test_a_shifted_and_darker_target_is_brought_to_the_input():
    moved = warp(SHARP, affine_flow(np.array([[1.01, 0, 4.3], [0, 1.01, -2.6]]), (96, 128)))
    darker = 0.8 * moved
    scores = by_alignment(score_pair(pair_case("one", BLURRED, darker), SHARP))
    assert scores["raw"].psnr_db < 18
    assert scores["global"].psnr_db > 30
    assert scores["global"].ssim_uniform > 0.95 > scores["raw"].ssim_uniform


def test_tiles_follow_what_moved_by_whole_pixels_and_leave_their_seams_out():
    photo = texture(128, 192)
    flow = np.zeros((128, 192, 2), np.float32)
    flow[:, 64:128, 0] = 2  # the middle third, which no global alignment can follow
    case = pair_case("one", blurred(photo, 1.0), warp(photo, flow), flow=lambda *_: 0 * flow)
    scores = by_alignment(score_pair(case, photo))
    assert scores["tiled"].psnr_db > scores["global"].psnr_db + 3
    assert scores["flow"].psnr_db == pytest.approx(scores["global"].psnr_db, abs=0.5)
    mask = case.targets["tiled"].mask
    assert not mask[20:-20, 60:68].any()
    assert mask[20:-20, 20:50].all()


def test_a_target_of_another_scene_counts_as_raw_only():
    case = pair_case("one", BLURRED, np.full_like(SHARP, 0.5))
    assert list(case.targets) == ["raw"]


def test_exposure_is_matched_by_one_gain_per_channel_in_linear_light():
    linear = np.linspace(0.02, 0.5, 3 * 40 * 40).reshape(40, 40, 3)

    def display(values):
        return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)

    image = display(linear * [1.6, 1.2, 0.7]).astype(np.float32)
    target = display(linear).astype(np.float32)
    matched = with_exposure_of(image, target, np.ones((40, 40), bool))
    assert np.abs(matched - image).max() < 1e-3


def test_a_learned_distance_that_is_handed_in_is_reported():
    case = pair_case("one", BLURRED, SHARP)

    def distance(image, target):
        return float(np.abs(image - target).max())

    measured = by_alignment(score_pair(case, BLURRED, distance))
    assert measured["raw"].lpips == pytest.approx(float(np.abs(BLURRED - SHARP).max()))
    assert np.isnan(score_pair(case, BLURRED)[0].lpips)


def test_methods_are_scored_pair_by_pair_and_averaged_by_alignment():
    cases = [pair_case(name, BLURRED, SHARP) for name in ("one", "two")]
    scores = score_pairs({"input": untouched, "truth": answer(SHARP)}, cases)
    assert [s.pair for s in scores["input"] if s.alignment == "raw"] == ["one", "two"]
    truth = mean_score(scores["truth"], "raw")
    assert truth is not None
    assert (truth.pair, truth.psnr_db, truth.mae) == ("mean of 2", 60, 0)
    assert mean_score([], "raw") is None


def test_the_gain_of_a_pair_is_that_against_its_best_aligned_target():
    cases = [
        pair_case("aligned", BLURRED, SHARP),
        pair_case("raw only", BLURRED, np.full_like(SHARP, 0.5)),
    ]
    scores = score_pairs({"input": untouched, "truth": answer(SHARP)}, cases)
    aligned, raw = pair_gains(scores["input"], scores["truth"])
    before, after = scores["input"], scores["truth"]
    assert (after[3].alignment, after[4].alignment) == ("flow", "raw")
    assert aligned == after[3].psnr_db - before[3].psnr_db > 3
    assert raw == after[4].psnr_db - before[4].psnr_db < 0


def test_files_of_unequal_size_are_refused(tmp_path):
    for name, size in (("a", (16, 16)), ("b", (16, 17))):
        Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / f"{name}.png")
    with pytest.raises(InputError, match="differ in size"):
        read_pair(PairFiles("a", tmp_path / "a.png", tmp_path / "b.png"))
