"""How far out of focus every pixel of a photo is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

OUT_OF_FOCUS_PX = 1.0  # a smaller blur radius is hardly seen at 100 %
CODES_PER_PX = 1024  # of a 16-bit map, which so reaches to a radius of 64 px
LARGEST_CODE = 65535
SAMPLES_PER_SIDE = 1024  # statistics of a larger map are taken from evenly spread pixels
BAND_ROWS = 256  # converted at a time


@dataclass(frozen=True, slots=True, eq=False)
class DefocusMap:
    """Blur radius of every pixel, with what one wants to know about it.

    Statistics of a map above `SAMPLES_PER_SIDE` pixels a side are taken from every second, third,
    ... of its rows and columns; it is smooth, so that tells nearly the same.
    """

    stored: npt.NDArray[Any]
    """(H, W) radius of the blur disc in pixels of the photo, not negative; float16 in what a
    `Restorer` gives, so that the map of a large photo takes little memory."""

    @property
    def radius_px(self) -> npt.NDArray[np.float32]:
        """(H, W) float32; a new array unless `stored` is already of that kind."""
        return np.asarray(self.stored, np.float32)

    @property
    def share_out_of_focus(self) -> float:
        """Share of the photo, 0 to 1, whose radius is above `OUT_OF_FOCUS_PX`."""
        return float(np.mean(self._sampled() > OUT_OF_FOCUS_PX))

    @property
    def median_px(self) -> float:
        """Half of the photo has a smaller radius than this."""
        return self.percentile(50)

    @property
    def percentile_95_px(self) -> float:
        """All but a twentieth of the photo has a smaller radius than this."""
        return self.percentile(95)

    def percentile(self, percent: float) -> float:
        """The radius in pixels that `percent`, 0 to 100, of the photo stays under."""
        return float(np.percentile(self._sampled(), percent))

    def to_uint16(self) -> npt.NDArray[np.uint16]:
        """(H, W) for a 16-bit picture: 0 in focus, `CODES_PER_PX` for each pixel of radius."""
        codes = np.empty(self.stored.shape, np.uint16)
        for start in range(0, len(codes), BAND_ROWS):
            rows = slice(start, start + BAND_ROWS)
            radius_px = self.stored[rows].astype(np.float32)
            codes[rows] = np.rint(radius_px * np.float32(CODES_PER_PX)).clip(0, LARGEST_CODE)
        return codes

    def _sampled(self) -> npt.NDArray[np.float32]:
        height, width = self.stored.shape
        every = (-(-height // SAMPLES_PER_SIDE), -(-width // SAMPLES_PER_SIDE))
        return np.asarray(self.stored[:: every[0], :: every[1]], np.float32)
