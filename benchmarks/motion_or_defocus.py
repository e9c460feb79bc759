"""How well `info` tells motion from missed focus.

    python benchmarks/motion_or_defocus.py --photos DIR [--defocused DIR ...]

Sharp photos are blurred wholly by discs and by straight paths, with a little noise, and each is
asked which of the two it is. Photos of other folders are real ones that are out of focus.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from defocusfix.evaluation.pictures import read_picture
from defocusfix.jobs.motion_blur import LEAST_LEAN, lean
from defocusfix.optics import Aperture
from defocusfix.pairs.find import PICTURE_SUFFIXES

RADII_PX = (2, 5, 10)
LENGTHS_PX = (5, 8, 12, 20, 35)
NOISE = 0.004
QUANTILES = (0.05, 0.5, 0.95)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="sharp ones")
    parser.add_argument("--defocused", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--count", type=int, default=60, help="photos of each folder")
    wanted = parser.parse_args()

    rng = np.random.default_rng(0)
    sharp = list(_luminances(wanted.photos, wanted.count))
    for radius in RADII_PX:
        psf = Aperture().point_spread_function(radius)
        _report(f"disc of {radius} px", [lean(_blurred(rng, photo, psf)) for photo in sharp])
    for length in LENGTHS_PX:
        found = [lean(_blurred(rng, photo, path_psf(rng, length))) for photo in sharp]
        _report(f"path of {length} px", found)
    for folder in wanted.defocused:
        _report(folder.name, [lean(photo) for photo in _luminances(folder, wanted.count)])


def path_psf(rng: np.random.Generator, length_px: float) -> np.ndarray:
    """(K, K), sums to 1: a straight path in a random direction."""
    angle = rng.uniform(0, np.pi)
    half = int(length_px / 2) + 2
    psf = np.zeros((2 * half + 1, 2 * half + 1))
    for along in np.linspace(-length_px / 2, length_px / 2, 20 * half):
        x, y = half + along * np.cos(angle), half + along * np.sin(angle)
        left, top = int(x), int(y)
        right, below = x - left, y - top
        psf[top : top + 2, left : left + 2] += np.outer((1 - below, below), (1 - right, right))
    return (psf / psf.sum()).astype(np.float32)


def _blurred(rng: np.random.Generator, photo: np.ndarray, psf: np.ndarray) -> np.ndarray:
    noise = rng.normal(0, NOISE, photo.shape).astype(np.float32)
    return cv2.filter2D(photo, -1, psf, borderType=cv2.BORDER_REFLECT_101) + noise


def _luminances(folder: Path, count: int) -> Iterator[np.ndarray]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    for path in files[:: max(1, len(files) // count)][:count]:
        yield cv2.cvtColor(read_picture(path), cv2.COLOR_RGB2GRAY)


def _report(name: str, leans: Sequence[float]) -> None:
    share = np.mean(np.array(leans) >= LEAST_LEAN)
    quantiles = "  ".join(f"{value:.2f}" for value in np.quantile(leans, QUANTILES))
    print(f"{name:20} {len(leans):4} photos  lean {quantiles}  called motion {share:4.0%}")


if __name__ == "__main__":
    main()
