"""Put the cores of tiles together into one picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from defocusfix.restoration.tiles import Part, Tile

FloatArray = npt.NDArray[np.float32]


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


def add_core(total: FloatArray, tile: Tile, window: FloatArray) -> None:
    """Add the weighted core of one tile to `total`.

    total: (C, H, W), zeros before the first tile and the blended picture after the last.
    window: (C, h, w), what the network gave for the tile's window.
    """
    rows, columns = tile.rows, tile.columns
    core = window[:, rows.core.within(rows.window), columns.core.within(columns.window)]
    weights = axis_weights(rows)[:, None] * axis_weights(columns)
    total[:, rows.core.indices, columns.core.indices] += core * weights


def _rise(n_pixels: int) -> FloatArray:
    centres = (np.arange(n_pixels, dtype=np.float64) + 0.5) / n_pixels
    return (0.5 - 0.5 * np.cos(np.pi * centres)).astype(np.float32)
