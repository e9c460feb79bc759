"""Which measurements there are, and carrying them out one after the other."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from defocusfix.benchmarking.measure import (
    Measurement,
    Task,
    in_child,
    measure,
    measure_peak,
    working_ways,
)
from defocusfix.benchmarking.photos import BLURS_PX
from defocusfix.engines.chip import abilities, processor_name
from defocusfix.engines.cores import physical_cores
from defocusfix.engines.model_file import read_spec
from defocusfix.engines.select import Way, ways
from defocusfix.engines.work import multiplications_per_pixel
from defocusfix.errors import DefocusfixError, DeviceError

USUAL_PICTURE = "slightly soft"
COMPARED_MEGAPIXELS = 4.0  # for each engine
FULL_COMPARED_MEGAPIXELS = 12.0
PICTURE_MEGAPIXELS = 24.0  # for each picture
TILES = (256, 512, 1024)  # besides the usual size
SIZES = (2.0, 12.0, 48.0)  # megapixels, besides the 24 of the pictures


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure."""

    model: Path
    with_torch: bool = False
    is_full: bool = False
    megapixels: float | None = None
    """Of every photo, in place of the usual sizes."""
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the figures were measured with."""

    date: str
    processor: str
    abilities: tuple[str, ...]
    cores: int
    threads: int
    system: str
    python: str
    model: str
    gmac_per_mp: float
    """1e9 multiply-adds of one pass over 1e6 px; a photo needs up to 21/16 of it, and halos."""


@dataclass(frozen=True, slots=True)
class Row:
    """One task and what came of it."""

    task: Task
    measurement: Measurement | None
    failure: str = ""
    """Why there is no measurement."""


def conditions(wanted: Wanted) -> Conditions:
    """Look at the machine and the model. Raises ModelError if it is unusable."""
    return Conditions(
        date=datetime.datetime.now().astimezone().strftime("%Y-%m-%d"),
        processor=processor_name(),
        abilities=abilities(),
        cores=physical_cores(),
        threads=wanted.threads or physical_cores(),
        system=platform.platform(),
        python=platform.python_version(),
        model=read_spec(wanted.model).name,
        gmac_per_mp=multiplications_per_pixel(wanted.model) / 1e3,
    )


def measured_ways(wanted: Wanted) -> list[Way]:
    """The ways to be compared: all that work here, of torch only if it is wanted.

    The first one is what `restore` takes for 8-bit photos.
    Raises DeviceError if torch is wanted and does not work.
    """
    found = [finding.way for finding in in_child(working_ways, wanted.model)]
    if wanted.with_torch and not any(way.engine == "torch" for way in found):
        raise DeviceError(
            "--compare was asked for, but torch cannot run these weights here",
            why="it is not installed, or there is no safetensors file beside the ONNX file",
            fix="pip install 'defocusfix[train]'",
        )
    kept = [way for way in found if wanted.with_torch or way.engine != "torch"]
    suitable = set(ways(output_bits=8))
    return sorted(kept, key=lambda way: way not in suitable)  # stable: the order of speed stays


def tasks(wanted: Wanted, compared: Sequence[Way]) -> list[Task]:
    """What to measure, each task once: engines, then pictures, then tile and photo sizes."""
    small = FULL_COMPARED_MEGAPIXELS if wanted.is_full else COMPARED_MEGAPIXELS

    def task(way: Way, picture: str, megapixels: float, tile: int | None = None) -> Task:
        size = wanted.megapixels or megapixels
        return Task(wanted.model, way, picture, BLURS_PX[picture], size, tile, wanted.threads)

    best = compared[:1]
    chosen = [task(way, USUAL_PICTURE, small) for way in compared]
    chosen += [task(way, picture, PICTURE_MEGAPIXELS) for way in best for picture in BLURS_PX]
    if wanted.is_full:
        chosen += [task(way, USUAL_PICTURE, small, tile) for way in compared for tile in TILES]
        chosen += [task(way, USUAL_PICTURE, size) for way in best for size in SIZES]
    return list(dict.fromkeys(chosen))


def peaks(compared: Sequence[Way], threads: int | None) -> Iterator[tuple[Way, float]]:
    """Operations per second, 1e12, of a matrix product in each way; none where that fails."""
    for way in compared:
        try:
            yield way, in_child(measure_peak, way, threads)
        except DefocusfixError:
            continue


def rows(chosen: Sequence[Task], run: Callable[[Task], Measurement] | None = None) -> Iterator[Row]:
    """Carry out one task after the other, each in a process of its own."""
    for task in chosen:
        try:
            yield Row(task, run(task) if run else in_child(measure, task))
        except DefocusfixError as failure:
            yield Row(task, None, failure.what)
