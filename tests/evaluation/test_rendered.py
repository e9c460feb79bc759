from __future__ import annotations

import numpy as np
import pytest

from defocusfix.evaluation.protocols import Restored, untouched
from defocusfix.evaluation.rendered import is_textured, photo_gains, score_rendered, summarise
from defocusfix.pairs.rendered import RenderedSet, write_facts, write_shard
from tests.evaluation.scenes import answer, blurred, texture

SIZE = 64


def as_bytes(image):
    return np.rint(image * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """One photo, sharp at the left and blurred at the right, written and read as a set."""
    folder = tmp_path_factory.mktemp("set")
    sharp = texture(SIZE, SIZE)
    soft = np.concatenate([sharp[:, :32], blurred(sharp)[:, 32:]], axis=1)
    radius = np.zeros((1, 32, 32), np.float16)
    radius[:, :16, 16:], radius[:, 16:, 16:] = -3, 12
    write_facts(folder, {})
    write_shard(folder, 0, as_bytes(soft)[None], as_bytes(sharp)[None], radius)
    return RenderedSet(folder)


def true_radius(pairs):
    return np.abs(pairs[0][2]).astype(np.float32).repeat(2, axis=0).repeat(2, axis=1)


def true_photo(pairs):
    return pairs[0][1].astype(np.float32) / np.float32(255)


def test_gains_stand_in_the_band_of_the_true_radius_whatever_its_sign(pairs):
    summary = summarise(score_rendered(answer(true_photo(pairs)), pairs), "all")
    assert summary.gains_db.keys() == {"sharp", "1.5-4", "10-24"}
    assert summary.gains_db["sharp"] == 0
    assert summary.gains_db["1.5-4"] > 10
    assert summary.gains_db["10-24"] > 10
    assert summary.gain_photos["10-24"] == 1


def test_the_gain_of_a_photo_is_the_mean_over_its_bands_out_of_focus(pairs):
    flat = np.full((SIZE, SIZE, 3), 128, np.uint8)
    in_focus = (flat, flat, np.zeros((32, 32)))
    scores = score_rendered(answer(true_photo(pairs)), [pairs[0], in_focus])
    gains = scores[0].gains_db
    assert photo_gains(scores) == [pytest.approx((gains["1.5-4"] + gains["10-24"]) / 2), 0]


def test_the_untouched_photo_gains_nothing_keeps_all_and_has_no_map(pairs):
    summary = summarise(score_rendered(untouched, pairs), "all")
    assert set(summary.gains_db.values()) == {0}
    assert summary.kept_db == 60
    assert np.isnan([summary.map_error_px, summary.map_correlation]).all()


def test_a_map_is_judged_in_pixels_where_near_and_in_percent_where_far(pairs):
    found = 1.25 * true_radius(pairs)
    scores = score_rendered(lambda image: Restored(image, found), pairs)
    summary = summarise(scores, "all")
    # A quarter of the photo is off by 0.75 px, half of it by nothing: 0.25 px over both.
    assert summary.map_error_px == pytest.approx(0.25)
    assert summary.map_relative_error == pytest.approx(0.25)
    assert summary.map_correlation == pytest.approx(1)


def test_a_map_that_says_the_same_everywhere_does_not_correlate(pairs):
    constant = np.full((SIZE, SIZE), 3, np.float32)
    scores = score_rendered(lambda image: Restored(image, constant), pairs)
    assert summarise(scores, "all").map_correlation == 0


def test_sums_of_maps_add_up_over_photos(pairs):
    rng = np.random.default_rng(0)
    found = [rng.uniform(0, 12, (SIZE, SIZE)).astype(np.float32) for _ in range(2)]
    turn = iter(found)
    scores = score_rendered(lambda image: Restored(image, next(turn)), [pairs[0], pairs[0]])
    summary = summarise(scores, "all")
    halves = np.stack([f.reshape(32, 2, 32, 2).mean((1, 3)) for f in found])
    truth = np.stack([np.abs(pairs[0][2]).astype(float)] * 2)
    expected = np.corrcoef(halves.ravel(), truth.ravel())[0, 1]
    assert summary.map_correlation == pytest.approx(expected, abs=1e-6)
    assert summary.map_error_px == pytest.approx(np.abs(halves - truth)[truth < 8].mean())


def test_flat_places_do_not_count_as_textured():
    image = np.full((SIZE, SIZE, 3), 0.5, np.float32)
    image[:, 40:] = texture(SIZE, SIZE - 40)
    textured = is_textured(image)
    assert textured[:, 48:].all()
    assert not textured[:, :20].any()


def test_a_flat_photo_has_figures_over_all_pixels_but_none_over_textured_ones():
    flat = np.full((SIZE, SIZE, 3), 128, np.uint8)
    pairs = [(flat, flat, np.zeros((32, 32)))]
    scores = score_rendered(lambda image: Restored(image, np.zeros((SIZE, SIZE))), pairs)
    assert summarise(scores, "all").kept_db == 60
    textured = summarise(scores, "textured")
    assert textured.gains_db == {}
    assert np.isnan([textured.kept_db, textured.map_error_px]).all()
