"""Windows of a photo at every level of the pyramid, of a small photo all from one conversion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from defocusfix.restoration.stored import Pixels, halved, window_of
from defocusfix.restoration.tiles import Plan, Span

FloatArray = npt.NDArray[np.float32]
MOST_KEPT = 2**20  # pixels of a photo that is kept as floats while its levels are gone through


class Windows:
    """Gives windows as `window_of` does, and the same at half size.

    plans: of all levels, full size first. Where each of them has one tile, which sees the whole
    photo, and the photo is small, every level is made of the one above instead of the photo.
    """

    def __init__(self, pixels: Pixels, plans: Sequence[Plan]) -> None:
        self._pixels = pixels
        self._first = plans[0]
        self._is_kept = plans[0].window_pixels <= MOST_KEPT and all(map(self._is_whole, plans))
        self._kept: list[FloatArray] = []  # by level

    def image(self, rows: Span, columns: Span, level: int) -> FloatArray:
        """A window, (3, rows, columns) float32 in [0, 1]; not to be changed.

        rows, columns: in pixels of the level.
        """
        return (
            self._level(level) if self._is_kept else window_of(self._pixels, rows, columns, level)
        )

    def half(self, image: FloatArray, level: int) -> FloatArray:
        """`image`, which is a window of a level, at half size; not to be changed."""
        return self._level(level + 1) if self._is_kept else halved(image)

    def _level(self, level: int) -> FloatArray:
        if not self._kept:
            rows, columns = self._first.seen_rows, self._first.seen_columns
            self._kept.append(window_of(self._pixels, rows, columns, 0))
        while len(self._kept) <= level:
            self._kept.append(halved(self._kept[-1]))
        return self._kept[level]

    def _is_whole(self, plan: Plan) -> bool:
        """Whether the level has one tile, which sees what the one of full size sees."""
        seen = plan.seen_rows.enlarged(2**plan.number), plan.seen_columns.enlarged(2**plan.number)
        return len(plan.tiles) == 1 and seen == (self._first.seen_rows, self._first.seen_columns)
