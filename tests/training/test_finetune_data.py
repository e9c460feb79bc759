"""Checked pairs, divided: what is learnt from, what is held out, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.errors import TrainingError
from defocusfix.pairs.blur import NOTHING_TO_TELL
from defocusfix.pairs.find import PairFiles
from defocusfix.pairs.report import DataReport, PairReport
from defocusfix.training.finetuning.data import (
    DataFacts,
    divided,
    fingerprint,
    scenes_to_hold_out,
)


def checked(number: int, **known) -> PairReport:
    facts = {
        "verdict": "good",
        "reasons": (),
        "blurred_size": (900, 600),
        "shift_px": float(number),
        "blur": replace(NOTHING_TO_TELL, median_px=3.0),
        "scale": 1,
        "scene": f"{number // 2:02d}",
    }
    name = f"{number:02d}"
    files = PairFiles(name, Path(f"blurry/{name}.png"), Path(f"sharp/{name}.png"))
    return PairReport(files=files, **(facts | known))


def facts_of(*pairs: PairReport, problems=(), share=None, crop_px=192) -> DataFacts:
    report = DataReport(pairs, (), tuple(problems), (), "name")
    files = [pair.files for pair in pairs]
    return divided(report, files, share, crop_px=crop_px, seed=0)


def test_no_scene_stands_on_both_sides():
    found = facts_of(*map(checked, range(24)))
    sides = [{found.scenes[name] for name in names} for names in (found.learnt, found.held_out)]
    assert sides[0] & sides[1] == set()
    assert [len(side) for side in sides] == [7, 5]
    assert len(facts_of(*map(checked, range(24)), share=0.1).held_out) == 2


def test_rejected_pairs_are_used_for_nothing():
    bad = [checked(n, verdict="reject", reasons=("blank",)) for n in (2, 7)]
    found = facts_of(*map(checked, (0, 1, 3, 4, 5, 6)), *bad)
    assert (found.found, found.rejected) == (8, 2)
    assert found.left_out == ("02", "07")
    assert not set(found.left_out) & {*found.learnt, *found.held_out}


def test_crops_shrink_to_fit_most_photos_and_the_smallest_ones_are_left_out():
    small = [checked(n, blurred_size=(300, 170)) for n in range(4)]
    assert facts_of(*small, *map(checked, range(4, 8))).crop_px == 128
    assert facts_of(*map(checked, range(8))).crop_px == 192
    reduced = [checked(n, scale=4) for n in range(8)]
    assert facts_of(*reduced).crop_px == 128
    found = facts_of(checked(0, blurred_size=(150, 150)), *map(checked, range(1, 20)))
    assert (found.crop_px, found.left_out) == (192, ("00",))


def test_what_is_told_of_the_pairs():
    pairs = [checked(n, scale=1 + n % 2) for n in range(8)]
    found = facts_of(*pairs)
    assert found.shift_px == 3.5
    assert found.scales == {"1": 4, "2": 4}
    assert found.hints() == (f"there are only {len(found.learnt)} pairs to learn from",)
    sharp = [checked(n, blur=replace(NOTHING_TO_TELL, median_px=0.4)) for n in range(60)]
    assert "hardly blurred" in facts_of(*sharp).hints()[0]


def test_a_set_that_cannot_be_trained_on_is_refused_with_its_reasons():
    bad = [checked(n, verdict="reject", reasons=("the sharp photo is blank",)) for n in range(6)]
    with pytest.raises(TrainingError) as caught:
        facts_of(*bad, problems=["no usable pairs, and at least 5 are needed"])
    assert caught.value.exit_code == 8
    assert "at least 5 are needed" in caught.value.why
    assert "the sharp photo is blank (6)" in caught.value.why
    with pytest.raises(TrainingError, match="no scene can be held out"):
        facts_of(*(checked(n, scene="00") for n in range(6)))
    with pytest.raises(TrainingError, match="smaller than the smallest crop"):
        facts_of(*(checked(n, blurred_size=(60, 60)) for n in range(6)))


@given(st.integers(2, 2000))
def test_some_scenes_judge_and_most_are_learnt_from(count):
    held_out = scenes_to_hold_out(count)
    assert 1 <= held_out <= count / 2
    assert held_out >= min(8, count // 3)


@pytest.mark.parametrize(
    ("scenes", "judges"), [(5, 2), (7, 3), (15, 6), (20, 8), (35, 8), (100, 20)]
)
def test_of_few_scenes_a_larger_share_judges(scenes, judges):
    assert scenes_to_hold_out(scenes) == judges


@given(st.integers(2, 40), st.integers(2, 9), st.integers(0, 5))
def test_in_turn_every_pair_judges_once_and_no_scene_is_divided(pairs, folds, seed):
    reports = tuple(map(checked, range(2 * pairs)))
    files = [report.files for report in reports]
    found = divided(
        DataReport(reports, (), (), (), "name"), files, None, folds, crop_px=192, seed=seed
    )
    judging = [name for names in found.folds for name in names]
    assert sorted(judging) == [files.name for files in files]
    assert (found.held_out, found.learnt) == ((), tuple(found.scenes))
    sides = [{found.scenes[name] for name in names} for names in found.folds]
    assert len(found.folds) == min(folds, pairs)
    assert sum(map(len, sides)) == len(set().union(*sides))
    assert max(map(len, sides)) - min(map(len, sides)) <= 1


def test_few_scenes_judge_in_turn_unless_a_share_is_asked_for():
    def folds(pairs: int, share: float | None = None, wish: int | None = None) -> int:
        reports = tuple(map(checked, range(pairs)))
        files = [report.files for report in reports]
        report = DataReport(reports, (), (), (), "name")
        return len(divided(report, files, share, wish, crop_px=192, seed=0).folds)

    assert [folds(n) for n in (6, 10, 22, 24)] == [3, 5, 5, 0]  # two pairs a scene
    assert (folds(10, share=0.2), folds(10, wish=0), folds(24, wish=4)) == (0, 0, 4)


def test_the_fingerprint_tells_when_a_photo_came_went_or_changed(tmp_path):
    files = [PairFiles("a", tmp_path / "a.png", tmp_path / "b.png")]
    seen = {fingerprint(files), fingerprint([])}
    for content in ("one", "three"):
        (tmp_path / "a.png").write_text(content)
        seen.add(fingerprint(files))
    assert len(seen) == 4
