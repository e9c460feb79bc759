"""How finely each part of a photo is computed.

A network is run from a small size of the photo up to the full one. Where a smaller size says that
the blur is so strong that a larger one adds nothing, what was found is enlarged. Where the half
size says that everything is in focus, the photo is left alone.

The thresholds come from `benchmarks/skipping.py`, which tells what they cost.
"""

from __future__ import annotations

from enum import Enum, auto

import numpy as np

from defocusfix.restoration.level import Level
from defocusfix.restoration.mask import Mask
from defocusfix.restoration.settings import RestoreSettings
from defocusfix.restoration.tiles import Span, Tile

SHARP_PX = 0.25  # of full size, as read at half size; at quarter size 0 and 1 px look alike
STRONG_PX = 5.0  # of the smaller size: twice that much is beyond what the larger one undoes
RARE = 0.005  # share of a tile that may differ, since the map has specks
ORIGIN_PX = 16  # side of the squares of a photo for which it is noted how they were made


class Way(Enum):
    """What is done about one tile of one level."""

    LEAVE = auto()
    """Nothing: the photo is not changed here."""
    ENLARGE = auto()
    """What the level below found is enlarged."""
    COMPUTE = auto()
    """The network is run."""


def way_of(
    tile: Tile,
    level: int,
    below: Level | None,
    settings: RestoreSettings,
    mask: Mask | None,
    *,
    gives_map: bool = True,
) -> Way:
    """What is done about a tile of a level (0 is full size).

    below: the level half as large; None for the smallest, and for the network that has one only.
    gives_map: whether the network does, of which every tile is wanted if it has one level only.
    """
    if level < finest_level(settings):
        return Way.ENLARGE
    rows, columns = tile.rows.core, tile.columns.core
    is_kept = level == 0 and mask is not None and mask.is_black(rows, columns)
    if below is None:
        return Way.LEAVE if is_kept and not gives_map else Way.COMPUTE
    if is_kept:
        return Way.LEAVE
    weakest_px, strongest_px = below.radius_range(rows.halved(), columns.halved(), RARE)
    kept_px = np.inf if settings.keep_bokeh_px is None else settings.keep_bokeh_px
    if level == 0 and 2 * weakest_px > kept_px:
        return Way.LEAVE
    if settings.scale != "auto":
        return Way.COMPUTE
    if level == 0 and 2 * strongest_px < SHARP_PX:
        return Way.LEAVE
    return Way.ENLARGE if weakest_px > STRONG_PX else Way.COMPUTE


def finest_level(settings: RestoreSettings) -> int:
    """The level of the largest size that may be computed; 0 is full size."""
    return 0 if settings.scale == "auto" else settings.scale.bit_length() - 1


class Origins:
    """Keeps count of the finest size that was computed for each part of a photo."""

    def __init__(self, height: int, width: int) -> None:
        self._factors = np.zeros((-(-height // ORIGIN_PX), -(-width // ORIGIN_PX)), np.uint8)

    def note(self, tile: Tile, level: int, way: Way) -> None:
        """Remember what was done about a tile; levels come from the smallest size up."""
        if way is not Way.ENLARGE:
            down, across = (
                _squares(part.core.enlarged(2**level)) for part in (tile.rows, tile.columns)
            )
            self._factors[down, across] = 0 if way is Way.LEAVE else 2**level

    def shares(self, rows: Span, columns: Span) -> dict[int, float]:
        """Share of a part of the photo by the factor of its origin, 0 for what was left alone."""
        down, across = _squares(rows), _squares(columns)
        factors, counts = np.unique(self._factors[down, across], return_counts=True)
        total = int(counts.sum())
        return {int(f): int(n) / total for f, n in zip(factors, counts, strict=True)}


def _squares(span: Span) -> slice:
    return slice(span.start // ORIGIN_PX, -(-span.stop // ORIGIN_PX))
