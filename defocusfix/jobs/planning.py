"""How a plan is made: photos found, outputs named, and every conflict told before any work."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from defocusfix.errors import InputError, UsageError
from defocusfix.jobs.collisions import told_apart
from defocusfix.jobs.existing import settled
from defocusfix.jobs.folders import (
    PHOTO_SUFFIXES,
    FolderChoice,
    LeftOut,
    OutputsOf,
    no_outputs,
)
from defocusfix.jobs.gathering import Gathered, Source, distinct_folders, gather
from defocusfix.jobs.own_outputs import COMPARE, DEFOCUS, ORIGINAL, numbered
from defocusfix.jobs.places import Presence, RealFolders
from defocusfix.jobs.plan import Item, Naming, OnExists, Plan
from defocusfix.jobs.treatment import MAP_SUFFIXES
from defocusfix.photo.suffixes import SUFFIXES

ALL_MAP_SUFFIXES = frozenset(suffix for suffixes in MAP_SUFFIXES.values() for suffix in suffixes)


@dataclass(frozen=True, slots=True)
class InPlace:
    """The wish that restored photos take the place of those that were named."""

    keeps_backup: bool = True
    """Whether a photo as it was stays beside, as `{stem}.orig`."""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where outputs go; everything None for a place beside each photo."""

    folder: Path | None = None
    file: Path | None = None
    is_stdout: bool = False
    is_in_place: bool = False
    backups: Mapping[Path, Path] = field(default_factory=dict)
    """Where photos stay as they were that are restored in place."""


def home_of(sources: Sequence[Path | None], *, output: Path | None = None) -> Path | None:
    """The folder that keeps the journal of a command that names these sources and this output.

    It is the output folder or, without one, the only folder that was named. None if no folder was
    named. Raises UsageError for several folders without an output.
    """
    folders = distinct_folders(sources)
    if output is not None or len(folders) < 2:
        return (output or folders[0]) if folders else None
    raise UsageError(
        f"{len(folders)} folders were named, and none for what becomes of them",
        fix="name one with -o, or do the folders one by one",
    )


def make_plan(
    sources: Sequence[Path | None],
    *,
    naming: Naming | None = None,
    output: Path | None = None,
    is_folder: bool = False,
    to_stdout: bool = False,
    in_place: InPlace | None = None,
    on_exists: OnExists | None = None,
    choice: FolderChoice | None = None,
    outputs_of: OutputsOf = no_outputs,
) -> Plan:
    """Name the outputs of every photo.

    sources: photos and folders of photos, in order, None for standard input; whether they can be
    read shows later. output: a file for a single photo, or a folder, in which the outputs lie as
    the photos do in theirs; None for a place beside each photo, and for standard input standard
    output. is_folder: whether `output` is a folder though it is not there yet. to_stdout: a single
    photo goes to standard output. on_exists: None for SKIP if a folder was named, and ERROR if not.
    choice: of the photos in folders; None if no folder may be named. outputs_of: gives the outputs
    that the journal of a folder knows.

    Raises InputError for a folder or a missing file as source, or folders without a photo,
    UsageError for contradictions, OutputError if an output is an input, two photos would have the
    same output, or one exists that no journal knows and `on_exists` is ERROR.
    """
    naming = naming or Naming()
    folders = distinct_folders(sources)
    _check_sources(sources, naming, may_name_folders=choice is not None)
    if in_place is not None:
        _check_in_place(sources, naming, has_output=to_stdout or output is not None)
    is_folder = is_folder or (output is not None and output.is_dir())
    if len(sources) > 1 or folders:
        what = "the photos of a folder" if folders else f"{len(sources)} photos"
        _check_many(what, output, naming, is_folder=is_folder, to_stdout=to_stdout)
        is_folder = output is not None
    home = home_of(sources, output=output)
    gathered = gather(
        sources, folders, choice or FolderChoice(), passed_over=output, outputs_of=outputs_of
    )
    if in_place is not None:
        gathered = _without_other_formats(gathered, naming)
    if not gathered.sources:
        raise _nothing_found(folders, gathered)

    target = _Target(
        folder=output if is_folder else None,
        file=None if is_folder else output,
        is_stdout=to_stdout,
        is_in_place=in_place is not None,
        backups=_backups(gathered.sources) if in_place and in_place.keeps_backup else {},
    )
    items, warnings = told_apart(
        gathered.sources, lambda source, is_whole: _item(source, target, naming, is_whole=is_whole)
    )
    on_exists = on_exists or (OnExists.SKIP if folders else OnExists.ERROR)
    known = [] if home is None or on_exists is not OnExists.ERROR else outputs_of(home)
    return Plan(
        items=settled(items, on_exists, known, has_journal=home is not None),
        on_exists=on_exists,
        home=home,
        warnings=(*gathered.warnings, *warnings),
        left_out=gathered.left_out,
    )


def _check_sources(
    sources: Sequence[Path | None], naming: Naming, *, may_name_folders: bool
) -> None:
    if not sources:
        raise InputError("no photo was named")
    if sources.count(None) > 1:
        raise UsageError("standard input holds one photo, and - was named more than once")
    for source in sources:
        if not may_name_folders and source is not None and source.is_dir():
            raise InputError(f"{source} is a folder", fix=f"name the photos in it: {source}/*.jpg")
    for source in sources:
        # "--map FILE" reads as a map and one photo more.
        if source is None or not naming.map_suffix or source.suffix.lower() not in ALL_MAP_SUFFIXES:
            continue
        if not os.path.lexists(source):
            raise InputError(
                f"there is no photo {source}", fix=f"if that is to be the map: --map={source}"
            )


def _check_in_place(sources: Sequence[Path | None], naming: Naming, *, has_output: bool) -> None:
    if has_output:
        raise UsageError("--in-place and -o name two places for one photo", fix="leave one out")
    if None in sources:
        raise UsageError("a photo from standard input has no place to be changed in")


def _check_many(
    what: str, output: Path | None, naming: Naming, *, is_folder: bool, to_stdout: bool
) -> None:
    if to_stdout:
        raise UsageError(
            f"{what} cannot all be written to standard output", fix="name a folder with -o"
        )
    if output is not None and not is_folder:
        is_file = output.suffix.lower() in PHOTO_SUFFIXES | ALL_MAP_SUFFIXES
        if is_file or os.path.lexists(output):
            raise UsageError(
                f"{what} cannot all be written to {output}",
                fix="name a folder with -o, or leave -o out",
            )
    if naming.map_output is not None:
        raise UsageError(
            f"{what.removesuffix('photos')}maps cannot all be written to {naming.map_output}",
            fix="use --map without a name",
        )


def _without_other_formats(gathered: Gathered, naming: Naming) -> Gathered:
    """Without those photos of folders whose restored versions would be in another format."""
    stays = [
        not source.is_found or source.path is None or _keeps_suffix(source.path, naming)
        for source in gathered.sources
    ]
    n_others = stays.count(False)
    if not n_others:
        return gathered
    gathered.left_out[LeftOut.OTHER_FORMAT] += n_others
    warning = (
        f"{n_others} of the photos cannot keep their format and so cannot be restored in place; "
        "they are left as they are"
    )
    return replace(
        gathered,
        sources=tuple(s for s, does_stay in zip(gathered.sources, stays, strict=True) if does_stay),
        warnings=(*gathered.warnings, warning),
    )


def _keeps_suffix(path: Path, naming: Naming) -> bool:
    return naming.suffix_of(path) == path.suffix


def _nothing_found(folders: Sequence[Path], gathered: Gathered) -> InputError:
    where = " and ".join(map(str, folders))
    looked_for = ", ".join(suffixes[0] for kind, suffixes in SUFFIXES.items() if kind != "raw")
    left_out = [f"{n:,} {reason.value}" for reason, n in gathered.left_out.most_common()]
    return InputError(
        f"there is no photo to be done in {where}",
        why=f"{looked_for}, their like and camera raw were looked for\n"
        + (f"left out: {', '.join(left_out)}" if left_out else "it is empty"),
        fix="name another folder, or change --include and --exclude",
    )


def _item(source: Source, target: _Target, naming: Naming, *, is_whole: bool) -> Item:
    """An item with all of its outputs named, after the whole name of the photo or its stem."""
    photo = source.path
    output = photo if target.is_in_place else _output(source, target, naming, is_whole=is_whole)
    map_output = naming.map_output
    if map_output is None and naming.map_suffix is not None:
        ending = DEFOCUS + naming.map_suffix
        map_output = _beside(photo, output, ending, "--map=FILE", is_whole=is_whole)
    comparison_output = None
    if naming.comparison_suffix is not None:
        ending = COMPARE + naming.comparison_suffix
        comparison_output = _beside(photo, output, ending, "-o FILE", is_whole=is_whole)
    return Item(
        photo,
        output,
        map_output,
        comparison_output,
        key=source.key,
        backup_output=target.backups.get(photo) if photo else None,
        replaces=target.is_in_place,
    )


def _output(source: Source, target: _Target, naming: Naming, *, is_whole: bool) -> Path | None:
    """Where the output goes; None for standard output."""
    if target.is_stdout or target.file is not None:
        return target.file
    photo, folder = source.path, target.folder
    if photo is not None:
        begin = photo.name if is_whole else photo.stem
        name = f"{begin}{naming.ending}{naming.suffix_of(photo)}"
        return (photo.parent if folder is None else folder / source.folder) / name
    if folder is not None:
        raise UsageError(
            "a photo from standard input has no name", fix=f"name a file: -o {folder}/photo.jpg"
        )
    return None


def _beside(
    photo: Path | None, output: Path | None, ending: str, option: str, *, is_whole: bool
) -> Path:
    """A file beside the output, or beside the photo where the output has no place."""
    place = output or photo
    if place is None:
        raise UsageError(
            "a photo from standard input to standard output has no place for other files",
            fix=f"name one: {option}",
        )
    named_after = photo or place
    return place.with_name((named_after.name if is_whole else named_after.stem) + ending)


def _backups(sources: Sequence[Source]) -> dict[Path, Path]:
    """Where each photo stays that is replaced: beside it, under a name that nothing has.

    A run that was killed may have given the photo its second name already.
    """
    photos = {s.path: s.path.resolve() if s.is_link else s.path for s in sources if s.path}
    originals = {
        photo: real.with_name(f"{real.stem}{ORIGINAL}{real.suffix}")
        for photo, real in photos.items()
    }
    presence, real_folders = Presence(originals.values()), RealFolders()
    backups: dict[Path, Path] = {}
    taken: set[str] = set()
    for photo, original in originals.items():
        for number in count(1):
            backup = original.with_name(numbered(original, number))
            identity = real_folders.identity(backup)
            is_free = not presence.has(backup) or _is_one_file(backup, photo)
            if is_free and identity not in taken:
                break
        taken.add(identity)
        backups[photo] = backup
    return backups


def _is_one_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
