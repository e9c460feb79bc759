"""What is known of one level of the image pyramid once it has been gone through."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from defocusfix.restoration.stored import doubled
from defocusfix.restoration.tiles import Span

FloatArray = npt.NDArray[np.float32]
N_COLOURS = 3


class Level:
    """Change of the colours and blur radius, for a rectangle of one level.

    Both are kept as float16. Of a photo restored with the bundled weights that moves colours by
    0.07 steps of 1/255 at most, 0.004 on average, and radii by 0.008 px.
    """

    def __init__(self, rows: Span, columns: Span, *, has_radius: bool) -> None:
        self.rows, self.columns = rows, columns
        self.n_channels = N_COLOURS + has_radius
        self._values = np.zeros((self.n_channels, len(rows), len(columns)), np.float16)

    def keep(self, rows: Span, columns: Span, values: FloatArray) -> None:
        """Take a finished part. values: (C, rows, columns), change and radius in its pixels."""
        self._values[:, *self._place(rows, columns)] = values

    def window(self, rows: Span, columns: Span) -> FloatArray:
        """(C, rows, columns) of a part that must lie inside the rectangle."""
        return self._values[:, *self._place(rows, columns)].astype(np.float32)

    def doubled(self, rows: Span, columns: Span) -> FloatArray:
        """The same (C, rows, columns) for a part, in pixels, of the level twice as large."""
        down = rows.halved().widened(1).clipped(self.rows)
        across = columns.halved().widened(1).clipped(self.columns)
        values = doubled(self.window(down, across))
        values[N_COLOURS:] *= 2
        inner_rows = rows.within(down.enlarged(2)).indices
        return values[:, inner_rows, columns.within(across.enlarged(2)).indices]

    def radius_range(self, rows: Span, columns: Span, rare: float) -> tuple[float, float]:
        """Radii, in pixels of this level, that all of a part but a share `rare` is above, below."""
        radius_px = self._values[N_COLOURS, *self._place(rows, columns)].astype(np.float32)
        weakest, strongest = np.quantile(radius_px, (rare, 1 - rare))
        return float(weakest), float(strongest)

    def _place(self, rows: Span, columns: Span) -> tuple[slice, slice]:
        return rows.within(self.rows).indices, columns.within(self.columns).indices
