"""Carry out a plan, one photo after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from defocusfix.errors import DefocusfixError, InputError, OutputError, UsageError
from defocusfix.jobs.plan import Item, OnExists, Plan
from defocusfix.photo.photo import Photo, PngCoding
from defocusfix.photo.read import read_photo
from defocusfix.photo.write import SUFFIXES, write_photo
from defocusfix.restoration.defocus_map import DefocusMap
from defocusfix.restoration.restorer import Restoration, Restorer

Report = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Done:
    """One photo that has been restored and saved."""

    item: Item
    photo: Photo
    """As it was read."""
    restoration: Restoration
    seconds: float
    """From file to file."""


@dataclass(frozen=True, slots=True)
class Failed:
    """One photo that could not be restored or saved."""

    item: Item
    error: DefocusfixError


def run_plan(
    plan: Plan, restorer: Restorer, report: Callable[[Photo], Report] | None = None
) -> Iterator[Done | Failed]:
    """Restore the photos of a plan and yield what became of each, in order.

    report: given every photo once it is read; what it returns is told the share of the work after
    every tile. A photo that cannot be read or written is yielded as Failed and the next one is
    done; other errors end the run, UsageError if maps are wanted of a network that gives none.
    """
    if any(item.map_output for item in plan.todo) and "radius_px" not in restorer.spec.outputs:
        raise UsageError(
            f"the model {restorer.spec.name} gives no defocus map", fix="leave --map out"
        )
    for item in plan.todo:
        try:
            yield _restore_item(item, restorer, plan.on_exists, report)
        except (InputError, OutputError) as error:
            yield Failed(item, error)


def _restore_item(
    item: Item,
    restorer: Restorer,
    on_exists: OnExists,
    report: Callable[[Photo], Report] | None,
) -> Done:
    start = time.perf_counter()
    photo = read_photo(item.source)
    _check_suffix(item, photo)
    image = photo.to_float()
    restoration = restorer(image, report=None if report is None else report(photo))
    restored = photo.changed_by(restoration.image - image)
    may_overwrite = on_exists is OnExists.OVERWRITE
    if item.map_output is not None and restoration.defocus_map is not None:
        _make_folder(item.map_output.parent)
        picture = _map_picture(restoration.defocus_map)
        write_photo(picture, item.map_output, may_overwrite=may_overwrite)
    _make_folder(item.output.parent)
    write_photo(restored, item.output, may_overwrite=may_overwrite)
    return Done(item, photo, restoration, time.perf_counter() - start)


def _check_suffix(item: Item, photo: Photo) -> None:
    """Refuse an output name that belongs to another format than the photo is in."""
    suffixes = SUFFIXES[photo.format]
    if item.output.suffix.lower() not in suffixes:
        raise OutputError(
            f"{item.source.name} is a {photo.format.upper()} photo and cannot be saved as "
            f"{item.output.name}",
            why="a restored photo keeps its format, whatever it is called",
            fix=f"name an output that ends in {suffixes[0]} with -o",
        )


def _map_picture(defocus_map: DefocusMap) -> Photo:
    """The map as a 16-bit gray picture; the scale is that of `DefocusMap.to_uint16`."""
    return Photo(pixels=defocus_map.to_uint16()[:, :, None], coding=PngCoding())


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"the folder {folder} cannot be made", why=reason) from error
