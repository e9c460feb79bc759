"""Before and after side by side: the whole photo, and the place that changed most at 100 %."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from defocusfix.figures.most_changed import most_changed

Picture = npt.NDArray[np.uint8]

PANEL_WIDTH_PX: Final = 900
CROP_HEIGHT_PX: Final = 450
GAP_PX: Final = 12
LABEL_HEIGHT_PX: Final = 30
FONT_SIZE_PX: Final = 18
PAPER: Final = (38, 38, 38)  # neutral, so that it does not tint what one sees
INK: Final = (225, 225, 225)


def before_after(before: Picture, after: Picture) -> Picture:
    """One picture with two columns, (H, W, 3) RGB.

    before, after: (H, W, 3) RGB, of one size. Above, both whole, reduced to fit; below, pixel for
    pixel, the place where they differ most, unless the whole already fits pixel for pixel.
    Raises ValueError if the sizes differ.
    """
    if before.shape != after.shape:
        raise ValueError(f"two sizes: {before.shape} and {after.shape}")
    rows = [("", _fitted(before), _fitted(after))]
    if before.shape[1] > PANEL_WIDTH_PX:
        y, x = most_changed(before, after, CROP_HEIGHT_PX, PANEL_WIDTH_PX)
        place = np.s_[y : y + CROP_HEIGHT_PX, x : x + PANEL_WIDTH_PX]
        rows.append((", 100 %", before[place], after[place]))
    return _sheet(rows)


def _fitted(picture: Picture) -> Picture:
    """The picture no wider than a panel."""
    height, width = picture.shape[:2]
    if width <= PANEL_WIDTH_PX:
        return picture
    size = (PANEL_WIDTH_PX, max(1, round(height * PANEL_WIDTH_PX / width)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _sheet(rows: list[tuple[str, Picture, Picture]]) -> Picture:
    """The rows of pictures, each picture under its label."""
    column = max(before.shape[1] for _, before, _ in rows)
    height = GAP_PX + sum(LABEL_HEIGHT_PX + before.shape[0] + GAP_PX for _, before, _ in rows)
    sheet = Image.new("RGB", (3 * GAP_PX + 2 * column, height), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE_PX)
    top = GAP_PX
    for suffix, before, after in rows:
        for number, (label, picture) in enumerate((("before", before), ("after", after))):
            left = GAP_PX + number * (column + GAP_PX)
            pen.text((left, top), label + suffix, INK, font)
            sheet.paste(Image.fromarray(picture), (left, top + LABEL_HEIGHT_PX))
        top += LABEL_HEIGHT_PX + before.shape[0] + GAP_PX
    return np.asarray(sheet)
