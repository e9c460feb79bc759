"""Pictures that OpenCV decodes and encodes, for depths at which Pillow would cut them to 8 bits.

It takes longer to import than all else that reading a JPEG needs, so that waits until it is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from defocusfix.errors import InputError, OutputError
from defocusfix.photo.pixels import BAND_ROWS, Pixels

MOST_PIXELS = 2**30  # OpenCV's CV_IO_MAX_IMAGE_PIXELS, unless its environment says otherwise
MOST_PER_SIDE = 1_000_000  # libpng's; OpenCV's own is 2**20


def check_size(name: str, height: int, width: int) -> None:
    """Raise InputError if a picture of this size is more than OpenCV decodes.

    No limit of ours raises that.
    """
    if height * width > MOST_PIXELS or max(height, width) > MOST_PER_SIDE:
        raise InputError(
            f"{name} is too large",
            why=f"{width} x {height}, and OpenCV, which decodes this format, takes at most "
            f"{MOST_PIXELS // 10**6} megapixels and {MOST_PER_SIDE} pixels each way",
            fix="save it as a TIFF, which is read without OpenCV",
        )


def decode(data: bytes) -> Pixels:
    """The values in a picture file, (H, W, C), colours as RGB, with the depth they have in it.

    Raises ValueError if the picture cannot be decoded.
    """
    import cv2

    try:
        with _silence():
            values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(error.err) from error
    if values is None or values.dtype not in (np.uint8, np.uint16):
        raise ValueError("its picture data is broken")
    if values.ndim == 2:
        return values[:, :, None]
    for start in range(0, values.shape[0], BAND_ROWS):
        band = values[start : start + BAND_ROWS]
        band[:, :, (0, 2)] = band[:, :, (2, 0)]
    return values


def encode(
    suffix: str,
    values: Pixels,
    settings: Mapping[int, int],
    metadata: Mapping[int, bytes | None] | None = None,
) -> bytes:
    """The bytes of a picture file of the format that has this suffix.

    values: (H, W, C), gray, RGB or RGBA. settings, metadata: by the numbers OpenCV has for them;
    those without a content are left out. Raises OutputError if it cannot be encoded.
    """
    import cv2

    if values.shape[2] > 1:
        values = np.ascontiguousarray(values[:, :, (2, 1, 0, 3)[: values.shape[2]]])
    given = {kind: content for kind, content in (metadata or {}).items() if content}
    try:
        with _silence():
            is_done, encoded = cv2.imencodeWithMetadata(
                suffix,
                values,
                list(given),
                [np.frombuffer(content, np.uint8) for content in given.values()],
                [number for setting in settings.items() for number in setting],
            )
    except cv2.error as error:
        raise OutputError(f"the photo cannot be saved as {suffix}", why=error.err) from error
    if not is_done:
        raise OutputError(f"the photo cannot be saved as {suffix}", why="the encoder failed")
    return bytes(encoded)


@contextmanager
def _silence() -> Iterator[None]:
    """OpenCV says nothing on standard error; what is wrong is said by us, once.

    libpng inside it still does: it writes to file descriptor 2, which belongs to all threads.
    """
    import cv2

    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
