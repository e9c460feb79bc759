"""From the items of a plan to bytes and back: files, standard input and standard output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from defocusfix.errors import OutputError
from defocusfix.jobs.plan import Item
from defocusfix.photo.limits import Limits
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo


@dataclass(frozen=True, slots=True)
class Streams:
    """Standard input and output, which only the command line may touch."""

    read: Callable[[], bytes]
    """All of standard input."""
    write: Callable[[bytes], None]
    """To standard output."""


def read_item(item: Item, limits: Limits, streams: Streams) -> Photo:
    """The photo of an item. Raises InputError if it cannot be read."""
    if item.source is None:
        return read_photo(streams.read(), limits=limits, name=item.name)
    return read_photo(item.source, limits=limits)


def make_folder(folder: Path) -> None:
    """Make a folder and those around it. Raises OutputError if that is refused."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"the folder {folder} cannot be made", why=reason) from error
