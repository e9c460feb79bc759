"""Our folder of weights: only files whose size and sum were found right are ever put there."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from defocusfix.bundled import bundled_models_folder
from defocusfix.catalogue import hub
from defocusfix.catalogue.entries import CatalogueEntry, find_entry, read_catalogue
from defocusfix.catalogue.lock import locked
from defocusfix.catalogue.places import Places
from defocusfix.catalogue.sources import BundledFile
from defocusfix.errors import ModelError, OutputError

RECEIPT = "receipt.json"
QUARANTINE = "quarantine"
OWN = "own"
RUNNABLE = ("onnx", "safetensors")
FACTS_ENDING = ".defocusfix.json"
"""Of the file beside weights of others that says what the network needs; engines demand one."""

State = Literal["bundled", "ready", "not ready", "absent"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a file in the store came from."""

    source: str
    """In words."""
    hub_file: str = ""
    """Path in the Hub's cache, if it is there as well and we brought it there."""


@dataclass(frozen=True, slots=True)
class Store:
    """The weights that are here."""

    places: Places

    def folder(self, entry: CatalogueEntry) -> Path:
        """Everything of one entry that is not bundled."""
        return self.places.store / entry.id

    def file(self, entry: CatalogueEntry) -> Path:
        """Where the file of an entry is, or will be once it has been fetched."""
        for source in entry.sources:
            if isinstance(source, BundledFile):
                return bundled_models_folder() / source.path
        return self.folder(entry) / entry.file

    def runnable_file(self, entry: CatalogueEntry) -> Path:
        """What engines open: the file itself, or the ONNX file that is made of it."""
        if entry.format in RUNNABLE:
            return self.file(entry)
        return self.folder(entry) / f"{entry.id}.onnx"

    def has(self, entry: CatalogueEntry) -> bool:
        """Whether the file is here; its content was checked when it came."""
        return self.file(entry).is_file()

    def state(self, entry: CatalogueEntry) -> State:
        """Whether the file is here, and for networks that restore, whether engines can open it."""
        if entry.is_bundled:
            return "bundled" if self.has(entry) else "absent"
        if not self.has(entry):
            return "absent"
        if entry.restores and not is_runnable(self.runnable_file(entry)):
            return "not ready"
        return "ready"

    def own_file(self, name: str) -> Path:
        """Where weights are that the user imported under a name of their own, as ONNX."""
        return self.places.store / OWN / name / f"{name}.onnx"

    def place_for_own(self, name: str) -> Path:
        """The same, in a folder that is made if it is missing. Raises OutputError."""
        file = self.own_file(name)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(file.parent, error) from error
        return file

    def own_names(self) -> list[str]:
        """Names under which the user imported weights."""
        return sorted(file.stem for file in self.places.store.glob(f"{OWN}/*/*.onnx"))

    def weights(self, entry: CatalogueEntry) -> Path:
        """The file that engines open.

        Raises ModelError, which says what to type, if it is not here, or restores no photos.
        """
        if not entry.restores:
            raise ModelError(
                f"{entry.id} restores no photos",
                why=f"it is for {entry.task}",
                fix="defocusfix models list",
            )
        if self.state(entry) not in ("bundled", "ready"):
            raise ModelError(
                f"the weights {entry.id} are not here yet",
                why=f"looked in {self.folder(entry)}",
                fix=pull_command(entry),
            )
        return self.runnable_file(entry)

    def receipt(self, entry: CatalogueEntry) -> Receipt:
        """Where the file of an entry came from, as far as is known."""
        try:
            told = json.loads((self.folder(entry) / RECEIPT).read_text(encoding="utf-8"))
            return Receipt(**told)
        except (OSError, ValueError, TypeError):
            return Receipt("unknown")

    @contextmanager
    def held(self, entry: CatalogueEntry, waiting: Callable[[], None]) -> Iterator[None]:
        """Keep other processes from fetching the same entry.

        waiting: told if another one is at it. Raises OutputError if the store takes no files.
        """
        locks = self.places.store / ".locks"
        with ExitStack() as stack:
            try:
                locks.mkdir(parents=True, exist_ok=True)
                self.folder(entry).mkdir(exist_ok=True)
                stack.enter_context(locked(locks / f"{entry.id}.lock", waiting))
            except OSError as error:
                raise cannot_write(self.places.store, error) from error
            try:
                yield
            finally:
                with suppress(OSError):
                    self.folder(entry).rmdir()  # if nothing came

    def keep(self, entry: CatalogueEntry, path: Path, receipt: Receipt) -> Path:
        """Put a file that was verified into the store, without a second copy where that goes.

        Raises OSError if that fails; then nothing is changed.
        """
        target = self.file(entry)
        temporary = target.with_name(f".{target.name}.new")
        temporary.unlink(missing_ok=True)
        content = path.resolve()  # the Hub's cache has links
        try:
            if content.parent == target.parent:
                content.replace(temporary)
            elif not receipt.hub_file or not _linked(content, temporary):
                shutil.copyfile(content, temporary)
            told = json.dumps(asdict(receipt), indent=1)
            (target.parent / RECEIPT).write_text(told, encoding="utf-8")
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return target

    def set_aside(self, entry: CatalogueEntry, path: Path) -> Path | None:
        """Move a wrong file to where nothing loads it; None if it could only be removed."""
        target = self.places.store / QUARANTINE / f"{entry.id}-{entry.file}"
        content = path.resolve()
        moved = True
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # a rename to another name of the same file does nothing
            content.replace(target)
        except OSError:  # another disk, or nothing may be written
            moved = False
            with suppress(OSError):
                content.unlink()
        if path != content:
            with suppress(OSError):
                path.unlink()
        return target if moved else None

    def remove(self, entry: CatalogueEntry) -> int:
        """Take away what was fetched of an entry; gives how many bytes that were.

        Raises ModelError if nothing is here, or it is bundled; OutputError if it cannot be removed.
        """
        if entry.is_bundled:
            raise ModelError(
                f"{entry.id} comes with defocusfix and stays", fix="pip uninstall defocusfix"
            )
        folder = self.folder(entry)
        if not folder.is_dir():
            raise ModelError(f"the weights {entry.id} are not here", fix="defocusfix models list")
        hub_file = self.receipt(entry).hub_file
        size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        try:
            shutil.rmtree(folder)
            if hub_file:
                hub.forget(Path(hub_file))
        except OSError as error:
            raise cannot_write(folder, error) from error
        return size

    def check_space(self, size: int) -> None:
        """Raise OutputError if a file of so many bytes does not fit on the disk of the store."""
        free = shutil.disk_usage(self.places.store).free
        if free < size:
            raise cannot_write(self.places.store, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def is_path(model: str | Path) -> bool:
    """Whether this is the path of weights rather than a name of some."""
    path = Path(model)
    return path.exists() or bool(path.suffix) or path.name != str(model)


def find_weights(name: str, store: Store) -> Path:
    """The file that engines open for a name in the catalogue, or one of the user's own.

    Raises ModelError if there is no such name, or its file is not here.
    """
    own = store.own_file(name)
    if name not in read_catalogue() and is_runnable(own):
        return own
    return store.weights(find_entry(name))


def is_runnable(path: Path) -> bool:
    """Whether weights are here together with what engines must know of them."""
    return path.is_file() and path.with_name(path.name + FACTS_ENDING).is_file()


def pull_command(entry: CatalogueEntry) -> str:
    """What to type to get the weights, without being asked anything."""
    return f"defocusfix models pull {entry.id}" + (
        " --accept-licence" if entry.licence.must_accept else ""
    )


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error for a folder of weights that takes no files."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return OutputError(
        f"no weights can be put into {path}",
        why=(error.strerror or str(error)).lower(),
        fix=("free some space" if full else "make the folder writable")
        + ", or name another one with --cache-dir or HF_HOME",
    )


def _linked(content: Path, target: Path) -> bool:
    """Give a file a second name; False where the disk cannot, or it is another disk."""
    try:
        target.hardlink_to(content)
    except OSError:
        return False
    return True
