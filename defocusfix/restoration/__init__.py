"""One photo in, one photo out: the picture, as an array, through a network in tiles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from defocusfix.restoration.defocus_map import DefocusMap
from defocusfix.restoration.restorer import Restoration, Restorer, open_restorer
from defocusfix.restoration.settings import RestoreSettings

__all__ = [
    "DefocusMap",
    "Restoration",
    "RestoreSettings",
    "Restorer",
    "open_restorer",
    "restore",
]


def restore(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Restore one picture with the default weights; `open_restorer` is for more than one.

    image: (H, W, 3) float32 in [0, 1], display-encoded RGB. Returns the same shape and range.
    Raises ValueError for any other array.
    """
    return open_restorer()(image).image
