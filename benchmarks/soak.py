"""A long run over a folder that is killed again and again: does it end complete, and stay small?

    python benchmarks/soak.py [--count N] [--damaged SHARE] [--kills N] [--seed N] [--jobs N]
                              [--model FILE] [--keep FOLDER] [--json]

Makes small photos (JPEG, PNG and 16-bit TIFF, 96 to 160 px a side, in a tree of folders), a few of
which are damaged in one of several ways, and restores them with `defocusfix restore FOLDER -o OUT`
as it is typed. The command is killed (SIGKILL) after a random number of photos and at a random
moment of the next one, and started again, until it ends by itself; the last run, which is not
killed, does about half of the photos. The seed fixes the photos and where it is killed, to within
the speed of the machine. Then it is checked that

- every good photo has one output, of its size and depth, which can be read, and was done once: one
  row of the journal says so;
- every damaged one is told as failed, and the last run ends with exit code 3;
- no photo was changed, and no other file is left;
- memory and open files of the last run do not grow: resident size over photos done, by least
  squares without the first fifth. (Of fewer than a thousand photos it is only told.)

Ends with exit code 0 if all of this holds, 1 if not. Linux only, for /proc.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from stopping import stop_when_terminated

from defocusfix.benchmarking.photos import synthetic_photo
from defocusfix.engines.chip import processor_name
from defocusfix.errors import InputError, PartialError
from defocusfix.jobs.folders import STATE_FOLDER
from defocusfix.jobs.journal import read_rows
from defocusfix.photo.read import read_photo
from defocusfix.version import __version__

SMALLEST, LARGEST = 96, 160  # px a side
KINDS = ("jpg",) * 6 + ("png",) * 3 + ("tif",)
N_FOLDERS = 25
DAMAGES = ("cut off", "empty", "something else", "overwritten")
SECONDS_BETWEEN_LOOKS = 0.1
LONGEST_DELAY = 0.2  # seconds between a photo and the kill that follows it
MOST_BYTES_PER_PHOTO = 2000  # that memory may grow by; the journal remembers each photo
FEWEST_TO_JUDGE = 1000  # photos over which that growth tells something
MOST_FILES = 3  # that the number of open files may differ by at the end from that at the beginning


@dataclass
class Look:
    """At a process, once."""

    n_photos: int
    """Done by it so far."""
    resident: int
    """Bytes."""
    n_files: int
    """That it has open."""


@dataclass
class Run:
    """One start of the command."""

    exit_code: int = 0
    seconds: float = 0.0
    n_done: int = 0
    failed: set[str] = field(default_factory=set)
    looks: list[Look] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=5000, metavar="N")
    parser.add_argument("--damaged", type=float, default=0.02, metavar="SHARE")
    parser.add_argument("--kills", type=int, default=12, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--jobs", type=int, metavar="N", help="[default: that of the command]")
    parser.add_argument("--model", help="weights [default: the bundled ones]")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work there and leave it all")
    parser.add_argument("--json", action="store_true", help="write one JSON object instead")
    wanted = parser.parse_args()
    stop_when_terminated()

    with place(wanted.keep) as folder:
        photos, output = folder / "photos", folder / "restored"
        damaged = make_photos(photos, wanted.count, wanted.damaged, wanted.seed)
        before = {file: sha256_of(file) for file in files_in(photos)}
        runs = list(all_runs(photos, output, wanted))
        troubles = list(checked(photos, output, damaged, before, runs[-1]))
    growth = grown(runs[-1].looks)
    troubles += too_large(growth)
    told = {
        "processor": processor_name(),
        "defocusfix": __version__,
        "photos": wanted.count,
        "damaged": len(damaged),
        "runs": [
            {"exit_code": run.exit_code, "done": run.n_done, "seconds": round(run.seconds, 1)}
            for run in runs
        ],
        "growth": asdict(growth),
        "troubles": troubles,
    }
    if wanted.json:
        print(json.dumps(told, indent=2))
    else:
        tell(told, growth, runs)
    sys.exit(1 if troubles else 0)


@contextmanager
def place(kept: Path | None) -> Iterator[Path]:
    """Where to work; a folder that is kept must be new."""
    if kept is not None:
        kept.mkdir(parents=True)
        yield kept
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def make_photos(folder: Path, count: int, share: float, seed: int) -> set[str]:
    """Photos in a tree; returns the paths, within the folder, of those that are damaged."""
    rng = random.Random(seed)
    picture = synthetic_photo(1.5, 2.0)
    bad = set(rng.sample(range(count), round(share * count)))
    damaged = set()
    for number in range(count):
        kind = rng.choice(KINDS)
        group = rng.randrange(N_FOLDERS)
        file = folder / f"{group % 5}" / f"{group}" / f"photo {number:05}.{kind}"
        file.parent.mkdir(parents=True, exist_ok=True)
        height, width = (rng.randint(SMALLEST, LARGEST) for _ in range(2))
        top = rng.randrange(picture.shape[0] - height)
        left = rng.randrange(picture.shape[1] - width)
        content = encoded(picture[top : top + height, left : left + width], kind)
        if number in bad:
            content = spoilt(content, rng)
            damaged.add(file.relative_to(folder).as_posix())
        file.write_bytes(content)
    return damaged


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    file = BytesIO()
    if kind == "tif":
        tifffile.imwrite(file, pixels.astype(np.uint16) * 257, photometric="rgb")
    else:
        Image.fromarray(pixels).save(file, {"jpg": "JPEG", "png": "PNG"}[kind])
    return file.getvalue()


def spoilt(content: bytes, rng: random.Random) -> bytes:
    """What is left of a file after one of several mishaps."""
    match rng.choice(DAMAGES):
        case "cut off":
            return content[: len(content) // 2]
        case "empty":
            return b""
        case "something else":
            return b"This page could not be found.\n" * 20
        case _:
            return rng.randbytes(64) + content[64:]


def all_runs(photos: Path, output: Path, wanted: argparse.Namespace) -> Iterator[Run]:
    """Start the command until it ends by itself, and kill it until then."""
    rng = random.Random(wanted.seed + 1)
    command = [sys.executable, "-m", "defocusfix", "restore", str(photos), "-o", str(output)]
    command += ["--json"]
    command += [] if wanted.jobs is None else ["--jobs", str(wanted.jobs)]
    command += [] if wanted.model is None else ["--model", wanted.model]
    for _ in range(wanted.kills):
        n_photos = rng.randrange(max(1, wanted.count // max(1, wanted.kills)))
        yield one_run(command, (n_photos, rng.uniform(0, LONGEST_DELAY)))
    yield one_run(command, None)


def one_run(command: list[str], kill: tuple[int, float] | None) -> Run:
    """Start the command. kill: after how many photos, and how many seconds; None to let it end."""
    run = Run()
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        over = threading.Event()
        looking = threading.Thread(target=look_on, args=(child.pid, run, over))
        looking.start()
        try:
            for line in child.stdout or ():
                count_event(run, line)
                if kill is not None and run.n_done >= kill[0]:
                    time.sleep(kill[1])
                    child.kill()
                    break
            run.exit_code = child.wait()
        finally:
            child.kill()
            over.set()
            looking.join()
    run.seconds = time.perf_counter() - start
    return run


def count_event(run: Run, line: bytes) -> None:
    event = json.loads(line)
    if event["event"] == "photo_done":
        run.n_done += 1
    elif event["event"] == "photo_failed":
        run.failed.add(event["input"])


def look_on(process: int, run: Run, over: threading.Event) -> None:
    """Look at a process now and then until it is over."""
    folder = Path(f"/proc/{process}")
    page = os.sysconf("SC_PAGE_SIZE")
    while not over.wait(SECONDS_BETWEEN_LOOKS):
        try:
            resident = int((folder / "statm").read_text("ascii").split()[1]) * page
            n_files = sum(1 for _ in (folder / "fd").iterdir())
            run.looks.append(Look(run.n_done, resident, n_files))
        except (OSError, IndexError):
            return


def checked(
    photos: Path, output: Path, damaged: set[str], before: dict[Path, str], last: Run
) -> Iterator[str]:
    """What is not as it must be, in words."""
    if last.exit_code != (PartialError.exit_code if damaged else 0):
        yield f"the last run ended with exit code {last.exit_code}"
    failed = {Path(name).relative_to(photos).as_posix() for name in last.failed}
    yield from (f"{name} is damaged and was not told as failed" for name in damaged - failed)
    yield from (f"{name} is sound and was told as failed" for name in failed - damaged)
    for file, content in before.items():
        if not file.is_file() or sha256_of(file) != content:
            yield f"{file} was changed"

    rows = Counter((row.key, row.state) for row in read_rows(output))
    left = set(files_in(output))
    for file in before:
        key = file.relative_to(photos).as_posix()
        state = "failed" if key in damaged else "done"
        if rows[key, state] != 1:
            yield f"{key} is {state} {rows[key, state]} times by the journal"
        restored = output / Path(key).with_name(f"{file.stem}_restored{file.suffix}")
        if key in damaged:
            continue
        left.discard(restored)
        try:
            photo, original = read_photo(restored), read_photo(file)
        except InputError as error:
            yield f"{restored}: {error}"
            continue
        if photo.pixels.shape != original.pixels.shape or photo.bits != original.bits:
            yield f"{restored} is not of the size and depth of its photo"
    journal = output / STATE_FOLDER / "journal"
    yield from (f"{file} is left over" for file in sorted(left) if file.parent != journal)


@dataclass
class Growth:
    """Of the last run, without its first fifth."""

    n_photos: int
    """Over which it was looked at."""
    resident_mb: float
    """At its end."""
    bytes_per_photo: float
    files_at_first: int
    """Open ones, the median of the first tenth of the looks."""
    files_at_last: int


def grown(looks: list[Look]) -> Growth:
    """How memory and open files grew with the photos that were done."""
    most = max((look.n_photos for look in looks), default=0)
    looks = [look for look in looks if most / 5 <= look.n_photos < most]
    photos = np.array([look.n_photos for look in looks])
    if len(set(photos)) < 2:
        return Growth(0, float("nan"), float("nan"), 0, 0)
    slope, _ = np.polyfit(photos, [look.resident for look in looks], 1)
    files = [look.n_files for look in looks]
    tenth = max(1, len(files) // 10)
    return Growth(
        n_photos=int(photos[-1] - photos[0]),
        resident_mb=looks[-1].resident / 1e6,
        bytes_per_photo=float(slope),
        files_at_first=int(np.median(files[:tenth])),
        files_at_last=int(np.median(files[-tenth:])),
    )


def too_large(growth: Growth) -> Iterator[str]:
    if growth.n_photos >= FEWEST_TO_JUDGE and growth.bytes_per_photo > MOST_BYTES_PER_PHOTO:
        yield f"memory grows by {growth.bytes_per_photo:.0f} bytes per photo"
    if growth.files_at_last > growth.files_at_first + MOST_FILES:
        yield f"{growth.files_at_last} files are open, {growth.files_at_first} were at first"


def tell(told: dict[str, object], growth: Growth, runs: list[Run]) -> None:
    print(f"{told['processor']}, defocusfix {told['defocusfix']}")
    print(f"{told['photos']} photos, {told['damaged']} of them damaged")
    for number, run in enumerate(runs, 1):
        end = "killed" if run.exit_code < 0 else f"exit code {run.exit_code}"
        print(f"run {number:2}: {run.n_done:5} done, {run.seconds:6.1f} s, {end}")
    print(
        f"the last run: {growth.bytes_per_photo:+.0f} bytes per photo over {growth.n_photos} "
        f"photos, {growth.resident_mb:.0f} MB at its end; open files {growth.files_at_first} at "
        f"first, {growth.files_at_last} at last"
    )
    for trouble in told["troubles"]:
        print(f"NOT AS IT MUST BE: {trouble}")
    if not told["troubles"]:
        print("every photo done once, every damaged one told, nothing left over")


def files_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def sha256_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
