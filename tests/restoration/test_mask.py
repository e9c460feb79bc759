"""A painted mask: what is black stays, and white fades in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.restoration import Restorer, RestoreSettings
from defocusfix.restoration.mask import FEATHER_PX, Mask
from defocusfix.restoration.tiles import Span
from tests.restoration.stand_in_engines import brighter


def whole(mask: Mask, height: int, width: int) -> np.ndarray:
    return mask.part(Span(0, height), Span(0, width))


def with_a_white_square(height: int, width: int, inset: int) -> np.ndarray:
    values = np.zeros((height, width), np.float32)
    values[inset : height - inset, inset : width - inset] = 1
    return values


def test_black_stays_black_and_white_fades_in_over_the_feather():
    amount = whole(Mask(with_a_white_square(100, 120, 20), 100, 120), 100, 120)
    assert amount[:20].max() == amount[:, :20].max() == 0
    across = amount[50, 20 : 20 + FEATHER_PX]
    assert (np.diff(across) > 0).all()
    assert across[0] < 0.1
    assert (
        amount[20 + FEATHER_PX : 80 - FEATHER_PX, 20 + FEATHER_PX : 100 - FEATHER_PX] == 1
    ).all()


def test_a_white_mask_restores_everything_up_to_the_edges():
    assert (whole(Mask(np.ones((30, 40), np.float32), 30, 40), 30, 40) == 1).all()


@given(
    rows=st.tuples(st.integers(0, 89), st.integers(1, 90)),
    columns=st.tuples(st.integers(0, 69), st.integers(1, 70)),
)
def test_a_part_is_cut_from_the_whole(rows, columns):
    values = (np.random.default_rng(0).random((9, 7)) > 0.4).astype(np.float32)
    mask = Mask(values, 90, 70)
    down = Span(rows[0], max(rows[0] + 1, rows[1]))
    across = Span(columns[0], max(columns[0] + 1, columns[1]))
    expected = whole(mask, 90, 70)[down.indices, across.indices]
    assert np.abs(mask.part(down, across) - expected).max() < 1e-5
    assert mask.is_black(down, across) <= (expected.max() == 0)


def test_a_mask_of_another_size_is_stretched_over_the_photo():
    small = Mask(with_a_white_square(20, 30, 5), 200, 300)
    amount = whole(small, 200, 300)
    assert amount[:40].max() == 0
    assert amount[100, 150] == 1
    assert small.is_black(Span(0, 40), Span(0, 300))
    assert not small.is_black(Span(0, 60), Span(0, 300))


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((3, 3, 1), np.float32),
        np.zeros((0, 3), np.float32),
        np.zeros((3, 3), np.uint8),
        np.full((3, 3), 2, np.float32),
        np.full((3, 3), np.nan, np.float32),
    ],
    ids=["colour", "empty", "bytes", "too bright", "not a number"],
)
def test_other_arrays_are_refused(values):
    with pytest.raises(ValueError, match="a mask must"):
        Mask(values, 3, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_outside_the_mask_the_photo_keeps_its_exact_values_and_is_not_computed(dtype):
    white = np.iinfo(dtype).max
    pixels = np.random.default_rng(0).integers(0, white // 2, (600, 500, 3)).astype(dtype)
    mask = np.zeros((600, 500), np.float32)
    mask[:, :150] = 1
    restorer = Restorer(brighter(), RestoreSettings(scale=1, tile=128))
    restoration = restorer.restore_pixels(pixels, mask=mask)
    assert np.array_equal(restoration.pixels[:, 150:], pixels[:, 150:])
    change = (restoration.pixels[:, :140].astype(float) - pixels[:, :140]) / white
    assert np.abs(change - 0.1).max() < 0.51 / white + 1e-4
    assert restoration.scales[0] > 0.4
