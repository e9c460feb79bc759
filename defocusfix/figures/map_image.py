"""A map of blur radii as a picture: colours, with a legend in pixels."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

FloatImage = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

FULL_SCALES_PX: Final = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
TICKS: Final = 5
# Of a legend beside a picture that is up to 800 px high; beside a larger one it grows along.
LEGEND_WIDTH_PX: Final = 64
BAR_WIDTH_PX: Final = 14
GAP_PX: Final = 6
FONT_SIZE_PX: Final = 12
PICTURE_HEIGHT_PX: Final = 800


def full_scale_of(radius_px: FloatImage) -> float:
    """The radius in pixels that gets the last colour: all but a hundredth of the map is below.

    It is one of `FULL_SCALES_PX`, so that maps of similar photos can be compared by eye.
    """
    high = float(np.percentile(radius_px, 99))
    return next((scale for scale in FULL_SCALES_PX if high <= scale), FULL_SCALES_PX[-1])


def coloured(radius_px: FloatImage, full_scale_px: float) -> Picture:
    """The map (H, W) in colours (H, W, 3) RGB, from violet (in focus) to yellow.

    Viridis: equal steps of radius look equal, in grey print and to colour-blind eyes too.
    """
    share = np.clip(radius_px / full_scale_px, 0, 1)
    return _viridis(np.rint(share * 255).astype(np.uint8))


def with_legend(picture: Picture, full_scale_px: float) -> Picture:
    """A coloured map with a bar at its right edge that tells the radius of each colour.

    The result is wider by 64 px, or more for a picture above 800 px; the picture should be at
    least 40 px high. Radii above the full scale have its colour, which the topmost label says.
    """
    height, width = picture.shape[:2]
    enlarged = max(1.0, height / PICTURE_HEIGHT_PX)
    legend_width, bar_width, gap, font_size = (
        round(size * enlarged) for size in (LEGEND_WIDTH_PX, BAR_WIDTH_PX, GAP_PX, FONT_SIZE_PX)
    )
    sheet = Image.new("RGB", (width + legend_width, height), "white")
    sheet.paste(Image.fromarray(picture), (0, 0))
    top, bottom = font_size, height - font_size
    levels = np.linspace(255, 0, max(bottom - top, 1)).round().astype(np.uint8)
    bar = _viridis(levels[:, None].repeat(bar_width, axis=1))
    sheet.paste(Image.fromarray(bar), (width + gap, top))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(font_size)
    for tick in range(TICKS):
        share = tick / (TICKS - 1)
        level = bottom - share * (bottom - top)
        label = f"{share * full_scale_px:.3g}" + ("+ px" if tick == TICKS - 1 else "")
        place = (width + gap + bar_width + 0.67 * gap, level - 0.6 * font_size)
        pen.text(place, label, "black", font)
    return np.asarray(sheet)


def _viridis(levels: Picture) -> Picture:
    blue_first = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)
    return np.ascontiguousarray(np.asarray(blue_first, np.uint8)[..., ::-1])
