"""What goes where, settled completely before the first pixel is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from defocusfix.errors import InputError, OutputError, UsageError


class OnExists(Enum):
    """What to do about an output that is there already."""

    ERROR = "error"
    SKIP = "skip"
    OVERWRITE = "overwrite"
    RENAME = "rename"


@dataclass(frozen=True, slots=True)
class Item:
    """One photo of a plan."""

    source: Path
    output: Path
    map_output: Path | None = None
    """Where the defocus map goes; None for no map."""
    is_skipped: bool = False
    """Whether the output is there already and stays."""

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Every file this item writes."""
        return (self.output,) if self.map_output is None else (self.output, self.map_output)


@dataclass(frozen=True, slots=True)
class Plan:
    """All photos of one command. No two items write one file, and none writes over an input."""

    items: tuple[Item, ...]
    on_exists: OnExists

    @property
    def todo(self) -> tuple[Item, ...]:
        """The items that are not skipped."""
        return tuple(item for item in self.items if not item.is_skipped)


def make_plan(
    sources: Sequence[Path],
    *,
    output: Path | None = None,
    is_folder: bool = False,
    with_map: bool = False,
    map_output: Path | None = None,
    on_exists: OnExists = OnExists.ERROR,
) -> Plan:
    """Name the outputs of every photo.

    sources: photos, in order; whether they can be read shows later. output: a file for a single
    photo, or a folder; None for `{stem}_restored{ext}` beside each photo. is_folder: whether
    `output` is a folder though it is not there yet. with_map: also plan a defocus map, named
    `{stem}_defocus.png`, or `map_output` for a single photo.

    Raises InputError for a folder as source, UsageError for contradictions, OutputError if an
    output is an input, two photos would have the same output, or one exists and `on_exists` is
    ERROR.
    """
    if not sources:
        raise InputError("no photo was named")
    for source in sources:
        if source.is_dir():
            raise InputError(f"{source} is a folder", fix=f"name the photos in it: {source}/*.jpg")
    is_folder = is_folder or (output is not None and output.is_dir())
    if len(sources) > 1 and output is not None and not is_folder:
        if output.suffix or output.exists():
            raise UsageError(
                f"{len(sources)} photos cannot all be written to {output}",
                fix="name a folder with -o, or leave -o out",
            )
        is_folder = True
    if len(sources) > 1 and map_output is not None:
        raise UsageError(
            f"{len(sources)} maps cannot all be written to {map_output}", fix="use --map instead"
        )

    items = [
        _item(source, output, is_folder=is_folder, with_map=with_map, map_output=map_output)
        for source in sources
    ]
    _refuse_collisions(items)
    return Plan(_settled(items, on_exists), on_exists)


def _item(
    source: Path,
    output: Path | None,
    *,
    is_folder: bool,
    with_map: bool,
    map_output: Path | None,
) -> Item:
    folder = output if output is not None and is_folder else source.parent
    own_name = folder / f"{source.stem}_restored{source.suffix}"
    restored = own_name if output is None or is_folder else output
    if map_output is None and with_map:
        map_output = restored.with_name(f"{source.stem}_defocus.png")
    return Item(source, restored, map_output)


def _refuse_collisions(items: Sequence[Item]) -> None:
    sources = {_identity(item.source) for item in items}
    writers: dict[str, Item] = {}
    for item in items:
        for path in item.outputs:
            if _identity(path) in sources:
                raise OutputError(
                    f"{path} is itself one of the photos to be restored",
                    fix="choose another name with -o; photos are never written over",
                )
            other = writers.setdefault(_identity(path), item)
            if other is not item:
                raise OutputError(
                    f"{other.source} and {item.source} would both be written to {path}",
                    fix="restore them one by one, each with its own -o",
                )
        if len({_identity(path) for path in item.outputs}) < len(item.outputs):
            raise OutputError(f"the photo and its map would both be written to {item.output}")


def _settled(items: Sequence[Item], on_exists: OnExists) -> tuple[Item, ...]:
    """The items with outputs that exist already dealt with."""
    present = [path for item in items for path in item.outputs if os.path.lexists(path)]
    if on_exists is OnExists.ERROR and present:
        others = f", and so do {len(present) - 1} more of the outputs" if len(present) > 1 else ""
        raise OutputError(
            f"{present[0]} exists already{others}",
            why="nothing has been restored, so nothing is lost",
            fix="--on-exists skip, overwrite or rename; or another place with -o",
        )
    if on_exists is OnExists.SKIP:
        return tuple(replace(item, is_skipped=os.path.lexists(item.output)) for item in items)
    if on_exists is OnExists.RENAME:
        taken = {_identity(path) for item in items for path in item.outputs}
        return tuple(_renamed(item, taken) for item in items)
    return tuple(items)


def _renamed(item: Item, taken: set[str]) -> Item:
    map_output = item.map_output
    return replace(
        item,
        output=_free(item.output, taken),
        map_output=None if map_output is None else _free(map_output, taken),
    )


def _free(path: Path, taken: set[str]) -> Path:
    """`path`, or the first of `name-2.ext`, `name-3.ext`, ... that nothing has."""
    number = 1
    candidate = path
    while os.path.lexists(candidate) or (number > 1 and _identity(candidate) in taken):
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    taken.add(_identity(candidate))
    return candidate


def _identity(path: Path) -> str:
    """Equal for two paths that name one file, as far as can be told without the file."""
    return os.path.normcase(path.resolve())
