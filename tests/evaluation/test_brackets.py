from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from defocusfix.errors import InputError
from defocusfix.evaluation.brackets import (
    bracket_case,
    decisively_sharper,
    load_brackets,
    score_brackets,
    score_case,
    summarise,
)
from defocusfix.evaluation.protocols import Restored, untouched
from defocusfix.registration.warp import affine_flow, warp
from tests.evaluation.scenes import answer, blur_more, bracket, texture


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def case():
    _, soft_left, soft_right = bracket()
    return bracket_case("scene", "A", soft_left, soft_right)


def test_the_frame_that_is_sharper_is_the_reference_there_and_only_there(case):
    middle = case.image.shape[1] // 2
    assert case.aligned.mask[:, : middle - 20].mean() > 0.8
    assert not case.aligned.mask[:, middle:].any()
    assert case.sharp[:, middle + 20 :].mean() > 0.8
    assert not case.sharp[:, :middle].any()


def test_flat_regions_judge_nothing():
    flat = np.full((40, 40, 3), 0.5, np.float32)
    assert not decisively_sharper(flat, flat).any()


def test_the_untouched_frame_gains_nothing_and_is_kept_wholly(case):
    score = score_brackets(untouched, [case])[0]
    assert (score.gain_db, score.gain_as_shot_db, score.gain_local_db) == (0, 0, 0)
    assert score.kept_db == 60


def test_the_true_photo_gains_and_a_blurrier_one_loses(case):
    sharp, _, _ = bracket()
    better, worse = (score_brackets(m, [case])[0] for m in (answer(sharp), blur_more))
    assert better.gain_db > 10
    assert better.kept_db == 60
    assert worse.gain_db < 0
    assert worse.kept_db < 40


def test_focus_breathing_between_the_frames_is_undone_before_scoring():
    sharp, soft_left, soft_right = bracket()
    zoom = np.array([[1.02, 0, -1.6], [0, 1.02, 0.5]])
    moved = warp(soft_right, affine_flow(zoom, soft_right.shape[:2]))
    score = score_case(bracket_case("scene", "A", soft_left, moved), sharp)
    assert score.gain_db > 5
    assert score.gain_as_shot_db < score.gain_db - 3


def test_parallax_that_varies_over_the_frame_is_undone_by_the_local_shifts():
    sharp, soft_left, soft_right = bracket(128, 192)
    wave = np.sin(np.arange(128) / 128 * 2 * np.pi).astype(np.float32)
    flow = np.zeros((128, 192, 2), np.float32)
    flow[..., 0] = wave[:, None]
    score = score_case(bracket_case("scene", "A", soft_left, warp(soft_right, flow)), sharp)
    assert score.gain_local_db > score.gain_db + 1


def test_a_folder_gives_two_cases_per_scene(tmp_path):
    _, soft_left, soft_right = bracket()
    for scene in ("lytro_1", "other"):
        write(tmp_path / scene / f"{scene}_A.png", soft_left)
        write(tmp_path / scene / f"{scene}_B.png", soft_right)
    (tmp_path / "notes").mkdir()
    names = [case.name for case in load_brackets(tmp_path)]
    assert names == ["lytro_1_A", "lytro_1_B", "other_A", "other_B"]


def test_frames_of_which_neither_is_sharper_make_no_case(tmp_path):
    write(tmp_path / "same" / "same_A.png", texture(64, 64))
    write(tmp_path / "same" / "same_B.png", texture(64, 64))
    assert load_brackets(tmp_path) == []


def test_a_folder_without_brackets_is_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match="SCENE_A and SCENE_B"):
        load_brackets(tmp_path)


def test_frames_of_unequal_size_are_refused(tmp_path):
    write(tmp_path / "odd" / "odd_A.png", texture(40, 40))
    write(tmp_path / "odd" / "odd_B.png", texture(40, 44))
    with pytest.raises(InputError, match="differ in size"):
        load_brackets(tmp_path)


def test_a_result_of_another_size_is_refused(case):
    with pytest.raises(ValueError, match="came back as"):
        score_brackets(lambda image: Restored(image[1:]), [case])


def test_the_summary_counts_groups_gains_and_the_tail(case):
    sharp, _, _ = bracket()
    good, none = score_case(case, sharp), score_case(case, case.image)
    summary = summarise([good, none])
    assert (summary.cases, summary.improved) == (2, 0.5)
    assert summary.gain_db == pytest.approx(good.gain_db / 2)
    assert summary.kept_tail_db == 60
    with pytest.raises(ValueError, match="lytro"):
        summarise([good], "lytro")
