"""Put the cores of tiles together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from defocusfix.restoration.tiles import Part, Span, Tile

FloatArray = npt.NDArray[np.float32]
Take = Callable[[Span, Span, FloatArray], None]
"""Is given a finished rectangle: its rows, its columns, and its values (C, rows, columns)."""


class Blend:
    """Takes cores tile by tile, row of tiles by row of tiles, and hands on what is finished.

    Only what a tile shares with those to come is held: a strip beside it, and one below the row of
    tiles. Finished rectangles come in the order of the tiles and do not overlap.
    columns: that the cores cover.
    """

    def __init__(self, n_channels: int, columns: Span, take: Take) -> None:
        self._columns = columns
        self._take = take
        self._above = np.zeros((n_channels, 0, len(columns)), np.float32)
        self._below = self._above
        self._beside = np.zeros((n_channels, 0, 0), np.float32)

    def add(self, tile: Tile, core: FloatArray) -> None:
        """Cross-fade the core (C, h, w) of one tile into what its neighbours left; changes it."""
        rows, columns = tile.rows, tile.columns
        if columns.core.start == self._columns.start:
            self._above = self._below
            shape = (len(core), rows.fade_out, len(self._columns))
            self._below = np.zeros(shape, np.float32)
        for strip, weights in fades(rows):
            core[:, strip] *= weights[:, None]
        for strip, weights in fades(columns):
            core[:, :, strip] *= weights
        if columns.fade_in:
            core[:, :, : columns.fade_in] += self._beside
        n_rows, n_columns = (len(part.core) - part.fade_out for part in (rows, columns))
        self._beside = core[:, :, n_columns:].copy()
        finished = core[:, :, :n_columns]
        done = Span(columns.core.start, columns.core.start + n_columns)
        here = done.within(self._columns).indices
        finished[:, : rows.fade_in] += self._above[:, :, here]
        self._below[:, :, here] = finished[:, n_rows:]
        self._take(Span(rows.core.start, rows.core.start + n_rows), done, finished[:, :n_rows])


def fades(part: Part) -> list[tuple[slice, FloatArray]]:
    """The strips of a core along one axis that are shared with a neighbour, and their weights.

    Raised cosine; the weights of two neighbours sum to one.
    """
    length, found = len(part.core), []
    if part.fade_in:
        found.append((slice(part.fade_in), _rise(part.fade_in)))
    if part.fade_out:
        found.append((slice(length - part.fade_out, length), 1 - _rise(part.fade_out)))
    return found


def _rise(n_pixels: int) -> FloatArray:
    centres = (np.arange(n_pixels, dtype=np.float64) + 0.5) / n_pixels
    return (0.5 - 0.5 * np.cos(np.pi * centres)).astype(np.float32)
