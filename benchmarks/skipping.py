"""What it costs to pass over parts of a photo: the thresholds of `defocusfix.restoration.scales`.

    python benchmarks/skipping.py [PHOTO ...] [--rendered SET] [--first N] [--model FILE]

Every photo is restored at quarter, half and full size and cut into squares of 128 px. The first
table is of the squares whose radius, as read at quarter or half size, stays under a threshold, in
pixels of full size, and which would be left alone: their share, and the change they would have got,
root mean square in steps of 1/255. The second is of those whose radius is everywhere above a
threshold, in pixels of the smaller size, and which would be finished at that size: their share, and
how far that is from the next finer size. For rendered pairs, whose truth is known, both tables tell
the mean gain over the blurred picture with and without passing over.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from defocusfix.engines.select import open_engine
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.photo.read import read_photo
from defocusfix.restoration.restorer import Restorer, model_file
from defocusfix.restoration.scales import RARE
from defocusfix.restoration.settings import RestoreSettings
from defocusfix.restoration.stored import to_image

SQUARE_PX = 128
SHARP_PX = (0.15, 0.25, 0.35, 0.5, 0.75, 1.0)  # of full size
STRONG_PX = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0)  # of the smaller size
SIZES = {1: "full", 2: "half", 4: "quarter"}


@dataclass(frozen=True)
class Square:
    """One square of a photo; sizes are keys, 1 for full."""

    weakest_px: dict[int, float]
    """Radius in pixels of full size that nearly all of it is above, as read at each size."""
    strongest_px: dict[int, float]
    """The same, below."""
    change: float
    """Mean squared change at full size."""
    to_finer: dict[int, float]
    """Mean squared difference from the size twice as large."""
    gain_db: dict[int, float]
    """Gain over the input, for a known truth; empty without one."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="*", metavar="PHOTO")
    parser.add_argument("--rendered", type=Path, metavar="SET", help="set of rendered pairs")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N pairs")
    parser.add_argument("--model", help="ONNX file [default: the bundled focusnet-s]")
    parser.add_argument("--threads", type=int, metavar="N", help="of the processor")
    wanted = parser.parse_args()
    if not wanted.photos and wanted.rendered is None:
        parser.error("give photos, --rendered, or both")

    engine = open_engine(
        model_file(wanted.model), device="cpu", precision="fp32", threads=wanted.threads
    )
    restorers = {size: Restorer(engine, RestoreSettings(scale=size)) for size in SIZES}
    found = []
    for path in wanted.photos:
        found += squares(restorers, to_image(read_photo(path).pixels))
    if wanted.photos:
        print_tables("photos", found)
    if wanted.rendered is not None:
        pairs = RenderedSet(wanted.rendered)
        of_pairs = []
        for index in range(min(len(pairs), wanted.first or len(pairs))):
            blurred, truth, _ = pairs[index]
            of_pairs += squares(restorers, to_image(blurred), to_image(truth))
        print_tables("rendered pairs", of_pairs)


def squares(
    restorers: dict[int, Restorer], image: np.ndarray, truth: np.ndarray | None = None
) -> Iterator[Square]:
    """All whole squares of a photo."""
    restored = {size: restorer(image) for size, restorer in restorers.items()}
    images = {size: found.image for size, found in restored.items()}
    radii = {size: found.radius_px for size, found in restored.items()}
    height, width, _ = image.shape
    for top in range(0, height - SQUARE_PX + 1, SQUARE_PX):
        for left in range(0, width - SQUARE_PX + 1, SQUARE_PX):
            part = np.s_[top : top + SQUARE_PX, left : left + SQUARE_PX]
            ranges = {s: np.quantile(radii[s][part], (RARE, 1 - RARE)) for s in (2, 4)}
            yield Square(
                weakest_px={size: float(low) for size, (low, _) in ranges.items()},
                strongest_px={size: float(high) for size, (_, high) in ranges.items()},
                change=squared_error(images[1][part], image[part]),
                to_finer={
                    size: squared_error(images[size][part], images[size // 2][part])
                    for size in (2, 4)
                },
                gain_db={}
                if truth is None
                else {
                    size: decibels(
                        squared_error(image[part], truth[part]),
                        squared_error(found[part], truth[part]),
                    )
                    for size, found in images.items()
                },
            )


def print_tables(name: str, found: list[Square]) -> None:
    print(f"\n{name}: {len(found)} squares, mean square of the change "
          f"{steps([s.change for s in found]):.2f} steps")  # fmt: skip
    print("left alone            share   change lost   gain lost, dB")
    for size in (4, 2):
        for threshold in SHARP_PX:
            chosen = [s for s in found if s.strongest_px[size] < threshold]
            if chosen:
                lost = mean([s.gain_db[1] for s in chosen if s.gain_db])
                print(f"{SIZES[size]:8s} < {threshold:5.2f} px   {len(chosen) / len(found):6.1%}"
                      f"   {steps([s.change for s in chosen]):11.2f}   {lost:13.3f}")  # fmt: skip
    print("finished smaller      share   difference    gain, dB: finished, finer")
    for size in (4, 2):
        for threshold in STRONG_PX:
            chosen = [s for s in found if s.weakest_px[size] > threshold * size]
            if chosen:
                here = mean([s.gain_db[size] for s in chosen if s.gain_db])
                finer = mean([s.gain_db[size // 2] for s in chosen if s.gain_db])
                print(f"{SIZES[size]:8s} > {threshold:5.2f} px   {len(chosen) / len(found):6.1%}"
                      f"   {steps([s.to_finer[size] for s in chosen]):10.2f}"
                      f"   {here:8.2f} {finer:8.2f}")  # fmt: skip


def squared_error(image: np.ndarray, other: np.ndarray) -> float:
    return float(((image - other) ** 2).mean())


def decibels(before: float, after: float) -> float:
    return 10 * float(np.log10(max(before, 1e-10) / max(after, 1e-10)))


def steps(squares_: list[float]) -> float:
    """Root mean square in steps of 1/255."""
    return 255 * float(np.sqrt(np.mean(squares_)))


def mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


if __name__ == "__main__":
    main()
