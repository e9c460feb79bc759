"""Peak memory of restoring one picture, beside what the engine and the picture take.

    python benchmarks/memory.py [--size 6000x4000] [--bits 8|16] [--engine NAME] [--model FILE]

Makes a picture of noise, which every engine finds as costly as a photo, opens an engine, restores
the picture over itself and prints the largest resident size of the process at each point. Noise is
computed at full size everywhere (`scale=1`). Only whole processes can be compared, so every run
measures one case. `/usr/bin/time -v defocusfix restore PHOTO` tells the same for a file, with its
codecs. Linux and macOS only.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np

from defocusfix.restoration import Restorer, RestoreSettings

ROWS_AT_ONCE = 64
BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="6000x4000", metavar="WxH", help="[default: %(default)s]")
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8)
    parser.add_argument("--engine", default="onnxruntime", help="[default: %(default)s]")
    parser.add_argument("--precision", default="auto", help="[default: %(default)s]")
    parser.add_argument("--model", help="ONNX file [default: the bundled focusnet-s]")
    parser.add_argument("--threads", type=int, metavar="N", help="of the processor")
    wanted = parser.parse_args()
    width, height = (int(side) for side in wanted.size.split("x"))

    report("program loaded")
    restorer = Restorer(
        wanted.engine,
        RestoreSettings(scale=1),
        model=wanted.model,
        precision=wanted.precision,
        output_bits=wanted.bits,
        threads=wanted.threads,
    )
    report(f"{restorer.engine.name} opened, {restorer.engine.precision}")
    small = np.zeros((64, 64, 3), np.uint8)
    Restorer(restorer.engine, RestoreSettings(scale=1)).restore_pixels(small)
    report("engine warm")
    pixels = noise(height, width, np.uint8 if wanted.bits == 8 else np.uint16)
    report(f"picture of {height * width / 1e6:.0f} megapixels, {wanted.bits}-bit, made")
    start = time.perf_counter()
    restorer.restore_pixels(pixels, in_place=True)
    report(f"restored in {time.perf_counter() - start:.1f} s")


def noise(height: int, width: int, dtype: type[np.unsignedinteger]) -> np.ndarray:
    pixels = np.empty((height, width, 3), dtype)
    rng = np.random.default_rng(0)
    for top in range(0, height, ROWS_AT_ONCE):
        rows = pixels[top : top + ROWS_AT_ONCE]
        rows[:] = rng.integers(0, np.iinfo(dtype).max, rows.shape, dtype, endpoint=True)
    return pixels


def report(point: str) -> None:
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_UNIT
    print(f"{largest / 1e6:8.0f} MB   {point}", flush=True)


if __name__ == "__main__":
    main()
