"""How the two photos of a pair lie over each other and how blurred one is: measured once.

What was measured is kept as small files, found by the content of the photos: those that were moved,
renamed or copied are known again, those that were edited are not. So what a check of the pairs has
found out, training need not.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from defocusfix.errors import InputError, OutputError
from defocusfix.pairs.blur import PairBlur, measure_blur
from defocusfix.pairs.find import PairFiles
from defocusfix.pairs.geometry import PairGeometry, find_geometry, geometry_from_json
from defocusfix.pairs.remainder import Remainder, find_remainder, remainder_from_json
from defocusfix.photo.pixels import Pixels

FORMAT: Final = 1  # of what is kept; raised whenever it would come out differently
HASHES_IN_MEMORY: Final = 4096

Read = Callable[[], tuple[Pixels, Pixels]]
"""Gives both photos of a pair, blurred and sharp, whole; called only where they are needed."""


@dataclass(frozen=True, slots=True)
class MeasuredBlur:
    """The blur of a pair, and of what photos."""

    blur: PairBlur
    size: tuple[int, int]
    """(height, width) of the whole photos."""


class PairMeasures:
    """Geometry and blur of pairs, and so on, each worked out the first time it is asked for."""

    def __init__(self, folder: Path | None) -> None:
        """folder: where they are kept, some hundred kilobytes per pair; None keeps nothing."""
        self._folder = folder

    def geometry(self, files: PairFiles, read: Read) -> PairGeometry:
        """How the whole photos lie over each other.

        Raises InputError if a file is gone, OutputError if nothing can be kept, and what `read`
        raises.
        """
        found = self._known(files, "geometry", lambda: find_geometry(*read()).to_json())
        return geometry_from_json(found)

    def blur(self, files: PairFiles, read: Read) -> MeasuredBlur:
        """How blurred the blurred photo is. Raises as `geometry` does."""

        def measured() -> dict[str, Any]:
            blurred, sharp = read()
            geometry = self.geometry(files, lambda: (blurred, sharp))
            found = measure_blur(blurred, sharp, geometry)
            return {"blur": asdict(found), "size": [int(side) for side in blurred.shape[:2]]}

        found = self._known(files, "blur", measured)
        height, width = found["size"]
        return MeasuredBlur(PairBlur(**found["blur"]), (height, width))

    def remainder(self, files: PairFiles, read: Read) -> Remainder:
        """What the geometry leaves between the whole photos. Raises as `geometry` does."""

        def measured() -> dict[str, Any]:
            photos = read()
            geometry = self.geometry(files, lambda: photos)
            return find_remainder(
                *photos, geometry, self.blur(files, lambda: photos).blur
            ).to_json()

        return remainder_from_json(self._known(files, "remainder", measured))

    def _known(
        self, files: PairFiles, kind: str, measured: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        if self._folder is None:
            return measured()
        hashes = [_content_hash(path) for path in (files.blurred, files.all_in_focus)]
        name = hashlib.sha256(repr((FORMAT, *hashes)).encode()).hexdigest()[:24]
        path = self._folder / f"{name}-{kind}.json"
        if path.is_file():
            content: dict[str, Any] = json.loads(path.read_text("utf-8"))
            return content
        found = measured()
        keep(path, lambda part: part.write_text(json.dumps(found), "utf-8"))
        return found


def keep(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written whole or not at all, whoever else writes the same.

    write: is given the path to write to. Raises OutputError.
    """
    part = path.with_name(f"{path.stem}.{os.getpid()}-{threading.get_ident()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        part.replace(path)
    except OSError as error:
        if part.is_file():
            part.unlink()
        raise OutputError(
            f"what is known of the pairs cannot be kept in {path.parent}",
            why=(error.strerror or str(error)).lower(),
            fix="choose a folder on a disk with more room, or a larger scale",
        ) from error


def unchanged_file(path: Path) -> tuple[str, int, int]:
    """What stays the same as long as a file does: its place, size and time. Raises InputError."""
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read", why=str(error.strerror)) from error
    return str(path.resolve()), status.st_size, status.st_mtime_ns


def _content_hash(path: Path) -> str:
    return _hash_of(*unchanged_file(path))


@lru_cache(maxsize=HASHES_IN_MEMORY)
def _hash_of(path: str, size: int, changed_ns: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
