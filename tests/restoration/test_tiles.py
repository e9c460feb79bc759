from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.restoration.blend import Blend, fades
from defocusfix.restoration.tiles import Cut, Plan, Span, halves, parts, tiles

CUTS = st.builds(
    lambda multiple, halo, half_overlap, more: Cut(
        window=-(-2 * (halo + half_overlap) // multiple) * multiple
        + max(multiple, -(-4 * half_overlap // multiple) * multiple)
        + more,
        overlap=2 * half_overlap,
        halo=halo,
        multiple=multiple,
    ),
    multiple=st.sampled_from([1, 2, 16]),
    halo=st.integers(0, 70),
    half_overlap=st.integers(0, 20),
    more=st.integers(0, 200),
)


@st.composite
def wanted(draw, length):
    start = draw(st.integers(0, length - 1))
    return Span(start, draw(st.integers(start + 1, length)))


@given(cut=CUTS, n_units=st.integers(1, 150))
def test_windows_have_one_size_and_are_as_few_as_can_be(cut, n_units):
    length = n_units * cut.multiple
    found = parts(length, cut)
    sizes = {len(part.window) for part in found}
    assert len(sizes) == 1
    largest = cut.window // cut.multiple * cut.multiple
    assert max(sizes) <= largest
    if len(found) > 1:
        # One fewer of the largest size, each sharing the least with the next, would not reach.
        assert largest + (len(found) - 2) * (largest - cut.shared) < length


@given(data=st.data(), cut=CUTS, n_units=st.integers(1, 150))
def test_cores_cover_what_is_wanted_and_windows_no_more_than_they_need(data, cut, n_units):
    length = n_units * cut.multiple
    span = data.draw(wanted(length))
    found = parts(length, cut, span)
    assert found[0].core.start == span.start
    assert found[-1].core.stop == span.stop
    for before, after in pairwise(found):
        assert before.core.stop - after.core.start == cut.overlap
    for part in found:
        assert part.core.within(part.window).start >= min(cut.halo, part.core.start)
        assert part.window.stop - part.core.stop >= min(cut.halo, length - part.core.stop)
    assert found[0].window.start > span.start - cut.halo - cut.multiple
    assert found[-1].window.stop < span.stop + cut.halo + cut.multiple


@given(cut=CUTS, n_units=st.integers(1, 150))
def test_windows_are_aligned_fit_and_hold_core_and_halo(cut, n_units):
    length = n_units * cut.multiple
    for part in parts(length, cut):
        window, core = part.window, part.core
        assert window.start % cut.multiple == window.stop % cut.multiple == 0
        assert len(window) <= cut.window
        assert window.start == 0 or core.start - window.start >= cut.halo
        assert window.stop == length or window.stop - core.stop >= cut.halo
        assert part.fade_in + part.fade_out <= len(core)


@given(cut=CUTS, n_units=st.integers(1, 150))
def test_weights_sum_to_one_at_every_pixel(cut, n_units):
    length = n_units * cut.multiple
    total = np.zeros(length)
    for part in parts(length, cut):
        weights = np.ones(len(part.core))
        for strip, of_strip in fades(part):
            assert of_strip.min() > 0
            weights[strip] *= of_strip
        total[part.core.indices] += weights
    assert np.abs(total - 1).max() < 1e-6


@given(cut=CUTS, rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_windows_cut_from_a_picture_blend_back_to_it(cut, rows, columns):
    height, width = rows * cut.multiple, columns * cut.multiple
    picture = np.random.default_rng(0).random((2, height, width), dtype=np.float32)
    finished = np.zeros_like(picture)
    n_times = np.zeros((height, width), int)

    def take(rows, columns, values):
        finished[:, rows.indices, columns.indices] = values
        n_times[rows.indices, columns.indices] += 1

    blend = Blend(2, Span(0, width), take)
    for tile in tiles(height, width, cut):
        blend.add(tile, picture[:, tile.rows.core.indices, tile.columns.core.indices].copy())
    assert (n_times == 1).all()
    assert np.abs(finished - picture).max() < 1e-6


@given(cut=CUTS, more=st.integers(0, 60_000), rows=st.integers(1, 90), columns=st.integers(1, 90))
def test_sides_of_windows_are_split_so_that_a_photo_needs_fewer_pixels(cut, more, rows, columns):
    height, width = rows * cut.multiple, columns * cut.multiple
    square = Plan(0, tuple(tiles(height, width, cut)))
    free = replace(cut, window=3 * cut.window, pixels=cut.window**2 + more)
    plan = Plan(0, tuple(tiles(height, width, free)))
    assert plan.window_pixels <= square.window_pixels
    assert {(len(t.rows.window), len(t.columns.window)) for t in plan.tiles} == {
        (len(plan.tiles[0].rows.window), len(plan.tiles[0].columns.window))
    }
    assert plan.tiles[0].window_pixels <= cut.window**2 + more


def test_four_by_six_thousand_pixels_are_cut_into_few_large_windows():
    cut = Cut(window=2144, pixels=1072**2, overlap=16, halo=80, multiple=16)
    plan = Plan(0, tuple(tiles(4000, 6000, cut)))
    # 176 px are shared, so 4 x 7 windows have (4000 - 176) / 4 and (6000 - 176) / 7 px more,
    # rounded up to 16s: 32.06 million pixels. 5 x 6 windows of 944 x 1152 would have 32.63 million,
    # and 4 x 6 of 1136 x 1152 exceed the limit.
    assert {(len(t.rows.window), len(t.columns.window)) for t in plan.tiles} == {(1136, 1008)}
    assert len(plan.tiles) == 28


@given(start=st.integers(0, 50), length=st.integers(1, 100), n_pieces=st.integers(1, 20))
def test_pieces_cover_every_pixel_once_and_are_even(start, length, n_pieces):
    pieces = halves(Span(start, start + length), n_pieces)
    assert [p for piece in pieces for p in range(piece.start, piece.stop)] == list(
        range(start, start + length)
    )
    assert max(map(len, pieces)) - min(map(len, pieces)) <= 1
    assert len(pieces) == min(n_pieces, length)


def test_a_picture_that_fits_is_one_tile_without_rims():
    cut = Cut(window=768, overlap=16, halo=64, multiple=16)
    (tile,) = tiles(768, 64, cut)
    assert tile.window_pixels == 768 * 64
    assert (tile.rows.fade_in, tile.rows.fade_out) == (0, 0)


def test_a_window_without_room_for_a_core_is_refused():
    with pytest.raises(ValueError, match="at least 176 px"):
        Cut(window=160, overlap=16, halo=64, multiple=16)
