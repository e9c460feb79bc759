"""What the defocus map reads where the true blur is an evenly lit disc of one radius.

    python benchmarks/discs_read.py PHOTOS [--model FILE] [--radii 1 2 4] [--side 256]

Takes the upper left of every photo of a folder, which should be sharp, blurs it in linear light,
rounds it to 8 bits and prints, for every radius, the median over photos of the median reading, and
the least and the largest of these.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.optics import disc
from defocusfix.photo.read import read_photo
from defocusfix.registration.exposure import to_display, to_linear
from defocusfix.restoration import Restorer, open_restorer

RADII_PX = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 20.0, 30.0, 38.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", help="ONNX file [default: the bundled focusnet-s]")
    parser.add_argument("--radii", type=float, nargs="+", default=RADII_PX, metavar="PX")
    parser.add_argument("--side", type=int, default=256, metavar="PX")
    wanted = parser.parse_args()
    restorer = open_restorer(wanted.model, precision="fp32")
    photos = [
        read_photo(path).to_float()[: wanted.side, : wanted.side]
        for path in sorted(wanted.photos.iterdir())
    ]
    print(f"{len(photos)} photos, {wanted.side} px\ndisc, px   read, px: median, least, largest")
    for radius_px in wanted.radii:
        read = [median_read(restorer, photo, radius_px) for photo in photos]
        print(f"{radius_px:8g}   {np.median(read):.2f}  {min(read):.2f}  {max(read):.2f}")


def median_read(restorer: Restorer, photo: npt.NDArray[np.float32], radius_px: float) -> float:
    light = cv2.filter2D(to_linear(photo), -1, disc(radius_px), borderType=cv2.BORDER_REFLECT_101)
    display = to_display(np.asarray(light, np.float32))
    pixels = np.rint(display.clip(0, 1) * 255).astype(np.uint8)
    return restorer.defocus_map(pixels, scale=1).percentile(50)


if __name__ == "__main__":
    main()
