"""A map of blur radii as a picture: colours, with a legend in pixels."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

FloatImage = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

LEGEND_WIDTH_PX: Final = 64
BAR_WIDTH_PX: Final = 14
TICKS: Final = 5
FONT_SIZE_PX: Final = 12


def coloured(radius_px: FloatImage, full_scale_px: float) -> Picture:
    """The map (H, W) in colours (H, W, 3) RGB, from violet (in focus) to yellow.

    Viridis: equal steps of radius look equal, in grey print and to colour-blind eyes too.
    """
    share = np.clip(radius_px / full_scale_px, 0, 1)
    return _viridis(np.rint(share * 255).astype(np.uint8))


def with_legend(picture: Picture, full_scale_px: float) -> Picture:
    """A coloured map with a bar at its right edge that tells the radius of each colour.

    The result is wider by 64 px; the picture should be at least 40 px high.
    """
    height, width = picture.shape[:2]
    sheet = Image.new("RGB", (width + LEGEND_WIDTH_PX, height), "white")
    sheet.paste(Image.fromarray(picture), (0, 0))
    top, bottom = FONT_SIZE_PX, height - FONT_SIZE_PX
    levels = np.linspace(255, 0, max(bottom - top, 1)).round().astype(np.uint8)
    bar = _viridis(levels[:, None].repeat(BAR_WIDTH_PX, axis=1))
    sheet.paste(Image.fromarray(bar), (width + 6, top))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE_PX)
    for tick in range(TICKS):
        share = tick / (TICKS - 1)
        level = bottom - share * (bottom - top)
        label = f"{share * full_scale_px:.3g}" + (" px" if tick == TICKS - 1 else "")
        pen.text((width + BAR_WIDTH_PX + 10, level - FONT_SIZE_PX * 0.6), label, "black", font)
    return np.asarray(sheet)


def _viridis(levels: Picture) -> Picture:
    blue_first = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)
    return np.ascontiguousarray(np.asarray(blue_first, np.uint8)[..., ::-1])
