"""How a picture is cut into tiles.

A tile answers for its **core**. Neighbouring cores share a strip, the **overlap**, in which they
are cross-faded. Around the core a **halo** is read and thrown away. Core and halo together are the
**window**, which is what the network sees. With a halo as wide as what a result depends on, cores
agree wherever they overlap.

The two axes are independent, so a tile is one `Part` of the rows and one of the columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Span:
    """Pixels `start` to `stop` - 1 of one axis."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def indices(self) -> slice:
        """The span as an index of an array."""
        return slice(self.start, self.stop)

    def within(self, outer: Span) -> slice:
        """The same pixels, counted from the start of `outer`."""
        return slice(self.start - outer.start, self.stop - outer.start)


@dataclass(frozen=True, slots=True)
class Part:
    """One axis of a tile."""

    core: Span
    window: Span
    fade_in: int
    """Pixels at the start of the core that are shared with the neighbour before it."""
    fade_out: int
    """Pixels at the end of the core that are shared with the neighbour after it."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece of a picture."""

    rows: Part
    columns: Part

    @property
    def window_pixels(self) -> int:
        """Pixels that the network computes for this tile."""
        return len(self.rows.window) * len(self.columns.window)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How large tiles are and how they meet. All in pixels.

    Raises ValueError if nothing of a window would be left for its core.
    """

    window: int
    """Largest side of a window; rounded down to `multiple`."""
    overlap: int
    """Width of the strip that two neighbouring cores share; even."""
    halo: int
    """Least width of what is read around a core."""
    multiple: int
    """Windows start and end at multiples of this."""

    def __post_init__(self) -> None:
        if self.overlap < 0 or self.overlap % 2 or self.halo < 0 or self.multiple < 1:
            raise ValueError("overlap must be even and not negative, halo not negative")
        if self.window < self.smallest_window:
            raise ValueError(f"a tile needs at least {self.smallest_window} px, got {self.window}")

    @property
    def rim(self) -> int:
        """Pixels between the cell a core grew from and the edge of its window."""
        return math.ceil((self.halo + self.overlap / 2) / self.multiple) * self.multiple

    @property
    def smallest_window(self) -> int:
        """The least `window` that works."""
        # An even division makes cells half as large at worst, and both rims must fit in.
        cell = max(self.multiple, math.ceil(2 * self.overlap / self.multiple) * self.multiple)
        return 2 * self.rim + cell


def cells(length: int, largest: int) -> list[Span]:
    """Cut `length` into the fewest spans of at most `largest`, as even as whole numbers allow."""
    n_cells = math.ceil(length / largest)
    edges = [length * number // n_cells for number in range(n_cells + 1)]
    return [Span(start, stop) for start, stop in pairwise(edges)]


def parts(length: int, cut: Cut) -> list[Part]:
    """The parts of one axis of `length` pixels, a multiple of `cut.multiple`; one if it fits."""
    if length % cut.multiple:
        raise ValueError(f"{length} is not a multiple of {cut.multiple}")
    if length <= cut.window:
        whole = Span(0, length)
        return [Part(whole, whole, 0, 0)]
    largest = (cut.window - 2 * cut.rim) // cut.multiple
    return [
        _part(Span(cell.start * cut.multiple, cell.stop * cut.multiple), length, cut)
        for cell in cells(length // cut.multiple, largest)
    ]


def tiles(height: int, width: int, cut: Cut) -> Iterator[Tile]:
    """The tiles of a picture, row by row from the top left."""
    columns = parts(width, cut)
    for rows in parts(height, cut):
        for part in columns:
            yield Tile(rows, part)


def _part(cell: Span, length: int, cut: Cut) -> Part:
    fade_in = cut.overlap if cell.start > 0 else 0
    fade_out = cut.overlap if cell.stop < length else 0
    return Part(
        core=Span(cell.start - fade_in // 2, cell.stop + fade_out // 2),
        window=Span(max(0, cell.start - cut.rim), min(length, cell.stop + cut.rim)),
        fade_in=fade_in,
        fade_out=fade_out,
    )
