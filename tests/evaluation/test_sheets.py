from __future__ import annotations

import numpy as np
import pytest

from defocusfix.evaluation.brackets import bracket_case, score_brackets
from defocusfix.evaluation.maps import MaskedPhoto, score_maps
from defocusfix.evaluation.pairs import pair_case
from defocusfix.evaluation.protocols import Restored, untouched
from defocusfix.evaluation.sheets import (
    bracket_rows,
    evenly,
    map_rows,
    pair_rows,
    rendered_rows,
    spread,
)
from tests.evaluation.scenes import answer, blurred, bracket, texture


def with_map(image):
    return Restored(image, image[..., 0])


def labels(row):
    return [panel.label for panel in row]


@pytest.mark.parametrize(
    ("length", "expected"), [(0, []), (1, [0]), (2, [0, 1]), (9, list(range(9)))]
)
def test_a_few_are_all_shown(length, expected):
    assert evenly(length) == expected


def test_of_many_the_worst_the_middle_and_the_best_are_shown():
    values = [5.0, -1.0, 9.0, 3.0, 7.0]
    assert spread(values, 3) == [1, 0, 2]


def test_a_bracket_shows_what_changed_and_what_was_kept():
    sharp, soft_left, soft_right = bracket(160, 480)
    case = bracket_case("books", "A", soft_left, soft_right)
    restore = answer(sharp)
    (row,) = bracket_rows(restore, [case], score_brackets(restore, [case]))
    assert labels(row)[2:] == ["reference", "sharp input", "kept 60.0 dB"]
    # The crop of the output shows the restored left half, not the input.
    assert not np.array_equal(row[0].image, row[1].image)
    assert np.array_equal(row[3].image, row[4].image)


def test_a_pair_is_shown_with_its_best_alignment_and_its_gain():
    sharp = texture(64, 64)
    (row,) = pair_rows(untouched, [pair_case("one", blurred(sharp), sharp)], [0.5])
    assert labels(row) == ["one input", "output +0.50 dB", "target, flow"]


def test_a_rendered_photo_shows_the_map_where_there_is_one():
    photo = (texture(32, 32) * 255).astype(np.uint8)
    pairs = [(photo, photo, np.zeros((16, 16)))]
    assert labels(rendered_rows(untouched, pairs, [0])[0])[-1] == "true radius, 0 to 12 px"
    assert labels(rendered_rows(with_map, pairs, [0])[0])[-1] == "map"


def test_maps_stand_beside_their_masks_the_worst_first():
    image = texture(120, 150)
    masks = {"good": np.zeros((120, 150), bool), "bad": np.ones((120, 150), bool)}
    photos = [MaskedPhoto(name, image / 4, mask) for name, mask in masks.items()]
    scores = score_maps(with_map, photos)
    worst, best = map_rows(with_map, photos, scores)
    assert labels(worst) == ["bad", "mask", f"map, error {scores[1].error:.3f}"]
    assert labels(best)[0] == "good"
    assert worst[0].image.shape == (40, 50, 3)
