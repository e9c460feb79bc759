"""Where a photo may be changed, as its owner painted it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from defocusfix.restoration.tiles import Span

FloatArray = npt.NDArray[np.float32]
FEATHER_PX = 8


class Mask:
    """A mask of any size, stretched over a photo and feathered inwards.

    What is black stays black to the pixel; white fades in over `FEATHER_PX` pixels of the photo.

    values: (h, w) float32, 0 (keep) to 1 (restore). Raises ValueError for any other array.
    """

    def __init__(self, values: FloatArray, height: int, width: int) -> None:
        if values.ndim != 2 or values.size == 0 or values.dtype != np.float32:
            raise ValueError(f"a mask must be (H, W) float32, got {values.dtype} {values.shape}")
        if not (values.min() >= 0 and values.max() <= 1):
            raise ValueError("a mask must lie in [0, 1]")
        self._values = values
        self._height, self._width = height, width

    def is_black(self, rows: Span, columns: Span) -> bool:
        """Whether nothing of a part may be changed."""
        height, width = self._values.shape
        above, below, _ = _neighbours(rows, height, self._height)
        left, right, _ = _neighbours(columns, width, self._width)
        return not self._values[above[0] : below[-1] + 1, left[0] : right[-1] + 1].any()

    def part(self, rows: Span, columns: Span) -> FloatArray:
        """How much of the change each pixel of a part gets, (rows, columns), 0 to 1."""
        import cv2  # 190 ms, for which only a photo with a mask waits

        down = rows.widened(FEATHER_PX).clipped(Span(0, self._height))
        across = columns.widened(FEATHER_PX).clipped(Span(0, self._width))
        stretched = self._stretched(down, across)
        # Beyond the photo there is nothing to keep, so its edges do not fade.
        distance = cv2.distanceTransform(
            (stretched > 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        rise = np.minimum(distance * np.float32(1 / FEATHER_PX), 1)
        amount: FloatArray = stretched * (rise * rise * (3 - 2 * rise))
        return amount[rows.within(down).indices, columns.within(across).indices]

    def _stretched(self, rows: Span, columns: Span) -> FloatArray:
        """The mask in the photo's size, bilinear; the same where it has that size."""
        height, width = self._values.shape
        above, below, down = _neighbours(rows, height, self._height)
        left, right, across = _neighbours(columns, width, self._width)
        upper, lower = self._values[above], self._values[below]
        tall = upper + (lower - upper) * down[:, None]
        wide: FloatArray = tall[:, left] + (tall[:, right] - tall[:, left]) * across
        return wide


def _neighbours(
    span: Span, n_values: int, length: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], FloatArray]:
    """For each pixel of `span` the value before it, the one after it, and the second's weight.

    `n_values` values are spread over an axis of `length` pixels.
    """
    centres = (np.arange(span.start, span.stop) + 0.5) * (n_values / length) - 0.5
    centres = centres.clip(0, n_values - 1)
    before = centres.astype(np.intp)
    after = np.minimum(before + 1, n_values - 1)
    return before, after, (centres - before).astype(np.float32)
