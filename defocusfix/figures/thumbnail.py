"""Small pictures for pages."""

from __future__ import annotations

import io

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

FloatImage = npt.NDArray[np.float32]

QUALITY = 85


def thumbnail(image: FloatImage, longest_px: int) -> bytes:
    """An image (H, W, 3) in [0, 1] as a JPEG file, its longer side at most `longest_px`."""
    height, width = image.shape[:2]
    factor = min(1.0, longest_px / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor < 1 else image
    content = io.BytesIO()
    pixels = np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(content, "JPEG", quality=QUALITY)
    return content.getvalue()
