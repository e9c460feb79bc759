"""Where two pictures of one size differ most."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]

CELL_PX: Final = 32  # a crop is found to this much, and stays this far off the edge of the photo
BAND_CELLS: Final = 8  # rows of cells compared at a time; keeps the differences of a photo small


def most_changed(before: Pixels, after: Pixels, height: int, width: int) -> tuple[int, int]:
    """Top and left of the crop, `height` x `width` pixels, with the largest sum of differences.

    before, after: (H, W, 3) or (H, W, 1) of one dtype, uint8, uint16 or float32. Along the edge of
    a photo, where a network sees half of what it needs, no crop is taken unless there is no room
    elsewhere; where nothing differs it is the middle. Of a photo that is smaller than the crop, the
    crop is all there is in that direction, and begins at 0.
    """
    photo_height, photo_width = before.shape[:2]
    highest, leftmost = max(photo_height - height, 0), max(photo_width - width, 0)
    cells = _differences(before, after)
    if not cells.any():
        return highest // 2, leftmost // 2
    rows, columns = min(height // CELL_PX, len(cells)), min(width // CELL_PX, len(cells[0]))
    # One value for each crop that starts at a cell: the mean over the cells that it covers.
    change = cv2.boxFilter(
        cells, -1, (max(columns, 1), max(rows, 1)), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT
    )
    tops, lefts = _starts(highest), _starts(leftmost)
    candidates = np.asarray(change)[tops, lefts]
    top, left = np.unravel_index(int(candidates.argmax()), candidates.shape)
    return (
        min((int(top) + tops.start) * CELL_PX, highest),
        min((int(left) + lefts.start) * CELL_PX, leftmost),
    )


def _starts(last: int) -> slice:
    """Cells at which a crop may start, whose last possible start is the pixel `last`."""
    if last >= 2 * CELL_PX:
        return slice(1, last // CELL_PX)
    return slice(0, last // CELL_PX + 1)


def _differences(before: Pixels, after: Pixels) -> npt.NDArray[np.float32]:
    """The mean difference in each cell, (rows, columns); what is left of a cell is not counted."""
    rows, columns = (size // CELL_PX for size in before.shape[:2])
    cells = np.zeros((rows, columns), np.float32)
    if not cells.size:
        return cells
    for start in range(0, rows, BAND_CELLS):
        stop = min(start + BAND_CELLS, rows)
        band = np.s_[start * CELL_PX : stop * CELL_PX, : columns * CELL_PX]
        difference = cv2.absdiff(before[band], after[band])
        if difference.ndim == 3 and difference.shape[2] == 3:
            difference = cv2.cvtColor(difference, cv2.COLOR_RGB2GRAY)
        size = (columns, stop - start)
        values = difference.astype(np.float32)  # means of whole numbers would be rounded
        mean = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
        cells[start:stop] = mean.reshape(stop - start, columns)
    return np.nan_to_num(cells)
