"""Wall time and peak memory of `defocusfix restore` for a JPEG, from file to file.

    python benchmarks/file_to_file.py PHOTOS [--megapixels 24] [--times 3] -- [OPTIONS OF RESTORE]

Lays pieces of the photos of a folder side by side, at their own size, into one JPEG of 3:2 and
quality 93, and restores it as a user would: a new process each time, started, opened, written and
ended within the time. What stands in a photo decides how much of it is computed, so photos that are
out of focus everywhere cost most. Prints seconds, and the largest resident size of the process in
units of 10^6 bytes. Linux and macOS only.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

from PIL import Image

BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
PIECE_PX = (1000, 640)  # largest width and height of a piece
QUALITY = 93


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--megapixels", type=float, default=24.0, help="[default: %(default)s]")
    parser.add_argument("--times", type=int, default=3, help="[default: %(default)s]")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    wanted, options = parser.parse_args(words[:end]), words[end + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        photo, restored = Path(folder) / "photo.jpg", Path(folder) / "restored.jpg"
        made = mosaic(wanted.photos, wanted.megapixels)
        made.save(photo, quality=QUALITY)
        print(f"{made.width} x {made.height}, {photo.stat().st_size / 1e6:.1f} MB")
        command = [sys.executable, "-m", "defocusfix", "restore", str(photo), "-o", str(restored)]
        for _ in range(wanted.times):
            restored.unlink(missing_ok=True)
            seconds, size = timed([*command, "--quiet", *options])
            print(f"{seconds:.2f} s   {size / 1e6:.0f} MB", flush=True)


def mosaic(folder: Path, megapixels: float) -> Image.Image:
    """Pieces of the photos of a folder in rows, in the order of their names, over and over."""
    height = round(math.sqrt(megapixels * 1e6 * 2 / 3))
    made = Image.new("RGB", (round(height * 3 / 2), height))
    photos = [Image.open(path).convert("RGB") for path in sorted(folder.iterdir())]
    next_photo = cycle(photos)
    lowest = min(PIECE_PX[1], *(photo.height for photo in photos))
    for top in range(0, height, lowest):
        left = 0
        while left < made.width:
            photo = next(next_photo)
            piece = photo.crop((0, 0, min(photo.width, PIECE_PX[0]), lowest))
            made.paste(piece, (left, top))
            left += piece.width
    return made


def timed(command: list[str]) -> tuple[float, int]:
    """Seconds that a command takes, and its largest resident size in bytes."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"restore ended with status {os.waitstatus_to_exitcode(status)}")
    return seconds, used.ru_maxrss * BYTES_PER_UNIT


if __name__ == "__main__":
    main()
