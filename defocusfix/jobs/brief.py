"""What all processes of a run on several machines must know, and how its weights reach them."""

from __future__ import annotations

import getpass
import glob
import hashlib
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from defocusfix.errors import ModelError, OutputError, UsageError
from defocusfix.jobs.files import make_folder
from defocusfix.jobs.fingerprint import sha256_of
from defocusfix.jobs.folders import STATE_FOLDER
from defocusfix.jobs.plan import Item, Plan
from defocusfix.jobs.recipe import Recipe
from defocusfix.photo.safe_write import safe_write
from defocusfix.restoration.restorer import model_file
from defocusfix.version import __version__

Version = tuple[int, int]
PYTHON: Version = sys.version_info[:2]
WEIGHTS_SUFFIXES = (".onnx", ".safetensors", ".json")
Fetch = Callable[[], Sequence[bytes]]
"""Gets the contents of all files of weights, in the order of the brief."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of a model: the weights themselves, or what lies beside them."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What every process that takes part in a run must know. All paths are absolute."""

    recipe: Recipe
    model: Path
    """The file of weights, as the machine that gives the orders names it."""
    weights: tuple[WeightsFile, ...]
    """That file first."""
    token: Path
    """A file made for this run beside its outputs. A machine that does not see it does not share
    their folder, or the run is over."""
    version: str = __version__
    python: Version = PYTHON


@contextmanager
def briefing(plan: Plan, recipe: Recipe) -> Iterator[tuple[Brief, tuple[bytes, ...]]]:
    """The brief of a run, for as long as it goes on, and the contents of its files of weights.

    Raises ModelError if those are not here or cannot be read, OutputError if there is no place for
    outputs.
    """
    model = model_file(recipe.model).absolute()
    contents = _contents(model)
    treatment = recipe.treatment
    if treatment.mask is not None:
        treatment = replace(treatment, mask=treatment.mask.absolute())
    if treatment.views is not None:
        left, right = treatment.views
        treatment = replace(treatment, views=(left.absolute(), right.absolute()))
    weights = tuple(
        WeightsFile(name, hashlib.sha256(content).hexdigest()) for name, content in contents.items()
    )
    with _token(plan) as token:
        brief = Brief(
            recipe=replace(recipe, treatment=treatment), model=model, weights=weights, token=token
        )
        yield brief, tuple(contents.values())


def files_of(item: Item) -> tuple[Path, Path]:
    """Photo and output. Raises UsageError if one of them is standard input or output."""
    if item.source is None or item.output is None:
        raise UsageError(
            "a cluster reads and writes files only", fix="leave out -, or leave --on out"
        )
    return item.source, item.output


def local_weights(brief: Brief, fetch: Fetch) -> Path:
    """The weights of a run on this machine; they are fetched unless the same ones are here.

    Raises OutputError if there is no place for them.
    """
    if _are_in(brief.model.parent, brief.weights):
        return brief.model
    first = brief.weights[0]
    folder = _own_folder() / first.sha256
    if not _are_in(folder, brief.weights):
        make_folder(folder)
        for file, content in zip(brief.weights, fetch(), strict=True):
            safe_write(folder / file.name, content, may_overwrite=True)
    return folder / first.name


def _contents(model: Path) -> dict[str, bytes]:
    """The files of a model by name: the weights, then what of the same name lies beside them."""
    beside = sorted(model.parent.glob(f"{glob.escape(model.stem)}.*"))
    files = [model, *(path for path in beside if path.suffix in WEIGHTS_SUFFIXES)]
    try:
        return {path.name: path.read_bytes() for path in files}
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ModelError(f"{model} cannot be read", why=reason) from error


@contextmanager
def _token(plan: Plan) -> Iterator[Path]:
    """A file beside the outputs of a plan."""
    folder = files_of(plan.todo[0])[1].parent if plan.home is None else plan.home / STATE_FOLDER
    make_folder(folder)
    token = folder.absolute() / f".cluster-{secrets.token_hex(8)}"
    try:
        token.touch()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{folder} cannot be written to", why=reason) from error
    try:
        yield token
    finally:
        with suppress(OSError):  # gone with its folder, which has been told by now
            token.unlink(missing_ok=True)


def _are_in(folder: Path, files: Sequence[WeightsFile]) -> bool:
    try:
        return all(sha256_of(folder / file.name) == file.sha256 for file in files)
    except OSError:
        return False


def _own_folder() -> Path:
    """A folder for weights in which nobody else can put any."""
    folder = Path(tempfile.gettempdir()) / f"defocusfix-{getpass.getuser()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        is_own = os.name != "posix" or folder.lstat().st_uid == os.getuid()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"the folder {folder} cannot be made", why=reason) from error
    if not is_own:
        raise OutputError(f"the folder {folder} belongs to somebody else", fix="remove it")
    return folder
