"""How a picture is cut into tiles.

A tile answers for its **core**. Neighbouring cores share a strip, the **overlap**, in which they
are cross-faded. Around the core a **halo** is read and thrown away. Core and halo together are the
**window**, which is what the network sees. With a halo as wide as what a result depends on, cores
agree wherever they overlap.

All windows along one axis have one size, chosen for the photo: none is a sliver, and an engine sees
few shapes. The two axes are cut independently, so a tile is one `Part` of the rows and one of the
columns; what they share is a number of pixels, which is split between them so that the windows of a
photo come to as few pixels as can be.
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

    def within(self, outer: Span) -> Span:
        """The same pixels, counted from the start of `outer`."""
        return Span(self.start - outer.start, self.stop - outer.start)

    def widened(self, pixels: int) -> Span:
        """With `pixels` more at both ends."""
        return Span(self.start - pixels, self.stop + pixels)

    def aligned(self, multiple: int) -> Span:
        """The smallest span around this one whose ends are multiples of `multiple`."""
        return Span(self.start // multiple * multiple, -(-self.stop // multiple) * multiple)

    def clipped(self, outer: Span) -> Span:
        """What of it lies in `outer`."""
        return Span(max(self.start, outer.start), min(self.stop, outer.stop))

    def enlarged(self, factor: int) -> Span:
        """The same pixels of a picture `factor` times as large."""
        return Span(self.start * factor, self.stop * factor)

    def halved(self) -> Span:
        """The pixels of a picture half as large that this one touches."""
        return Span(self.start // 2, -(-self.stop // 2))


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
    pixels: int | None = None
    """Most pixels of a window whose sides may differ; None for square ones of side `window`."""
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
        if self.pixels is not None and self.pixels < self.smallest_window**2:
            raise ValueError(f"a tile needs at least {self.smallest_window} px on either side")

    @property
    def shared(self) -> int:
        """Pixels that the windows of two neighbours share at least."""
        return _rounded_up(2 * self.halo + self.overlap, self.multiple)

    @property
    def smallest_window(self) -> int:
        """The least `window` that works."""
        # An even division takes off half of what is not shared at worst, and both fades must fit
        # into the rest.
        return self.shared + max(self.multiple, _rounded_up(2 * self.overlap, self.multiple))

    def most(self, side: int) -> int:
        """Largest other side of a window that has one of `side` pixels."""
        other = self.window if self.pixels is None else min(self.window, self.pixels // side)
        return other // self.multiple * self.multiple


@dataclass(frozen=True, slots=True)
class Plan:
    """The tiles of one level, and what part of the level they cover."""

    number: int
    """Of the level: the photo at 1/2^number of its size."""
    tiles: tuple[Tile, ...]

    @property
    def rows(self) -> Span:
        """Rows that the cores cover."""
        return Span(self.tiles[0].rows.core.start, self.tiles[-1].rows.core.stop)

    @property
    def columns(self) -> Span:
        """Columns that the cores cover."""
        return Span(self.tiles[0].columns.core.start, self.tiles[-1].columns.core.stop)

    @property
    def seen_rows(self) -> Span:
        """Rows that the windows cover."""
        return Span(self.tiles[0].rows.window.start, self.tiles[-1].rows.window.stop)

    @property
    def seen_columns(self) -> Span:
        """Columns that the windows cover."""
        return Span(self.tiles[0].columns.window.start, self.tiles[-1].columns.window.stop)

    @property
    def window_pixels(self) -> int:
        """Pixels computed if the network is run on every tile."""
        return sum(tile.window_pixels for tile in self.tiles)


def parts(
    length: int, cut: Cut, wanted: Span | None = None, largest: int | None = None
) -> list[Part]:
    """Cut one axis: the fewest parts, with windows all of one size, spread evenly.

    length: of the axis, a multiple of `cut.multiple`; windows stay inside. wanted: what the cores
    cover; None for all of it. largest: size of a window; None for the largest that `cut` allows.
    Raises ValueError for any other length.
    """
    if length % cut.multiple:
        raise ValueError(f"{length} is not a multiple of {cut.multiple}")
    wanted = wanted or Span(0, length)
    windows = _windows(_seen(length, cut, wanted), cut, largest or cut.most(1))
    # Neighbours meet in the middle of what both of their windows see.
    meetings = [(before.stop + after.start) // 2 for before, after in pairwise(windows)]
    fade, half = cut.overlap, cut.overlap // 2
    return [
        Part(
            core=Span(
                wanted.start if start is None else start - half,
                wanted.stop if stop is None else stop + half,
            ),
            window=window,
            fade_in=0 if start is None else fade,
            fade_out=0 if stop is None else fade,
        )
        for start, window, stop in zip([None, *meetings], windows, [*meetings, None], strict=True)
    ]


def tiles(
    height: int, width: int, cut: Cut, rows: Span | None = None, columns: Span | None = None
) -> Iterator[Tile]:
    """The tiles of a picture, row by row from the top left; `rows` and `columns` as `wanted`."""
    tall, wide = _sides(
        len(_seen(height, cut, rows or Span(0, height))),
        len(_seen(width, cut, columns or Span(0, width))),
        cut,
    )
    across = parts(width, cut, columns, wide)
    for down in parts(height, cut, rows, tall):
        for part in across:
            yield Tile(down, part)


def halves(span: Span, n_pieces: int) -> list[Span]:
    """`span` in `n_pieces` as even as whole numbers allow; fewer if it has fewer pixels."""
    n_pieces = min(n_pieces, len(span))
    edges = [span.start + len(span) * number // n_pieces for number in range(n_pieces + 1)]
    return [Span(start, stop) for start, stop in pairwise(edges)]


def _seen(length: int, cut: Cut, wanted: Span) -> Span:
    """What the windows along one axis cover together."""
    return wanted.widened(cut.halo).aligned(cut.multiple).clipped(Span(0, length))


def _sides(height: int, width: int, cut: Cut) -> tuple[int, int]:
    """Largest sides of windows that cover an area with as few pixels as can be, in few windows."""
    costs: list[tuple[int, int, tuple[int, int]]] = []
    for number in range(1, 1 + max(1, height // cut.multiple)):
        tall, _ = _division(height, cut, number)
        wide = cut.most(tall)
        if tall <= cut.most(1) and wide >= cut.smallest_window:
            size, across = _fewest(width, cut, wide)
            down = 1 if tall == height else number
            costs.append((tall * down * size * across, down * across, (tall, wide)))
        if tall <= cut.smallest_window:
            break
    return min(costs)[2] if costs else (cut.most(1), cut.most(1))


def _windows(seen: Span, cut: Cut, largest: int) -> list[Span]:
    """Windows of one size that cover `seen`; neighbours have at least `cut.shared` in common."""
    size, number = _fewest(len(seen), cut, largest)
    if number == 1:
        return [seen]
    steps = (len(seen) - size) // cut.multiple
    starts = [seen.start + steps * index // (number - 1) * cut.multiple for index in range(number)]
    return [Span(start, start + size) for start in starts]


def _fewest(length: int, cut: Cut, largest: int) -> tuple[int, int]:
    """Size and number of the fewest windows, none above `largest`, that cover `length` pixels."""
    if length <= largest:
        return length, 1
    return _division(length, cut, math.ceil((length - cut.shared) / (largest - cut.shared)))


def _division(length: int, cut: Cut, number: int) -> tuple[int, int]:
    """The least size of `number` windows that cover `length` pixels; and the number."""
    size = cut.shared + _rounded_up(math.ceil((length - cut.shared) / number), cut.multiple)
    return min(size, length), number


def _rounded_up(pixels: int, multiple: int) -> int:
    return -(-pixels // multiple) * multiple
