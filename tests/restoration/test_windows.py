"""Windows of a small photo, made from each other, are those that are made from the photo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defocusfix.restoration import windows as module
from defocusfix.restoration.stored import halved, window_of
from defocusfix.restoration.tiles import Cut, Plan, Span, tiles
from defocusfix.restoration.windows import Windows

N_LEVELS = 3


def plans_of(height: int, width: int, window: int = 896) -> list[Plan]:
    """All levels of a photo, full size first."""
    cut = Cut(window=window, overlap=8, halo=16, multiple=16)
    height, width = (-(-side // 64) * 64 for side in (height, width))
    return [
        Plan(number, tuple(tiles(height >> number, width >> number, cut)))
        for number in range(N_LEVELS)
    ]


@pytest.fixture
def conversions(monkeypatch):
    """The levels for which the photo itself was converted."""
    levels = []

    def counted(pixels, rows, columns, level):
        levels.append(level)
        return window_of(pixels, rows, columns, level)

    monkeypatch.setattr(module, "window_of", counted)
    return levels


@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    dtype=st.sampled_from((np.uint8, np.uint16, np.float32)),
    window=st.sampled_from((96, 896)),
)
@settings(max_examples=40, deadline=None)
def test_windows_and_their_halves_are_those_of_the_photo_to_the_last_bit(
    height, width, dtype, window
):
    rng = np.random.default_rng((height, width))
    pixels = (rng.random((height, width, 3)) * 255).astype(dtype)
    if dtype == np.float32:
        pixels /= 200  # more than white is legal
    plans = plans_of(height, width, window)
    windows = Windows(pixels, plans)
    for plan in reversed(plans):
        for tile in plan.tiles:
            rows, columns = tile.rows.window, tile.columns.window
            found = windows.image(rows, columns, plan.number)
            expected = window_of(pixels, rows, columns, plan.number)
            assert np.array_equal(found, expected)
            assert np.array_equal(windows.half(found, plan.number), halved(expected))


def test_a_small_photo_is_converted_once(conversions):
    plans = plans_of(100, 150)
    windows = Windows(np.zeros((100, 150, 3), np.uint8), plans)
    for plan in reversed(plans):
        windows.image(plan.seen_rows, plan.seen_columns, plan.number)
    assert conversions == [0]


@pytest.mark.parametrize("why", ["it is large", "it has several tiles", "a part is wanted"])
def test_of_other_photos_nothing_is_kept(conversions, monkeypatch, why):
    plans = plans_of(100, 150, window=96 if why == "it has several tiles" else 896)
    if why == "it is large":
        monkeypatch.setattr(module, "MOST_KEPT", 100)
    if why == "a part is wanted":
        cut = Cut(window=896, overlap=8, halo=16, multiple=16)
        plans[0] = Plan(0, tuple(tiles(128, 192, cut, Span(0, 32), Span(0, 32))))
    windows = Windows(np.zeros((100, 150, 3), np.uint8), plans)
    for plan in plans:
        tile = plan.tiles[0]
        windows.image(tile.rows.window, tile.columns.window, plan.number)
    assert conversions == [0, 1, 2]
