"""How far out of focus every pixel of a photo is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

OUT_OF_FOCUS_PX = 1.0  # a smaller blur radius is hardly seen at 100 %
CODES_PER_PX = 1024  # of a 16-bit map, which so reaches to a radius of 64 px


@dataclass(frozen=True, slots=True, eq=False)
class DefocusMap:
    """Blur radius of every pixel, with what one wants to know about it."""

    radius_px: npt.NDArray[np.float32]
    """(H, W), radius of the blur disc in pixels of the photo, not negative."""

    @property
    def share_out_of_focus(self) -> float:
        """Share of the photo, 0 to 1, whose radius is above `OUT_OF_FOCUS_PX`."""
        return float(np.mean(self.radius_px > OUT_OF_FOCUS_PX))

    @property
    def median_px(self) -> float:
        """Half of the photo has a smaller radius than this."""
        return float(np.median(self.radius_px))

    @property
    def percentile_95_px(self) -> float:
        """All but a twentieth of the photo has a smaller radius than this."""
        return float(np.percentile(self.radius_px, 95))

    def to_uint16(self) -> npt.NDArray[np.uint16]:
        """(H, W) for a 16-bit picture: 0 in focus, `CODES_PER_PX` for each pixel of radius."""
        codes = np.rint(self.radius_px * np.float32(CODES_PER_PX))
        return np.asarray(codes.clip(0, 65535), np.uint16)
