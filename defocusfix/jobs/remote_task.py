"""What a machine of a cluster does with one photo, in a process that keeps its network open.

Nothing here knows which cluster it is. A photo may be begun more than once, when a machine or a
process is lost; if its output is there by then, that is told instead of making it again.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from defocusfix.errors import DefocusfixError, DeviceError, InputError, OutputError, UsageError
from defocusfix.jobs.brief import PYTHON, Brief, Fetch, Version, files_of, local_weights
from defocusfix.jobs.events import Event, PhotoDone, Picture
from defocusfix.jobs.files import Streams
from defocusfix.jobs.fingerprint import FileState, PresentFile
from defocusfix.jobs.plan import Item, OnExists, Plan
from defocusfix.jobs.reader import PHOTO_ERRORS
from defocusfix.jobs.restoring import Restoring
from defocusfix.jobs.run import run_plan
from defocusfix.version import __version__


def _no_stream(*_: object) -> NoReturn:
    raise UsageError("a cluster reads and writes files only")


NO_STREAMS = Streams(_no_stream, _no_stream)
FOUND_DONE = "was finished by a process of the cluster that was lost before it could say so"


@dataclass(frozen=True, slots=True)
class Order:
    """One photo to be done."""

    item: Item
    """With absolute paths."""
    before: FileState | None
    """What was in the place of the output when the photo was begun; None for nothing."""


@dataclass(frozen=True, slots=True)
class Carried:
    """The photo is saved."""

    done: PhotoDone
    source: FileState
    """The photo as it was, with its sha256."""
    output: FileState
    """What came of it, with its sha256."""


@dataclass(frozen=True, slots=True)
class Broken:
    """This photo failed; others need not."""

    error: InputError | OutputError
    cause: OSError | None
    """What the system said, if that was the cause: errors lose theirs between processes."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No photo can be done here."""

    error: DefocusfixError


Outcome = Carried | Broken | Refused

_works: dict[Path, Restoring] = {}  # of this process, by the token of the run


def carry_out(order: Order, brief: Brief, fetch: Fetch) -> Outcome:
    """Restore one photo, or say why not. The network stays open for the next one."""
    try:
        check_fitness(order, brief)
        work = _work(brief, fetch)
    except DefocusfixError as error:
        return Refused(error)
    try:
        return _carry_out(order, work)
    except PHOTO_ERRORS as error:
        return Broken(error, _cause(error))
    except DefocusfixError as error:
        return Refused(error)


def check_fitness(order: Order, brief: Brief) -> None:
    """Raise DeviceError if this machine has other versions or does not see the files."""
    machine = platform.node()
    here, there = (__version__, PYTHON), (brief.version, brief.python)
    if here != there:
        raise DeviceError(
            f"{machine} has {_in_words(*here)}, but this run has {_in_words(*there)}",
            why="another version may restore otherwise",
            fix="install the same ones on every machine of the cluster",
        )
    source, _ = files_of(order.item)
    unseen = None if os.path.lexists(brief.token) else brief.token.parent
    if unseen is None and not source.parent.is_dir():
        unseen = source.parent
    if unseen is not None:
        raise DeviceError(
            f"{machine} does not see the folder {unseen} of this run",
            why="every machine of the cluster must find photos and outputs by the same path",
            fix="put them on a file system that all of them share",
        )


def present_state(path: Path) -> FileState | None:
    """Size and time of a file; None if there is none."""
    try:
        return FileState.of(path)
    except OSError:
        return None


def _work(brief: Brief, fetch: Fetch) -> Restoring:
    if brief.token not in _works:
        _works.clear()
        model = local_weights(brief, fetch)
        _works[brief.token] = replace(brief.recipe, model=model).work(NO_STREAMS)
    return _works[brief.token]


def _carry_out(order: Order, work: Restoring) -> Carried:
    source, output = files_of(order.item)
    if _has_appeared(order):
        return _found(order, work)
    was = _read_state(source)
    told: list[Event] = []
    finished = run_plan(Plan((order.item,), OnExists.ERROR), work, told.append)
    for failed in finished.failed:
        # Begun twice, and finished by the other process, which was only thought to be lost.
        if isinstance(failed.error, OutputError) and _has_appeared(order):
            return _found(order, work)
        raise failed.error
    done = next(event for event in told if isinstance(event, PhotoDone))
    return Carried(done, was, _read_state(output))


def _has_appeared(order: Order) -> bool:
    """Whether the output came since the photo was begun; complete, as outputs always are."""
    now = present_state(files_of(order.item)[1])
    return now is not None and now != order.before


def _found(order: Order, work: Restoring) -> Carried:
    """What there is to say of a photo that another process finished."""
    source, output = files_of(order.item)
    photo = work.read(order.item)
    done = PhotoDone(
        item=order.item,
        picture=Picture(photo.width, photo.height, photo.bits, photo.format),
        method=work.method(photo),
        seconds=0.0,
        megapixels=work.megapixels(photo),
        blur=None,
        scales={},
        warnings=(),
        notes=(FOUND_DONE,),
    )
    return Carried(done, _read_state(source), _read_state(output))


def _read_state(path: Path) -> FileState:
    try:
        return PresentFile(path).read()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{path} cannot be read", why=reason) from error


def _cause(error: BaseException) -> OSError | None:
    while error.__cause__ is not None:
        error = error.__cause__
        if isinstance(error, OSError):
            return error
    return None


def _in_words(version: str, python: Version) -> str:
    return f"defocusfix {version} on Python {python[0]}.{python[1]}"
