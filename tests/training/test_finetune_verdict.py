"""The verdict on a tuned network: when it says yes, when no, and that choosing is no gain."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from defocusfix.training.finetuning.data import scenes_to_hold_out
from defocusfix.training.finetuning.verdict import Look, Verdict, interval, judge, student_975


def verdict(gains: np.ndarray, *, base_over_input: float = 0.5) -> Verdict:
    """Of a run whose looks gained (looks, scenes) over the base model, one pair a scene."""
    names = [f"scene {number}" for number in range(gains.shape[1])]
    base = np.linspace(25, 30, len(names))
    table = np.vstack([np.zeros(len(names)), gains]) + base
    looks = [
        Look(100 * n, dict(zip(names, map(float, row), strict=True))) for n, row in enumerate(table)
    ]
    untouched = dict(zip(names, base - base_over_input, strict=True))
    return judge(looks, untouched, {name: name for name in names})


def test_scenes_that_agree_on_a_gain_make_a_reliable_one():
    found = verdict(np.array([[0.1, 0.2, 0.1, 0.2], [0.3, 0.5, 0.4, 0.4]]))
    assert found.is_reliable
    assert found.kept_step == 200
    assert found.mean_db == pytest.approx(0.4)
    assert found.over_input_db == pytest.approx(0.9)
    assert 0 < found.low_db < 0.4 < found.high_db
    assert found.in_words().startswith("Better on 4 of 4 held-out scenes, +0.40 dB on average")


def test_scenes_that_disagree_are_no_gain():
    found = verdict(np.array([[1.5, -0.6, 0.1, -0.2]]))
    assert not found.is_reliable
    assert found.in_words(["there are only 8 pairs"]).startswith(
        "No reliable gain, keep the base model: "
    )
    assert "there are only 8 pairs" in found.in_words(["there are only 8 pairs"])


def test_a_network_that_never_got_better_leaves_the_base_model():
    found = verdict(np.array([[-0.1, -0.2, -0.1], [-0.3, -0.4, -0.2]]))
    assert found.kept_step == 0
    assert set(found.gains_db.values()) == {0.0}
    assert "at no time was the network better" in found.in_words()


def test_two_scenes_are_too_few_to_tell():
    found = verdict(np.array([[0.5, 0.5]]))
    assert not found.is_reliable
    assert "2 held-out scenes cannot show" in found.in_words()
    one = verdict(np.array([[0.5]]))
    assert (one.low_db, one.high_db) == (-math.inf, math.inf)
    assert "inf" not in one.in_words()


def test_a_gain_that_nobody_sees_is_none():
    assert not verdict(np.array([[0.02, 0.021, 0.022, 0.02]])).is_reliable


def test_what_stays_behind_the_untouched_photo_is_no_gain():
    found = verdict(np.array([[0.3, 0.35, 0.3, 0.32]]), base_over_input=-1.0)
    assert found.over_input_db < 0
    assert "left as they are" in found.in_words()


@pytest.mark.parametrize("scenes", [3, 6, 14])
def test_choosing_among_looks_at_chance_is_no_gain(scenes):
    # Ten looks that differ by chance only: the best of them looks better than the base model.
    rng = np.random.default_rng(scenes)
    wrongly = flattered = 0
    for _ in range(200):
        gains = rng.normal(0, 0.3, (10, scenes))
        wrongly += verdict(gains).is_reliable
        flattered += interval(gains[gains.mean(axis=1).argmax()])[0] > 0
    assert wrongly <= 18  # a few per cent, though these looks have nothing in common
    assert flattered > 2 * wrongly  # what the kept look would have claimed of itself


@pytest.mark.parametrize("scenes", [15, 20])
def test_the_judges_of_a_small_set_find_a_gain_that_is_there(scenes):
    # A run that nears 0.3 dB, by scenes spread by half of that, as on the lens it was measured on.
    rng = np.random.default_rng(scenes)
    found = 0
    for _ in range(100):
        true_gain = 0.3 * (1 + 0.55 * rng.normal(size=scenes_to_hold_out(scenes)))
        progress = 1 - np.exp(-np.arange(1, 11) / 3)
        gains = progress[:, None] * true_gain + rng.normal(0, 0.02, (10, len(true_gain)))
        found += verdict(gains).is_reliable
    assert found >= 88


def test_a_gain_of_five_scenes_is_one_chance_in_thirty_two():
    assert verdict(np.array([[0.3, 0.4, 0.2, 0.5, 0.3]])).chance == pytest.approx(1 / 32)


def test_two_photos_of_one_scene_count_once():
    base = {"a1": 20.0, "a2": 20.0, "b": 20.0, "c": 20.0}
    scenes = {"a1": "a", "a2": "a", "b": "b", "c": "c"}
    tuned = {"a1": 20.1, "a2": 20.5, "b": 20.2, "c": 20.4}
    found = judge([Look(0, base), Look(5, tuned)], base, scenes)
    assert found.gains_db == pytest.approx({"a": 0.3, "b": 0.2, "c": 0.4})


def test_pairs_without_figures_do_not_count():
    figures = {"a": 20.0, "b": 21.0}
    found = judge([Look(0, figures)], figures, {"a": "a", "b": "b", "c": "c"})
    assert found.gains_db == {"a": 0.0, "b": 0.0}
    with pytest.raises(ValueError, match="one pair at least"):
        judge([Look(0, {})], {}, {"c": "c"})


@given(st.integers(2, 400))
def test_students_t_is_that_of_scipy(freedom):
    assert student_975(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=0.01)
    assert student_975(1) == pytest.approx(stats.t.ppf(0.975, 1), rel=0.001)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=12))
def test_the_interval_is_that_of_scipy(values):
    found = interval(np.array(values))
    error = stats.sem(values)
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), error or 1e-12)
    assert found == pytest.approx(expected, rel=0.02, abs=0.02 * error + 1e-9)
