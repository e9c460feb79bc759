"""How two photos lie over each other, in the words of a photographer."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.pairs.geometry import find_geometry, geometry_from_json, matrix_at
from tests.pairs.photographed import SIZE, as_8_bits, defocused, moved, scene, similarity


def test_shift_turn_zoom_and_exposure_are_found():
    sharp = scene(0)
    matrix = similarity(2.0, 1.04, 7, -5)
    found = find_geometry(as_8_bits(defocused(sharp, 3) * 0.8), as_8_bits(moved(sharp, matrix)))
    assert found.is_found
    assert found.rotation_deg == pytest.approx(2.0, abs=0.05)
    assert found.zoom == pytest.approx(1.04, abs=0.002)
    middle = (SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2
    assert found.shift_at(*middle) == pytest.approx((7, -5), abs=0.3)
    assert found.gains == pytest.approx(np.full(3, 0.8**2.3), abs=0.05)


def test_strangers_are_not_laid_over_each_other():
    found = find_geometry(as_8_bits(scene(0)), as_8_bits(scene(1)))
    assert not found.is_found
    assert found.correlation == 0
    assert np.array_equal(found.matrix, np.eye(2, 3))


def test_what_both_photos_show_shrinks_with_the_shift():
    sharp = as_8_bits(scene(0))
    found = find_geometry(sharp, as_8_bits(moved(scene(0), similarity(0, 1, SIZE[1] / 8, 0))))
    assert found.common_share(SIZE) == pytest.approx(7 / 8, abs=0.02)


def test_a_geometry_survives_being_written():
    found = find_geometry(as_8_bits(scene(0)), as_8_bits(scene(0)))
    again = geometry_from_json(json.loads(json.dumps(found.to_json())))
    assert np.array_equal(again.matrix, found.matrix)
    assert np.array_equal(again.gains, found.gains)
    assert (again.is_found, again.correlation) == (found.is_found, found.correlation)


@given(st.floats(-5, 5), st.floats(0.8, 1.2), st.floats(-50, 50), st.integers(1, 8))
def test_a_map_between_smaller_photos_moves_the_same_places(degrees, zoom, x, factor):
    matrix = similarity(degrees, zoom, x, -x / 2)
    small = matrix_at(matrix, factor)
    place = np.array([40.0, 17.0])
    whole = factor * place + (factor - 1) / 2
    there = (matrix @ [*whole, 1] - (factor - 1) / 2) / factor
    assert small @ [*place, 1] == pytest.approx(there, abs=1e-6)
    assert matrix_at(small, 1 / factor) == pytest.approx(matrix, abs=1e-6)
