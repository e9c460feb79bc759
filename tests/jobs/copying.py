"""A run over a folder whose work is to copy files, so that only the order of things is tried.

As a program: copy the files of one folder to another, and note in a log who saved which.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from defocusfix.errors import InputError
from defocusfix.jobs.bookkeeping import Bookkeeping
from defocusfix.jobs.events import Finished, Method
from defocusfix.jobs.files import make_folder
from defocusfix.jobs.plan import Item, OnExists, Plan
from defocusfix.jobs.run import Computed, Saved, run_plan
from defocusfix.photo.coding import PngCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.safe_write import safe_write

SETTINGS = "5e77"
BROKEN = b"broken"
MARK = b"restored "


class Copying:
    """Work that saves a photo's bytes with a mark before them; those of BROKEN cannot be read."""

    program = "test 1.0"

    def __init__(
        self, on: dict[str, Callable[[Item], None]] | None = None, mark: bytes = MARK
    ) -> None:
        self.on = on or {}
        """Called at a step of an item: read, compute, map, save, saved."""
        self.saved: list[str] = []
        self._mark = mark
        self._data: dict[str, bytes] = {}

    def _step(self, name: str, item: Item) -> None:
        self.on.get(name, lambda item: None)(item)

    def warm_up(self, item):
        pass

    def read(self, item):
        self._step("read", item)
        try:
            self._data[item.key] = item.source.read_bytes()
        except OSError as error:
            raise InputError(f"{item.source} cannot be read") from error
        if self._data[item.key].startswith(BROKEN):
            raise InputError(f"{item.source} cannot be read", why="damaged")
        return Photo(np.zeros((1, 1, 1), np.uint8), PngCoding())

    def method(self, photo):
        return Method("model", "engine", "cpu", "fp32", 8)

    def megapixels(self, photo):
        return photo.megapixels

    def compute(self, item, photo, report):
        data = self._data.pop(item.key)
        self._step("compute", item)
        report(0.5)
        report(0.5)

        def save():
            make_folder(item.output.parent)
            if item.map_output is not None:
                safe_write(item.map_output, b"map of " + data, may_overwrite=item.replaces)
                self._step("map", item)
            self._step("save", item)
            safe_write(item.output, self._mark + data, may_overwrite=item.replaces)
            self.saved.append(item.key)
            self._step("saved", item)
            return Saved(warnings=("pale",))

        return Computed(None, {}, (), save)


def restored(data: bytes) -> bytes:
    """What becomes of the bytes of a photo."""
    return MARK + data


def plan_of(folder: Path, home: Path, *, with_map: bool = False, in_place: bool = False) -> Plan:
    """All files of a folder, to be copied to another one or onto themselves."""
    items = []
    for source in sorted(file for file in folder.rglob("*.jpg") if ".defocusfix" not in file.parts):
        key = source.relative_to(folder).as_posix()
        output = source if in_place else home / key
        map_output = home / f"{key}.map" if with_map else None
        items.append(Item(source, output, map_output, key=key, replaces=in_place))
    return Plan(tuple(items), OnExists.SKIP, home)


def books_of(home: Path, **wishes) -> Bookkeeping:
    """The books of a run."""
    return Bookkeeping(home, **({"settings": SETTINGS, "model_sha256": "ab"} | wishes))


def copy_all(
    folder: Path, home: Path, work: Copying | None = None, *, with_map=False, in_place=False, **more
) -> tuple[Finished, Copying, list]:
    """One run: how it ended, its work and its events. `more` are wishes for the books."""
    work, events = work or Copying(), []
    plan = plan_of(folder, home, with_map=with_map, in_place=in_place)
    with books_of(home, **more) as books:
        finished = run_plan(plan, work, events.append, books=books)
    return finished, work, events


def counts(finished: Finished) -> tuple[int, int, int]:
    """How many were done, skipped and failed."""
    return finished.n_done, finished.n_skipped, len(finished.failed)


def main() -> None:
    """FOLDER HOME LOG PAUSE: copy, with a pause in seconds at every step."""
    folder, home, log = map(Path, sys.argv[1:4])
    pause = float(sys.argv[4])
    work = Copying({step: lambda item: time.sleep(pause) for step in ("compute", "save")})

    def note(item: Item) -> None:
        with log.open("a") as lines:
            lines.write(f"{item.key}\n")
        time.sleep(pause)

    work.on["saved"] = note
    finished, _, _ = copy_all(folder, home, work)
    sys.stdout.write(" ".join(map(str, (*counts(finished), finished.n_claimed))))


if __name__ == "__main__":
    main()
