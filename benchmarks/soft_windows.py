"""Cut windows whose blur is real out of photos: where the bundled map says that it is moderate.

    python benchmarks/soft_windows.py PHOTOS... -o FOLDER [--side 512] [--model MODEL]

For `defocusfix teach`. Each photo is taken at full size and scaled down twice, and of each
size up to eight windows are cut, those first that show most texture out of focus. Sharp photos give
none. The photos are only read; their licences hold for the windows too.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

import defocusfix
from defocusfix.rendering.photos import SUFFIXES

Picture = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]

SIZES = (1.0, 0.64, 0.42)  # of the photo
MOST_WINDOWS = 8  # of one size of a photo
RADII_PX = (0.8, 12.0)  # blur that is looked for
TEXTURE = 0.015  # root mean square contrast between 1 and 6 px, of a range of 1
TEXTURE_SIGMA_PX = 10.0  # neighbourhood in which it is looked for
LEAST_SHARE = 0.3  # of a window that has texture out of focus
STEP_PX = 16  # between windows that are compared


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="+", help="folders")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--model", default=None)
    wanted = parser.parse_args()
    wanted.output.mkdir(parents=True, exist_ok=True)
    restorer = defocusfix.Restorer(model=wanted.model)
    count = 0
    for folder in wanted.photos:
        for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
            for name, window in windows(restorer, path, wanted.side):
                cv2.imwrite(str(wanted.output / f"{folder.name}_{name}.png"), window)
                count += 1
    print(f"{count} windows of {wanted.side} px in {wanted.output}")


def windows(restorer: defocusfix.Restorer, path: Path, side: int) -> Iterator[tuple[str, Picture]]:
    """Windows (side, side, 3) uint8 BGR of a photo, with a name each."""
    whole = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if whole is None:
        raise SystemExit(f"{path} cannot be read as a photo")
    for size in SIZES:
        photo = cv2.resize(whole, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
        if min(photo.shape[:2]) < side:
            continue
        for top, left in corners(shares(wanted_pixels(restorer, photo), side), side):
            window = photo[top : top + side, left : left + side]
            yield f"{path.stem}_{round(100 * size)}_{top}_{left}", np.asarray(window, np.uint8)


def wanted_pixels(restorer: defocusfix.Restorer, photo: cv2.typing.MatLike) -> Values:
    """(H, W), 1 where there is texture out of focus as far as RADII_PX."""
    pixels = cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)
    radius = restorer.defocus_map(np.asarray(pixels, np.uint8)).radius_px
    gray = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
    fine = cv2.GaussianBlur(gray, (0, 0), 1.0)
    contrast = (fine - cv2.GaussianBlur(fine, (0, 0), 6.0)) ** 2
    has_texture = cv2.GaussianBlur(contrast, (0, 0), TEXTURE_SIGMA_PX) > TEXTURE**2
    low, high = RADII_PX
    return ((radius > low) & (radius < high) & has_texture).astype(np.float32)


def shares(wanted: Values, side: int) -> Values:
    """Mean of `wanted` over windows, by their top and left, each STEP_PX apart."""
    means = cv2.boxFilter(wanted, -1, (side, side), anchor=(0, 0))
    height, width = wanted.shape
    return np.array(means[: height - side + 1 : STEP_PX, : width - side + 1 : STEP_PX])


def corners(shares: Values, side: int) -> Iterator[tuple[int, int]]:
    """Top and left of the best windows, the best first, more than half a window apart."""
    apart = side // (2 * STEP_PX)
    for _ in range(MOST_WINDOWS):
        row, column = np.unravel_index(int(shares.argmax()), shares.shape)
        if shares[row, column] < LEAST_SHARE:
            return
        yield int(row) * STEP_PX, int(column) * STEP_PX
        shares[
            max(0, row - apart) : row + apart + 1, max(0, column - apart) : column + apart + 1
        ] = 0


if __name__ == "__main__":
    main()
