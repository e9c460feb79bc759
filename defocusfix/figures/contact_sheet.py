"""Labelled crops side by side, for looking at what figures cannot say."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

FloatImage = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

GAP_PX: Final = 6
LABEL_HEIGHT_PX: Final = 18
FONT_SIZE_PX: Final = 13
PAPER: Final = (24, 24, 24)
INK: Final = (235, 235, 235)


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of a sheet."""

    label: str
    image: FloatImage
    """(H, W, 3) in [0, 1]; values outside are clipped."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of a photo, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: FloatImage) -> FloatImage:
        """The crop of an image (H, W, C) that contains it."""
        rows = slice(self.top, self.top + self.height)
        return image[rows, self.left : self.left + self.width]


def crop_around(centre: tuple[int, int], side_px: int, size: tuple[int, int]) -> Crop:
    """A square crop around `centre` (x, y), moved or cut so that it lies in the photo.

    size: (height, width) of the photo.
    """
    height, width = min(side_px, size[0]), min(side_px, size[1])
    top = min(max(centre[1] - height // 2, 0), size[0] - height)
    left = min(max(centre[0] - width // 2, 0), size[1] - width)
    return Crop(top, left, height, width)


def contact_sheet(rows: Sequence[Sequence[Panel]], enlarge: int = 2) -> Picture:
    """Draw rows of panels, each under its label, (H, W, 3) RGB.

    enlarge: whole factor by which pixels are repeated, so that nothing is smoothed away.
    Raises ValueError if there is no panel at all.
    """
    if not any(rows):
        raise ValueError("a contact sheet needs at least one panel")
    filled = [row for row in rows if row]
    cell_width = enlarge * max(panel.image.shape[1] for row in filled for panel in row)
    heights = [enlarge * max(panel.image.shape[0] for panel in row) for row in filled]
    size = (
        GAP_PX + max(len(row) for row in filled) * (cell_width + GAP_PX),
        GAP_PX + sum(LABEL_HEIGHT_PX + height + GAP_PX for height in heights),
    )
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(FONT_SIZE_PX)
    top = GAP_PX
    for row, height in zip(filled, heights, strict=True):
        for column, panel in enumerate(row):
            left = GAP_PX + column * (cell_width + GAP_PX)
            pen.text((left, top), _fitting(panel.label, cell_width, font), INK, font)
            sheet.paste(_enlarged(panel.image, enlarge), (left, top + LABEL_HEIGHT_PX))
        top += LABEL_HEIGHT_PX + height + GAP_PX
    return np.asarray(sheet)


def write_sheet(file: Path | BinaryIO, sheet: Picture) -> None:
    """Write a sheet as PNG, whatever the suffix. Raises OSError where that is refused."""
    Image.fromarray(sheet).save(file, format="PNG")


def _enlarged(image: FloatImage, factor: int) -> Image.Image:
    values = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(values.repeat(factor, axis=0).repeat(factor, axis=1))


def _fitting(label: str, width_px: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """The label, cut where it would run into the next panel."""
    while label and font.getlength(label) > width_px:
        label = label[:-1]
    return label
