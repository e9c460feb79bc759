"""What becomes of outputs that are there already, decided before any work."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from defocusfix.errors import OutputError
from defocusfix.jobs.own_outputs import numbered
from defocusfix.jobs.places import Presence, RealFolders
from defocusfix.jobs.plan import Item, OnExists


def settled(
    items: Sequence[Item], on_exists: OnExists, known: Collection[Path], *, has_journal: bool
) -> tuple[Item, ...]:
    """The items, with outputs that exist dealt with.

    known: outputs that exist by right, as a journal says. has_journal: whether it will be asked
    about each photo in turn, so that nothing is skipped or renamed here. Raises OutputError if
    others exist and `on_exists` is ERROR.
    """
    if on_exists is OnExists.OVERWRITE or (has_journal and on_exists is not OnExists.ERROR):
        return tuple(items)
    presence = Presence(path for item in items for path in _new_files(item))
    if on_exists is OnExists.ERROR:
        _refuse_present(items, presence, known)
        return tuple(items)
    if on_exists is OnExists.SKIP:
        return tuple(_without_what_exists(item, presence) for item in items)
    return _renamed(items, presence)


def _renamed(items: Sequence[Item], presence: Presence) -> tuple[Item, ...]:
    real_folders = RealFolders()
    taken = {real_folders.identity(path) for item in items for path in item.outputs}

    def free(path: Path | None) -> Path | None:
        """`path`, or the first of `name-2.ext`, `name-3.ext`, ... that nothing has."""
        if path is None or not presence.has(path):
            return path
        number = 2
        while True:
            candidate = path.with_name(numbered(path, number))
            identity = real_folders.identity(candidate)
            if identity not in taken and not presence.has(candidate):
                taken.add(identity)
                return candidate
            number += 1

    return tuple(
        replace(
            item,
            output=item.output if item.replaces else free(item.output),
            map_output=free(item.map_output),
            comparison_output=free(item.comparison_output),
        )
        for item in items
    )


def _new_files(item: Item) -> tuple[Path, ...]:
    """The outputs that may meet a file of somebody else; backups have free names already."""
    output = None if item.replaces else item.output
    paths = (output, item.map_output, item.comparison_output)
    return tuple(path for path in paths if path is not None)


def _refuse_present(items: Sequence[Item], presence: Presence, known: Collection[Path]) -> None:
    present = [path for item in items for path in _new_files(item) if presence.has(path)]
    if known:
        real_folders = RealFolders()
        ours = {real_folders.identity(path) for path in known}
        present = [path for path in present if real_folders.identity(path) not in ours]
    if present:
        others = f", and so do {len(present) - 1} more of the outputs" if len(present) > 1 else ""
        raise OutputError(
            f"{present[0]} exists already{others}",
            why="nothing has been done yet, so nothing is lost",
            fix="--on-exists skip, overwrite or rename; or another place with -o",
        )


def _without_what_exists(item: Item, presence: Presence) -> Item:
    """The item, skipped if its output is there; else without those of its other files that are."""

    def missing(path: Path | None) -> Path | None:
        return None if path is None or presence.has(path) else path

    if item.output is not None and not item.replaces and presence.has(item.output):
        return replace(item, is_skipped=True)
    return replace(
        item,
        map_output=missing(item.map_output),
        comparison_output=missing(item.comparison_output),
    )
