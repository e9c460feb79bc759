from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.restoration.blend import add_core, axis_weights
from defocusfix.restoration.tiles import Cut, cells, parts, tiles

CUTS = st.builds(
    lambda multiple, halo, half_overlap, more: Cut(
        window=2 * -(-(halo + half_overlap) // multiple) * multiple
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


@given(length=st.integers(1, 5000), largest=st.integers(1, 600))
def test_cells_cover_every_pixel_once_and_none_is_a_sliver(length, largest):
    spans = cells(length, largest)
    sizes = [len(span) for span in spans]
    assert [p for span in spans for p in range(span.start, span.stop)] == list(range(length))
    assert max(sizes) <= largest
    assert max(sizes) - min(sizes) <= 1


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
        weights = axis_weights(part)
        assert weights.min() > 0
        total[part.core.indices] += weights
    assert np.abs(total - 1).max() < 1e-6


@given(cut=CUTS, rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_windows_cut_from_a_picture_blend_back_to_it(cut, rows, columns):
    height, width = rows * cut.multiple, columns * cut.multiple
    picture = np.random.default_rng(0).random((2, height, width), dtype=np.float32)
    total = np.zeros_like(picture)
    for tile in tiles(height, width, cut):
        window = picture[:, tile.rows.window.indices, tile.columns.window.indices]
        add_core(total, tile, window)
    assert np.abs(total - picture).max() < 1e-6


def test_a_picture_that_fits_is_one_tile_without_rims():
    cut = Cut(window=768, overlap=16, halo=64, multiple=16)
    (tile,) = tiles(768, 64, cut)
    assert tile.window_pixels == 768 * 64
    assert (tile.rows.fade_in, tile.rows.fade_out) == (0, 0)


def test_a_window_without_room_for_a_core_is_refused():
    with pytest.raises(ValueError, match="at least 192 px"):
        Cut(window=160, overlap=16, halo=64, multiple=16)
