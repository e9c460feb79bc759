"""Draw docs/before-after.png: docs/example.jpg before and after restoring, in three crops.

    python docs/make_before_after.py

The map below the crops is the radius that the network reads from the photo, in pixels.
"""

from __future__ import annotations

from pathlib import Path

from defocusfix import open_restorer
from defocusfix.figures.contact_sheet import Crop, Panel, contact_sheet, write_sheet
from defocusfix.figures.map_image import coloured
from defocusfix.photo.read import read_photo

HERE = Path(__file__).parent
CROPS = {
    "titles, out of focus by 3 px": Crop(300, 300, 220, 320),
    "clock, out of focus by 2 px": Crop(360, 720, 220, 320),
    "leaves in focus, wall out of focus": Crop(340, 0, 220, 320),
}
LARGEST_RADIUS_PX = 16.0


def main() -> None:
    """Restore the example and write the sheet."""
    image = read_photo(HERE / "example.jpg").to_float()[..., :3]
    restoration = open_restorer(precision="fp32")(image)
    assert restoration.radius_px is not None
    radius = coloured(restoration.radius_px, LARGEST_RADIUS_PX) / 255
    rows = [
        [
            Panel(f"before: {what}", crop.of(image)),
            Panel("after", crop.of(restoration.image)),
            Panel(f"blur radius, 0 to {LARGEST_RADIUS_PX:g} px", crop.of(radius)),
        ]
        for what, crop in CROPS.items()
    ]
    write_sheet(HERE / "before-after.png", contact_sheet(rows, enlarge=1))


if __name__ == "__main__":
    main()
