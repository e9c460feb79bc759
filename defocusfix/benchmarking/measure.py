"""One measurement: one photo, restored once, in a process of its own, so that its memory counts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

from defocusfix.benchmarking.photos import synthetic_photo
from defocusfix.engines.engine import Engine, FloatArray, Precision
from defocusfix.engines.matrix import matrix_product
from defocusfix.engines.probe import Finding, examine
from defocusfix.engines.select import Way, open_way
from defocusfix.errors import DeviceMemoryError
from defocusfix.network_spec import NetworkSpec

FEWEST_RUNS, LEAST_SECONDS = 3, 1.0  # of a matrix product
STATUS_FILE = Path("/proc/self/status")

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be measured."""

    model: Path
    way: Way
    picture: str
    """Key of `photos.BLURS_PX`."""
    radius_px: float
    megapixels: float
    tile: int | None = None
    """Largest side of what is computed at once; None for the size that `restore` takes."""
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one photo cost."""

    name: str
    """The engine with its version."""
    device: str
    precision: Precision
    megapixels: float
    """Of the photo as it was made."""
    seconds_to_open: float
    """Until the engine was ready, with the import of its library."""
    seconds: float
    """From pixels to restored pixels."""
    seconds_in_engine: float
    """The part of that in which the network was computed."""
    computed_megapixels: float
    """Given to the network, over all levels, halos of tiles included."""
    peak_mb: float | None
    """Largest resident memory of the process, in 1e6 bytes; None where the system does not say."""


def in_child(
    function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Call a function in a fresh process and hand back what it returns or raises.

    Raises DeviceMemoryError if the process was killed.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(function, *args, **kwargs).result()
        except BrokenProcessPool as error:
            raise DeviceMemoryError(
                "a measurement was killed", why="memory ran out, most likely"
            ) from error


def measure(task: Task) -> Measurement:
    """Restore one photo once. For `in_child`: memory is counted from the start of the process.

    Raises what opening an engine and restoring raise.
    """
    from defocusfix.restoration import Restorer, RestoreSettings

    photo = synthetic_photo(task.megapixels, task.radius_px)
    start = time.perf_counter()
    engine = Watched(open_way(task.model, task.way, threads=task.threads))
    opened = time.perf_counter()
    views = (photo, photo) if engine.spec.views else None  # whatever they show takes as long
    Restorer(engine, RestoreSettings(tile=task.tile)).restore_pixels(photo, views=views)
    done = time.perf_counter()
    return Measurement(
        name=engine.name,
        device=engine.device,
        precision=engine.precision,
        megapixels=photo.shape[0] * photo.shape[1] / 1e6,
        seconds_to_open=opened - start,
        seconds=done - opened,
        seconds_in_engine=engine.seconds,
        computed_megapixels=engine.pixels / 1e6,
        peak_mb=peak_memory_mb(),
    )


def measure_peak(way: Way, threads: int | None) -> float:
    """Operations per second, 1e12, of a large matrix product: the best of several."""
    product = matrix_product(way, threads=threads)
    product.run()
    seconds: list[float] = []
    while len(seconds) < FEWEST_RUNS or sum(seconds) < LEAST_SECONDS:
        start = time.perf_counter()
        product.run()
        seconds.append(time.perf_counter() - start)
    return product.operations / min(seconds) / 1e12


def working_ways(model: Path) -> list[Finding]:
    """Every way of running the model that works here, fastest first."""
    return [finding for finding in examine(model) if finding.works]


class Watched:
    """An engine that counts what it computes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.spec: NetworkSpec = engine.spec
        self.name, self.device = engine.name, engine.device
        self.precision: Precision = engine.precision
        self.pixels = 0
        self.seconds = 0.0

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Compute one batch; see `Engine.run`."""
        batch, _, height, width = inputs["image"].shape
        start = time.perf_counter()
        outputs = self._engine.run(inputs)
        self.seconds += time.perf_counter() - start
        self.pixels += batch * height * width
        return outputs


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process so far, in 1e6 bytes; None if it cannot be known."""
    try:
        # Not ru_maxrss, which in Linux starts from the memory of the process that started this one.
        lines = STATUS_FILE.read_text("utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        if sys.platform == "win32":
            return None
        import resource

        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest * (1 if sys.platform == "darwin" else 1024) / 1e6
