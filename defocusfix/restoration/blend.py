"""Put the cores of tiles together into bands of finished rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from defocusfix.restoration.tiles import Part, Span, Tile

FloatArray = npt.NDArray[np.float32]
Take = Callable[[Span, FloatArray], None]
"""Is given finished rows: which ones, and their values (C, rows, W)."""


class Bands:
    """Takes cores tile by tile, row of tiles by row of tiles, and hands on what is finished.

    No more than one row of tiles is held.
    """

    def __init__(self, n_channels: int, columns: Span, take: Take) -> None:
        self._columns = columns
        self._take = take
        # The rows that the tiles above share with the next ones, weighted.
        self._above = np.zeros((n_channels, 0, len(columns)), np.float32)
        self._total = self._above

    def add(self, tile: Tile, core: FloatArray) -> None:
        """Cross-fade the core (C, h, w) of one tile into its row of tiles."""
        if self._is_alone(tile):
            self._take(tile.rows.core, core)
            return
        if tile.columns.core.start == self._columns.start:
            self._begin(tile.rows)
        weights = axis_weights(tile.rows)[:, None] * axis_weights(tile.columns)
        self._total[:, :, tile.columns.core.within(self._columns).indices] += core * weights
        if tile.columns.core.stop == self._columns.stop:
            self._end(tile.rows)

    def _is_alone(self, tile: Tile) -> bool:
        """Whether a tile shares nothing with any other."""
        return not (tile.rows.fade_in or tile.rows.fade_out) and tile.columns.core == self._columns

    def _begin(self, rows: Part) -> None:
        n_channels, n_shared, width = self._above.shape
        self._total = np.zeros((n_channels, len(rows.core), width), np.float32)
        self._total[:, :n_shared] = self._above

    def _end(self, rows: Part) -> None:
        n_finished = len(rows.core) - rows.fade_out
        finished = self._total[:, :n_finished]
        self._above = self._total[:, n_finished:].copy()
        self._total = self._above
        self._take(Span(rows.core.start, rows.core.start + n_finished), finished)


def axis_weights(part: Part) -> FloatArray:
    """Weight of every pixel of a core along one axis, (len(core),), in (0, 1].

    Raised cosine in the shared strips; the weights of two neighbours sum to one.
    """
    weights = np.ones(len(part.core), np.float32)
    if part.fade_in:
        weights[: part.fade_in] = _rise(part.fade_in)
    if part.fade_out:
        weights[-part.fade_out :] = 1 - _rise(part.fade_out)
    return weights


def _rise(n_pixels: int) -> FloatArray:
    centres = (np.arange(n_pixels, dtype=np.float64) + 0.5) / n_pixels
    return (0.5 - 0.5 * np.cos(np.pi * centres)).astype(np.float32)
