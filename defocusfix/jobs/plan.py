"""What goes where, settled completely before the first pixel is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from defocusfix.errors import InputError, OutputError, UsageError
from defocusfix.jobs.treatment import MAP_SUFFIXES

ALL_MAP_SUFFIXES = frozenset(suffix for suffixes in MAP_SUFFIXES.values() for suffix in suffixes)


class OnExists(Enum):
    """What to do about an output that is there already."""

    ERROR = "error"
    SKIP = "skip"
    OVERWRITE = "overwrite"
    RENAME = "rename"


@dataclass(frozen=True, slots=True)
class Item:
    """One photo of a plan."""

    source: Path | None
    """None for standard input."""
    output: Path | None
    """What the command is for, the restored photo or the map; None for standard output."""
    map_output: Path | None = None
    """Where a defocus map goes besides; None for no map."""
    comparison_output: Path | None = None
    """Where a picture or page of before and after goes; None for none."""
    is_skipped: bool = False
    """Whether the output is there already and stays."""

    @property
    def name(self) -> str:
        """What the user calls the photo."""
        return "standard input" if self.source is None else str(self.source)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Every file this item writes."""
        paths = (self.output, self.map_output, self.comparison_output)
        return tuple(path for path in paths if path is not None)


@dataclass(frozen=True, slots=True)
class Plan:
    """All photos of one command. No two items write one file, and none writes over an input."""

    items: tuple[Item, ...]
    on_exists: OnExists

    @property
    def todo(self) -> tuple[Item, ...]:
        """The items that are not skipped."""
        return tuple(item for item in self.items if not item.is_skipped)


def keep_suffix(source: Path) -> str:
    """The suffix of a photo that keeps its format."""
    return source.suffix


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What the outputs of a command are called where the user did not name them."""

    ending: str = "_restored"
    """Between the stem of a photo's name and the suffix."""
    suffix_of: Callable[[Path], str] = keep_suffix
    """The suffix of the output, from the path of a photo."""
    map_suffix: str | None = None
    """Suffix of a map `{stem}_defocus`; None for no map."""
    map_output: Path | None = None
    """The map's own name, for a single photo."""
    comparison_suffix: str | None = None
    """Suffix of a before and after `{stem}_compare`; None for none."""


def make_plan(
    sources: Sequence[Path | None],
    *,
    naming: Naming | None = None,
    output: Path | None = None,
    is_folder: bool = False,
    to_stdout: bool = False,
    on_exists: OnExists = OnExists.ERROR,
) -> Plan:
    """Name the outputs of every photo.

    sources: photos, in order, None for standard input; whether they can be read shows later.
    output: a file for a single photo, or a folder; None for a place beside each photo, and for
    standard input standard output. is_folder: whether `output` is a folder though it is not there
    yet. to_stdout: a single photo goes to standard output.

    Raises InputError for a folder or a missing file as source, UsageError for contradictions,
    OutputError if an output is an input, two photos would have the same output, or one exists and
    `on_exists` is ERROR.
    """
    naming = naming or Naming()
    _check_sources(sources, naming)
    is_folder = is_folder or (output is not None and output.is_dir())
    if len(sources) > 1:
        if to_stdout:
            raise UsageError(
                f"{len(sources)} photos cannot all be written to standard output",
                fix="name a folder with -o",
            )
        if output is not None and not is_folder:
            if output.suffix or output.exists():
                raise UsageError(
                    f"{len(sources)} photos cannot all be written to {output}",
                    fix="name a folder with -o, or leave -o out",
                )
            is_folder = True
        if naming.map_output is not None:
            raise UsageError(
                f"{len(sources)} maps cannot all be written to {naming.map_output}",
                fix="use --map without a name",
            )
    folder = output if is_folder else None
    file = None if is_folder else output
    items = [_item(source, folder, file, naming, to_stdout=to_stdout) for source in sources]
    _refuse_collisions(items)
    return Plan(_settled(items, on_exists), on_exists)


def _check_sources(sources: Sequence[Path | None], naming: Naming) -> None:
    if not sources:
        raise InputError("no photo was named")
    if sources.count(None) > 1:
        raise UsageError("standard input holds one photo, and - was named more than once")
    for source in sources:
        if source is not None and source.is_dir():
            raise InputError(f"{source} is a folder", fix=f"name the photos in it: {source}/*.jpg")
    for source in sources:
        # "--map FILE" reads as a map and one photo more.
        if source is None or not naming.map_suffix or source.suffix.lower() not in ALL_MAP_SUFFIXES:
            continue
        if not os.path.lexists(source):
            raise InputError(
                f"there is no photo {source}", fix=f"if that is to be the map: --map={source}"
            )


def _item(
    source: Path | None, folder: Path | None, file: Path | None, naming: Naming, *, to_stdout: bool
) -> Item:
    output = None if to_stdout else _output(source, folder, file, naming)
    map_output = naming.map_output
    if map_output is None and naming.map_suffix is not None:
        map_output = _beside(source, output, f"_defocus{naming.map_suffix}", "--map=FILE")
    comparison_output = None
    if naming.comparison_suffix is not None:
        ending = f"_compare{naming.comparison_suffix}"
        comparison_output = _beside(source, output, ending, "-o FILE")
    return Item(source, output, map_output, comparison_output)


def _output(
    source: Path | None, folder: Path | None, file: Path | None, naming: Naming
) -> Path | None:
    """Where the output goes; None for standard output."""
    if file is not None:
        return file
    if source is not None:
        name = f"{source.stem}{naming.ending}{naming.suffix_of(source)}"
        return (folder or source.parent) / name
    if folder is not None:
        raise UsageError(
            "a photo from standard input has no name", fix=f"name a file: -o {folder}/photo.jpg"
        )
    return None


def _beside(source: Path | None, output: Path | None, ending: str, option: str) -> Path:
    """A file beside the output, or beside the photo where the output has no place."""
    place = output or source
    if place is None:
        raise UsageError(
            "a photo from standard input to standard output has no place for other files",
            fix=f"name one: {option}",
        )
    return place.with_name((source or place).stem + ending)


def _refuse_collisions(items: Sequence[Item]) -> None:
    sources = {_identity(item.source) for item in items if item.source is not None}
    writers: dict[str, Item] = {}
    for item in items:
        for path in item.outputs:
            if _identity(path) in sources:
                raise OutputError(
                    f"{path} is itself one of the photos to be read",
                    fix="choose another name with -o; photos are never written over",
                )
            other = writers.setdefault(_identity(path), item)
            if other is not item:
                raise OutputError(
                    f"{other.name} and {item.name} would both be written to {path}",
                    fix="do them one by one, each with its own -o",
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
            why="nothing has been done yet, so nothing is lost",
            fix="--on-exists skip, overwrite or rename; or another place with -o",
        )
    if on_exists is OnExists.SKIP:
        return tuple(_without_what_exists(item) for item in items)
    if on_exists is OnExists.RENAME:
        taken = {_identity(path) for item in items for path in item.outputs}
        return tuple(
            replace(
                item,
                output=_free(item.output, taken),
                map_output=_free(item.map_output, taken),
                comparison_output=_free(item.comparison_output, taken),
            )
            for item in items
        )
    return tuple(items)


def _without_what_exists(item: Item) -> Item:
    """The item, skipped if its output is there; else without those of its other files that are."""

    def missing(path: Path | None) -> Path | None:
        return None if path is None or os.path.lexists(path) else path

    if item.output is not None and os.path.lexists(item.output):
        return replace(item, is_skipped=True)
    return replace(
        item,
        map_output=missing(item.map_output),
        comparison_output=missing(item.comparison_output),
    )


def _free(path: Path | None, taken: set[str]) -> Path | None:
    """`path`, or the first of `name-2.ext`, `name-3.ext`, ... that nothing has."""
    if path is None:
        return None
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
