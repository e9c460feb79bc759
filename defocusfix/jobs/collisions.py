"""Outputs that would be one file, whatever the case of their names, told before any work."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from defocusfix.errors import OutputError
from defocusfix.jobs.gathering import Source
from defocusfix.jobs.places import RealFolders
from defocusfix.jobs.plan import Item

MOST_EXAMPLES = 3  # of names in one message
OWN_PLACE = "\0"  # ahead of the place of a photo that is restored in place

Build = Callable[[Source, bool], Item]
"""Names the outputs of a photo; told whether after its whole name, or without the suffix."""
_Writers = dict[str, tuple[Path, list[int]]]
"""By the identity of an output: its name, and the positions of the items that write it."""


def told_apart(sources: Sequence[Source], build: Build) -> tuple[list[Item], tuple[str, ...]]:
    """Items with outputs of their own, and warnings about those that needed longer names.

    Where outputs of several photos would be one file, as of IMG.heic and IMG.jpg, all of these go
    by their whole names. Raises OutputError if that is not enough, or an output is a photo to be
    read.
    """
    real_folders = RealFolders()
    items = [build(source, False) for source in sources]
    longer: set[int] = set()
    while True:
        writers = _writers(items, real_folders)
        groups = {path: group for path, group in writers.values() if len(group) > 1}
        short = {n for group in groups.values() for n in group} - longer
        if not short:
            break
        for n in short:
            items[n] = build(sources[n], True)
        longer |= short
    _refuse(items, groups)
    _refuse_written_over(sources, writers, real_folders)
    return items, _warnings([items[n] for n in sorted(longer)])


def _writers(items: Sequence[Item], real_folders: RealFolders) -> _Writers:
    writers: dict[str, tuple[Path, list[int]]] = {}
    for n, item in enumerate(items):
        for path in item.outputs:
            if item.replaces and path is item.output:
                # Two photos with names that differ in case only are two files already.
                identity = OWN_PLACE + real_folders.place(path)
            else:
                identity = real_folders.identity(path)
            writers.setdefault(identity, (path, []))[1].append(n)
    return writers


def _refuse(items: Sequence[Item], groups: dict[Path, list[int]]) -> None:
    if not groups:
        return
    for numbers in groups.values():
        if len(set(numbers)) < len(numbers):
            raise OutputError(
                f"the photo and its map would both be written to {items[numbers[0]].output}"
            )
    told = []
    for path, numbers in groups.items():
        how_many = "both" if len(numbers) == 2 else "all"
        names = _listed([items[n].name for n in numbers])
        told.append(f"{names} would {how_many} be written to {path}")
    others = f"and {len(told) - MOST_EXAMPLES} more such files" if len(told) > MOST_EXAMPLES else ""
    raise OutputError(
        told[0],
        why="\n".join([*told[1:MOST_EXAMPLES], others]).strip(),
        fix="rename one of them, or do them one by one, each with its own -o",
    )


def _refuse_written_over(
    sources: Sequence[Source], writers: _Writers, real_folders: RealFolders
) -> None:
    for source in sources:
        if source.path is None:
            continue
        places = [source.path]
        if source.is_link:
            places.append(Path(os.path.realpath(source.path)))
        for place in places:
            if (found := writers.get(real_folders.identity(place))) is not None:
                raise OutputError(
                    f"{found[0]} is itself one of the photos to be read",
                    fix="choose another name with -o; photos are never written over",
                )


def _warnings(renamed: Sequence[Item]) -> tuple[str, ...]:
    if not renamed:
        return ()
    names = _listed([item.key for item in renamed])
    example = next((item.outputs[0].name for item in renamed if item.outputs), "")
    return (
        f"{names} would share names with each other once restored, so theirs say what they come "
        f"from, as in {example}",
    )


def _listed(names: Sequence[str]) -> str:
    if len(names) > MOST_EXAMPLES + 1:
        return f"{', '.join(names[:MOST_EXAMPLES])} and {len(names) - MOST_EXAMPLES} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
