"""Before and after of one photo as a file to look at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.figures.before_after import before_after
from defocusfix.figures.page import comparison_page
from defocusfix.jobs.treatment import Comparison
from defocusfix.photo.coding import PngCoding
from defocusfix.photo.convert import converted
from defocusfix.photo.photo import Photo
from defocusfix.photo.pixels import with_depth
from defocusfix.photo.safe_write import safe_write
from defocusfix.photo.write import encode_photo

LONGEST_PX = 8000  # of a picture in a page; browsers have trouble with much larger ones
PAGE_QUALITY = 92
WHITE = np.uint8(255)  # behind transparent parts


def write_comparison(
    before: Photo,
    after: Photo,
    path: Path,
    kind: Comparison,
    *,
    title: str,
    facts: str,
    may_overwrite: bool,
) -> None:
    """Write a before and after to `path`, whole or not at all.

    before, after: of one size. title, facts: two lines above the pictures of a page.
    Raises OutputError if it cannot be written.
    """
    data = _page(before, after, title, facts) if kind == "html" else _side_by_side(before, after)
    safe_write(path, data, may_overwrite=may_overwrite)


def _side_by_side(before: Photo, after: Photo) -> bytes:
    sheet = before_after(viewable(before), viewable(after))
    return encode_photo(Photo(sheet, PngCoding(), icc_profile=_profile(before)))


def _page(before: Photo, after: Photo, title: str, facts: str) -> bytes:
    files = []
    for photo in (before, after):
        picture = _fitted(viewable(photo))
        shown = Photo(picture, PngCoding(), icc_profile=_profile(photo))
        files.append(encode_photo(converted(shown, "jpeg", quality=PAGE_QUALITY)))
    height, width = picture.shape[:2]
    if width < before.width:
        facts += f"; shown at {width / before.width:.0%} of its size"
    page = comparison_page(
        *files, media_type="image/jpeg", width=width, height=height, title=title, facts=facts
    )
    return page.encode()


def viewable(photo: Photo) -> npt.NDArray[np.uint8]:
    """The photo as (H, W, 3) with 8 bits, on white where it is transparent."""
    pixels = with_depth(photo.pixels, np.uint8)
    if pixels.shape[2] == 1:
        pixels = pixels.repeat(3, axis=2)
    if photo.alpha is not None:
        opacity = with_depth(photo.alpha, np.float32)[:, :, None]
        pixels = (WHITE - (WHITE - pixels) * opacity).astype(np.uint8)
    return np.asarray(pixels, np.uint8)


def _fitted(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    factor = LONGEST_PX / max(picture.shape)
    if factor >= 1:
        return picture
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _profile(photo: Photo) -> bytes | None:
    """The colour profile for a picture in RGB; one for gray would not fit it."""
    return photo.icc_profile if photo.pixels.shape[2] == 3 else None
