"""Pictures as WebP files of a size that many of them on one page can have."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

Picture = npt.NDArray[np.uint8]

QUALITIES: Final = (88, 84, 80, 75, 70, 62, 54, 40, 20, 5)
EFFORT: Final = 3  # of 6; more takes twice as long for a hundredth of the bytes


def webp_within(most_bytes: int, *pictures: Picture) -> list[bytes]:
    """Pictures (H, W, 3) RGB as WebP files of one quality, the best that `most_bytes` allow.

    Equal quality makes them comparable. Where even the lowest one needs more than `most_bytes` for
    all of them together, they have that.
    """
    files: list[bytes] = []
    for quality in QUALITIES:
        files = [_webp(picture, quality) for picture in pictures]
        if sum(map(len, files)) <= most_bytes:
            break
    return files


def _webp(picture: Picture, quality: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "WEBP", quality=quality, method=EFFORT)
    return content.getvalue()
