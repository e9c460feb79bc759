"""What a plan would do, before it is done: how many pixels, how long, and how much disk space."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from defocusfix.jobs.events import PhotoSkipped, Settled, SkipReason, files_told, stamped
from defocusfix.jobs.headers import Header, header_of
from defocusfix.jobs.plan import Item, Plan
from defocusfix.jobs.treatment import MapFormat, Target, Treatment
from defocusfix.photo.convert import DTYPES, FORMATS, WRITTEN_AS

READERS = 8  # at once, since a disk far away answers late
# Bytes for each value of a pixel, of photos with the noise that cameras leave; measured with the
# encoders of this program, rounded up.
BYTES_PER_VALUE = {
    "jpeg": 0.2,
    "webp": 0.1,
    "avif": 0.1,
    "png": 0.6,
    "png16": 1.7,
    "tiff": 0.7,
    "tiff16": 1.8,
    "tiff32f": 3.6,
}
JPEG2000_SHARE = 0.6  # of the bytes of the pixels, since it is written without loss
MAP_BYTES_PER_PIXEL: dict[MapFormat, float] = {"png16": 1.2, "npy": 4.0, "tiff": 2.0, "color": 1.0}
LARGEST_COLOURED_PIXELS = 2400 * 2400
SIDE_BY_SIDE_BYTES_PER_PIXEL = 2 * 3 * BYTES_PER_VALUE["png"]
PAGE_BYTES_PER_PIXEL = 2 * 3 * BYTES_PER_VALUE["jpeg"] * 4 / 3  # as text, base 64


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would become of one photo."""

    event: ClassVar[str] = "photo_planned"

    item: Item
    header: Header | None
    """None if the head of the file does not tell."""
    megapixels: float
    """To be computed; 0 if it is not known."""
    n_bytes: int
    """Of all that is written for it, roughly."""
    settled: Settled | None = None
    """Why nothing is done; None if something is."""

    @property
    def action(self) -> str:
        """In a word: `do`, `failed` before, or the reason to skip it."""
        if self.settled is None:
            return "do"
        return self.settled.reason.value if isinstance(self.settled, PhotoSkipped) else "failed"

    def to_json(self) -> dict[str, object]:
        """The event as one JSON object."""
        return stamped(
            self.event,
            {
                **files_told(self.item),
                "action": self.action,
                "width": self.header and self.header.width,
                "height": self.header and self.header.height,
                "megapixels": round(self.megapixels, 4),
                "bytes": self.n_bytes,
            },
        )


@dataclass(frozen=True)
class Estimate:
    """What a plan would do. All numbers are of the photos that need work."""

    event: ClassVar[str] = "estimate"

    prospects: tuple[Prospect, ...]
    place: Path
    """The folder whose disk takes the outputs."""
    free_bytes: int | None
    """On that disk; None if it cannot be told."""
    seconds_per_megapixel: float | None
    """None if it was not tried out."""

    @cached_property
    def todo(self) -> tuple[Prospect, ...]:
        """Those that need work."""
        return tuple(prospect for prospect in self.prospects if prospect.settled is None)

    @cached_property
    def megapixels(self) -> float:
        """Of all photos whose size is known."""
        return sum(prospect.megapixels for prospect in self.todo)

    @cached_property
    def n_unknown(self) -> int:
        """How many photos do not tell their size; the sums are without them."""
        return sum(prospect.header is None for prospect in self.todo)

    @cached_property
    def n_bytes(self) -> int:
        """Disk space that the outputs will take, roughly."""
        return sum(prospect.n_bytes for prospect in self.todo)

    @property
    def seconds(self) -> float | None:
        """For all photos, roughly; None if it was not tried out."""
        each = self.seconds_per_megapixel
        return None if each is None else each * self.megapixels

    @property
    def fits(self) -> bool:
        """Whether there is room for the outputs, as far as can be told."""
        return self.free_bytes is None or self.n_bytes <= self.free_bytes

    def to_json(self) -> dict[str, object]:
        """The event as one JSON object."""
        return stamped(
            self.event,
            {
                "photos": len(self.prospects),
                "to_do": len(self.todo),
                "of_unknown_size": self.n_unknown,
                "megapixels": round(self.megapixels, 4),
                "seconds": None if self.seconds is None else round(self.seconds, 3),
                "bytes": self.n_bytes,
                "free_bytes": self.free_bytes,
            },
        )


def standing(item: Item) -> Settled | None:
    """Why an item needs no work where there is no journal to ask."""
    return PhotoSkipped(item, SkipReason.EXISTS) if item.is_skipped else None


def estimate(
    plan: Plan,
    treatment: Treatment,
    *,
    settled: Callable[[Item], Settled | None] = standing,
    seconds_per_megapixel: float | None = None,
) -> Estimate:
    """Look at the head of every photo, and reckon what its restoration would take.

    settled: says why an item needs no work. seconds_per_megapixel: as `try_speed` finds it. Nothing
    is written.
    """

    def prospect(item: Item) -> Prospect:
        header = None if item.source is None else header_of(item.source)
        pixels = _pixels(header, treatment)
        n_bytes = _output_bytes(item, header, treatment) + _more_bytes(item, pixels, treatment)
        return Prospect(item, header, pixels / 1e6, round(n_bytes), settled(item))

    with ThreadPoolExecutor(READERS) as readers:
        prospects = tuple(readers.map(prospect, plan.items))
    place = _place(plan)
    return Estimate(prospects, place, _free_bytes(place), seconds_per_megapixel)


def _pixels(header: Header | None, treatment: Treatment) -> int:
    """How many are computed; 0 if that is not known."""
    if treatment.area is not None:
        return treatment.area[2] * treatment.area[3]
    return 0 if header is None else header.width * header.height


def _output_bytes(item: Item, header: Header | None, treatment: Treatment) -> float:
    if item.is_in_place and item.backup_output is None:
        return 0  # it takes the room of the photo
    n_source_bytes = _size_of(item)
    if header is None:
        return n_source_bytes
    pixels = _pixels(header, treatment)
    target = treatment.target or WRITTEN_AS.get(header.format)
    if target is not None and not _stays(header, target):
        return pixels * header.channels * BYTES_PER_VALUE[target]
    if header.format == "jpeg2000":
        return pixels * header.channels * header.bits / 8 * JPEG2000_SHARE
    return n_source_bytes * pixels / (header.width * header.height)


def _stays(header: Header, target: Target) -> bool:
    """Whether a photo keeps its format and depth, and so about its size."""
    bits = 8 * np.dtype(DTYPES.get(target, "uint8")).itemsize
    is_as_deep = header.format == "avif" or header.bits == bits
    return header.format == FORMATS.get(target, target) and is_as_deep


def _more_bytes(item: Item, pixels: int, treatment: Treatment) -> float:
    """Of the map and the comparison."""
    n_bytes = 0.0
    if item.map_output is not None:
        of_map = pixels
        if treatment.map_format == "color":
            of_map = min(pixels, LARGEST_COLOURED_PIXELS)
        n_bytes += of_map * MAP_BYTES_PER_PIXEL[treatment.map_format]
    if item.comparison_output is not None:
        is_page = treatment.comparison == "html"
        n_bytes += pixels * (PAGE_BYTES_PER_PIXEL if is_page else SIDE_BY_SIDE_BYTES_PER_PIXEL)
    return n_bytes


def _size_of(item: Item) -> int:
    try:
        return 0 if item.source is None else item.source.stat().st_size
    except OSError:
        return 0


def _place(plan: Plan) -> Path:
    if plan.home is not None:
        return plan.home
    outputs = (item.output.parent for item in plan.items if item.output is not None)
    return next(outputs, Path())


def _free_bytes(place: Path) -> int | None:
    """On the disk where a folder is, or will be."""
    place = place.absolute()
    for folder in (place, *place.parents):
        try:
            return shutil.disk_usage(folder).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None
