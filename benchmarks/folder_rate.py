"""Photos per second of `defocusfix restore FOLDER`, against what its engine does alone.

    python benchmarks/folder_rate.py [--sizes 128x128 500x667 ...] [--count N] [--jobs 1 2 ...]
                                     [--threads N] [--engine NAME] [--precision NAME] [--rounds N]
                                     [--json]

Makes a folder of JPEGs of one size, of which everything is slightly out of focus, and restores it
by the command as it is typed. Its rate is counted from the first photo that is done to the last
one; the seconds until the first one, most of which the program takes to start and to load the
network, are told apart. The bare rate is that of the engine calls only: those that the photos of
this folder lead to, all windows of all levels, recorded and repeated on arrays in memory, by as
many sessions side by side and with as many threads each as the command has. So their ratio is what
reading, cutting into tiles, blending, encoding, metadata, writing and the journal leave of it.

Both are measured in turn, several rounds, and the median is told. Leave the machine alone: "others"
is the share of the processors that other programs took meanwhile, which should be near 0. Where it
is not, the processor time of both says more than the rates: "of cpu" is that of the engine calls in
percent of that of the command, from its first photo on. (Threads that wait for each other spin, so
with more than one in a job it counts waiting, too.) Both are told on Linux only.

With --batches the bare rate is also told for that many photos in one call.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from stopping import stop_when_terminated

from defocusfix.benchmarking.photos import synthetic_photo
from defocusfix.engines.chip import abilities, processor_name
from defocusfix.engines.cores import physical_cores, shared_out
from defocusfix.engines.engine import Engine
from defocusfix.engines.select import open_engine
from defocusfix.photo.read import read_photo
from defocusfix.restoration.restorer import Restorer, model_file
from defocusfix.version import __version__

SIZES = ("128x128", "256x256", "500x667", "750x1000")
RADIUS_PX = 2.0  # of the blur: every tile is computed at full size
QUALITY = 90  # of the JPEGs
N_RECORDED = 4  # photos whose engine calls are repeated
BARE_SECONDS = 6.0  # of one round

Inputs = dict[str, np.ndarray]
Calls = list[Inputs]
"""Of one photo."""


@dataclass(frozen=True)
class Rate:
    """Of one size and number of jobs; the median of the rounds."""

    size: str
    jobs: int
    threads: str
    """Of each job."""
    bare: float
    """Photos per second."""
    folder: float
    """Photos per second."""
    of_cpu: float
    """Processor time of the engine calls for one photo over that of the command."""
    seconds_to_first: float
    """From the start of the command until the first photo is done."""
    others: float
    """Largest share of the processors that other programs took in a round; nan if unknown."""


@dataclass(frozen=True)
class Batch:
    """The bare rate of photos that are computed in one call."""

    size: str
    photos: int
    bare: float
    """Photos per second."""


@dataclass(frozen=True)
class Pace:
    """What one round gave."""

    rate: float
    """Photos per second."""
    cpu: float
    """Seconds of processor time for one photo; nan where the system does not tell."""


class Recorder:
    """An engine that keeps what it is called with."""

    def __init__(self, engine: Engine) -> None:
        self.spec, self.name = engine.spec, engine.name
        self.device, self.precision = engine.device, engine.precision
        self.calls: Calls = []
        self._engine = engine

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.calls.append({name: array.copy() for name, array in inputs.items()})
        return self._engine.run(inputs)


class Processors:
    """Which share of the processors other programs take."""

    def __init__(self) -> None:
        self._start, self._all, self._own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def others(self) -> float:
        """Since this was made; nan where the system does not tell."""
        seconds = (time.perf_counter() - self._start) * (os.cpu_count() or 1)
        foreign = _busy_seconds() - self._all - (_own_seconds() - self._own)
        return max(foreign, 0.0) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="HxW")
    parser.add_argument("--count", type=int, metavar="N", help="photos [default: by their size]")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, physical_cores()], metavar="N")
    parser.add_argument("--threads", type=int, default=physical_cores(), metavar="N")
    parser.add_argument("--batches", type=int, nargs="*", default=[], metavar="N")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--json", action="store_true", help="write one JSON object instead")
    wanted = parser.parse_args()
    stop_when_terminated()

    facts: dict[str, object] = {
        "processor": f"{processor_name()} ({', '.join(abilities()) or 'plain'})",
        "threads": wanted.threads,
        "defocusfix": __version__,
        "engine": _describe(opened(wanted, wanted.threads)),
    }
    if not wanted.json:
        print(f"{facts['processor']}, {wanted.threads} threads in all")
        print(f"defocusfix {__version__}, {facts['engine']}")
        print("  photo    jobs  threads  bare/s  folder/s  share  of cpu  to first  others")
    rates, batches = [], []
    with tempfile.TemporaryDirectory() as folder:
        for size in wanted.sizes:
            photos = made(Path(folder) / size, size, wanted.count or fitting_count(size))
            for n_jobs in dict.fromkeys(wanted.jobs):
                rate = measured(photos, size, n_jobs, wanted)
                rates.append(rate)
                if not wanted.json:
                    print(
                        f"{size:>9}{rate.jobs:6d}{rate.threads:>9}{rate.bare:8.2f}"
                        f"{rate.folder:10.2f}{rate.folder / rate.bare:7.0%}{rate.of_cpu:8.0%}"
                        f"{rate.seconds_to_first:8.1f} s{rate.others:8.0%}",
                        flush=True,
                    )
            for told in batched(photos, size, wanted):
                batches.append(told)
                if not wanted.json:
                    print(f"{size:>9}{told.bare:25.2f}  {told.photos} in one call", flush=True)
    if wanted.json:
        facts |= {"rates": [asdict(r) for r in rates], "batches": [asdict(b) for b in batches]}
        print(json.dumps(facts))


def fitting_count(size: str) -> int:
    """Photos enough for some ten seconds on two cores."""
    height, width = map(int, size.split("x"))
    return max(12, min(200, round(10 / (height * width / 1e6))))


def made(folder: Path, size: str, count: int) -> list[Path]:
    """Photos cut from one picture, as files with some EXIF."""
    height, width = map(int, size.split("x"))
    picture = synthetic_photo(4 * height * width / 1e6 + 1, RADIUS_PX)
    exif = Image.Exif()
    exif[271], exif[272], exif[306] = "Maker", "Camera", "2024:05:06 07:08:09"
    rng = np.random.default_rng(0)
    folder.mkdir()
    files = []
    for number in range(count):
        top = rng.integers(0, picture.shape[0] - height + 1)
        left = rng.integers(0, picture.shape[1] - width + 1)
        part = picture[top : top + height, left : left + width]
        files.append(folder / f"{number:05}.jpg")
        Image.fromarray(part).save(files[-1], quality=QUALITY, exif=exif)
    return files


def opened(wanted: argparse.Namespace, threads: int) -> Engine:
    """The engine that the command takes, too."""
    return open_engine(
        model_file(None), engine=wanted.engine, precision=wanted.precision, threads=threads
    )


def measured(photos: list[Path], size: str, jobs: int, wanted: argparse.Namespace) -> Rate:
    """Bare and folder rate of one number of jobs, in turn."""
    threads = shared_out(len(photos), jobs=jobs, threads=wanted.threads)
    engines = [opened(wanted, n) for n in threads]
    calls = [recorded(photo, engines[0]) for photo in photos[:N_RECORDED]]
    bare_rate(engines, calls, 0.0)  # prepares memory
    bare: list[Pace] = []
    folder: list[Pace] = []
    first, others = [], []
    for _ in range(wanted.rounds):
        processors = Processors()
        bare.append(bare_rate(engines, calls, BARE_SECONDS))
        pace, seconds = folder_rate(photos, len(threads), wanted)
        folder.append(pace)
        first.append(seconds)
        others.append(processors.others())
    return Rate(
        size=size,
        jobs=len(threads),
        threads="+".join(map(str, threads)),
        bare=statistics.median(pace.rate for pace in bare),
        folder=statistics.median(pace.rate for pace in folder),
        of_cpu=statistics.median(pace.cpu for pace in bare)
        / statistics.median(pace.cpu for pace in folder),
        seconds_to_first=statistics.median(first),
        others=max(others),
    )


def recorded(photo: Path, engine: Engine) -> Calls:
    """The engine calls that restoring a photo leads to."""
    recorder = Recorder(engine)
    Restorer(recorder).restore_pixels(read_photo(photo).pixels)
    return recorder.calls


def bare_rate(engines: Sequence[Engine], photos: Sequence[Calls], least_seconds: float) -> Pace:
    """The pace of engines side by side that do nothing else for some time."""
    done = [0] * len(engines)
    start, cpu = time.perf_counter(), time.process_time()

    def work(number: int) -> None:
        while not done[number] or time.perf_counter() - start < least_seconds:
            for inputs in photos[done[number] % len(photos)]:
                engines[number].run(inputs)
            done[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(engines))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return Pace(sum(done) / seconds, cpu / sum(done))


def folder_rate(photos: list[Path], jobs: int, wanted: argparse.Namespace) -> tuple[Pace, float]:
    """The pace of the command between the first and the last photo, and seconds to the first.

    Raises RuntimeError if it does not do them all.
    """
    with tempfile.TemporaryDirectory(dir=photos[0].parent.parent) as output:
        command = [sys.executable, "-m", "defocusfix", "restore", str(photos[0].parent)]
        command += ["-o", output, "--json", "--jobs", str(jobs), "--threads", str(wanted.threads)]
        command += ["--engine", wanted.engine, "--precision", wanted.precision]
        done: list[tuple[float, float]] = []
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            try:
                for line in child.stdout or ():
                    if json.loads(line)["event"] == "photo_done":
                        done.append((time.perf_counter(), _cpu_seconds(child.pid)))
            finally:
                child.terminate()
        if len(done) != len(photos):
            raise RuntimeError(f"{len(done)} of {len(photos)} photos done: {' '.join(command)}")
    # The first photos of all jobs are done while networks are loaded.
    (first, first_cpu), (last, last_cpu) = done[jobs - 1], done[-1]
    n_photos = len(done) - jobs
    pace = Pace(n_photos / (last - first), (last_cpu - first_cpu) / n_photos)
    return pace, done[0][0] - start


def batched(photos: list[Path], size: str, wanted: argparse.Namespace) -> Iterator[Batch]:
    """Bare rates of several equal photos in one call, by one session with all threads."""
    if not wanted.batches:
        return
    engine = opened(wanted, wanted.threads)
    calls = recorded(photos[0], engine)
    for n_photos in wanted.batches:
        together = [
            {name: np.repeat(array, n_photos, axis=0) for name, array in inputs.items()}
            for inputs in calls
        ]
        bare_rate([engine], [together], 0.0)
        rates = [
            n_photos * bare_rate([engine], [together], BARE_SECONDS).rate
            for _ in range(wanted.rounds)
        ]
        yield Batch(size, n_photos, statistics.median(rates))


def _describe(engine: Engine) -> str:
    return f"{engine.name} on {engine.device} in {engine.precision}"


def _busy_seconds() -> float:
    """Of all processors since the system started; nan where it does not tell."""
    try:
        first = Path("/proc/stat").read_text("ascii").split("\n", 1)[0]
    except OSError:
        return float("nan")
    ticks = [int(number) for number in first.split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / float(os.sysconf("SC_CLK_TCK"))


def _cpu_seconds(process: int) -> float:
    """That a process has used; nan where the system does not tell."""
    try:
        told = Path(f"/proc/{process}/stat").read_text("ascii", errors="replace")
    except OSError:
        return float("nan")
    ticks = told.rsplit(")", 1)[1].split()[11:13]
    return sum(map(int, ticks)) / float(os.sysconf("SC_CLK_TCK"))


def _own_seconds() -> float:
    """Of this program and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
