"""From a source in the catalogue to a verified file in the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from defocusfix.catalogue import hub
from defocusfix.catalogue.entries import CatalogueEntry
from defocusfix.catalogue.patience import Patience
from defocusfix.catalogue.sources import BundledFile, HubFile, Source, WebFile
from defocusfix.catalogue.store import Receipt, Store, cannot_write
from defocusfix.catalogue.verify import Report, flaw_of, wrong_file
from defocusfix.catalogue.web import fetch_web
from defocusfix.errors import DefocusfixError, ModelError, NetworkError

UNKNOWN_SIZE_FACTOR = 1.1  # of a size that is known roughly, above which it is another file


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told what happens."""

    report: Report
    """Bytes of the file that are here."""
    say: Callable[[str], None]
    """What else the user should know."""


def fetch(
    entry: CatalogueEntry,
    store: Store,
    listener: Listener,
    *,
    offline: bool = False,
    patience: Patience | None = None,
) -> Path:
    """The verified file of an entry, fetched from the first source that gives it.

    offline: asks nobody; what the Hub's cache has is taken. Wrong files are set aside.
    Raises NetworkError if no source has it and one of them may have it later, ModelError if none
    ever will, OutputError if the store takes no files.
    """
    if entry.is_bundled:
        return _checked_here(entry, store)
    if _is_here(entry, store, listener):
        return store.file(entry)
    waiting = f"another defocusfix is fetching {entry.id}; waiting for it"
    with store.held(entry, lambda: listener.say(waiting)):
        # Whoever was waited for has brought it.
        if _is_here(entry, store, listener):
            return store.file(entry)
        try:
            return _fetched(entry, store, listener, offline, patience or Patience())
        except OSError as error:
            raise cannot_write(store.places.store, error) from error


def bring(entry: CatalogueEntry, path: Path, store: Store) -> Path:
    """Copy a file that the user has into the store, if it is that of `entry`.

    Raises ModelError if it is another one, OutputError if the store takes no files.
    """
    if entry.is_bundled:
        raise ModelError(f"{entry.id} comes with defocusfix", fix="nothing needs to be imported")
    try:
        flaw = flaw_of(entry, path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read", why=error.strerror or str(error)) from error
    if flaw:
        raise ModelError(
            f'{path.name} is not the file of "{entry.id}"',
            why=flaw,
            fix=f"get it from {_address(entry)}",
        )
    with store.held(entry, lambda: None):
        try:
            return store.keep(entry, path, Receipt(f"imported from {path.absolute()}"))
        except OSError as error:
            raise cannot_write(store.places.store, error) from error


def _checked_here(entry: CatalogueEntry, store: Store) -> Path:
    path = store.file(entry)
    if not path.is_file():
        raise ModelError(f"{path} is missing", fix="pip install --force-reinstall defocusfix")
    if flaw := flaw_of(entry, path):
        raise wrong_file(entry, path, flaw)
    return path


def _is_here(entry: CatalogueEntry, store: Store, listener: Listener) -> bool:
    """Whether the store has the right file; a wrong one is set aside."""
    path = store.file(entry)
    if not path.is_file():
        return False
    flaw = flaw_of(entry, path, listener.report)
    if flaw:
        listener.say(f"{path} is damaged and set aside: {flaw}")
        store.set_aside(entry, path)
    return not flaw


def _fetched(
    entry: CatalogueEntry,
    store: Store,
    listener: Listener,
    offline: bool,
    patience: Patience,
) -> Path:
    for source in entry.sources:
        found = _from_hub_cache(entry, source, store, listener)
        if found is not None:
            return found
    if offline:
        raise NetworkError(
            f"the weights {entry.id} are not here, and the network is not to be used",
            why="--offline or HF_HUB_OFFLINE forbids it",
            fix=_by_hand(entry),
        )
    store.check_space(entry.size_bytes)
    refusals: list[DefocusfixError] = []
    for source in entry.sources:
        listener.say(f"{entry.id}: fetching from {source}")
        try:
            return _from(entry, source, store, listener, patience)
        except (NetworkError, ModelError) as refusal:
            refusals.append(refusal)
            if len(refusals) < len(entry.sources):
                listener.say(f"{_in_one_line(refusal)}; trying the next source")
    raise _nowhere(entry, refusals)


def _from(
    entry: CatalogueEntry, source: Source, store: Store, listener: Listener, patience: Patience
) -> Path:
    if isinstance(source, HubFile):
        return _from_hub(entry, source, store, listener, patience)
    if isinstance(source, WebFile):
        return _from_web(entry, source, store, listener, patience)
    raise TypeError(f"{source} is nothing to fetch from")


def _from_hub_cache(
    entry: CatalogueEntry, source: Source, store: Store, listener: Listener
) -> Path | None:
    """The file if the Hub's cache has it already, whichever program brought it there."""
    if not isinstance(source, HubFile):
        return None
    path = hub.cached_file(source, store.places.hub)
    if path is None:
        return None
    if _refuse_cached(entry, path, store, listener):
        return None
    return store.keep(entry, path, Receipt(str(source)))


def _from_hub(
    entry: CatalogueEntry,
    source: HubFile,
    store: Store,
    listener: Listener,
    patience: Patience,
) -> Path:
    path = hub.fetch_hub(source, store.places.hub, entry, patience=patience, report=listener.report)
    if flaw := _refuse_cached(entry, path, store, listener):
        raise ModelError(f"{source} gave another file", why=flaw)
    return store.keep(entry, path, Receipt(str(source), hub_file=str(path)))


def _refuse_cached(entry: CatalogueEntry, path: Path, store: Store, listener: Listener) -> str:
    """What is wrong with a file in the Hub's cache; if its content is damaged, it is set aside."""
    flaw = flaw_of(entry, path)
    if flaw and not hub.is_whole(path):
        moved = store.set_aside(entry, path)
        where = f"set aside as {moved}" if moved else "removed"
        listener.say(f"{entry.file} from the Hub is damaged and {where}: {flaw}")
    return flaw


def _from_web(
    entry: CatalogueEntry,
    source: WebFile,
    store: Store,
    listener: Listener,
    patience: Patience,
) -> Path:
    part = store.folder(entry) / f"{entry.file}.part"
    largest = entry.size_bytes
    if not entry.size_is_exact:
        largest = round(largest * UNKNOWN_SIZE_FACTOR)
    goes_on = part.exists()
    while True:
        fetch_web(source, part, largest=largest, patience=patience, report=listener.report)
        flaw = flaw_of(entry, part)
        if not flaw:
            return store.keep(entry, part, Receipt(str(source)))
        if not goes_on:
            break
        goes_on = False  # what was there may have been of another file: once more from the start
        part.unlink()
    moved = store.set_aside(entry, part)
    raise ModelError(f"{source} gave another file", why=f"{flaw}\nset aside as {moved}")


def _nowhere(entry: CatalogueEntry, refusals: list[DefocusfixError]) -> DefocusfixError:
    """One error for all sources: of the network if any may answer later."""
    kind = NetworkError if any(isinstance(r, NetworkError) for r in refusals) else ModelError
    return kind(
        f"the weights {entry.id} cannot be had from any source",
        why="\n".join(_in_one_line(refusal) for refusal in refusals),
        fix=_by_hand(entry),
    )


def _in_one_line(refusal: DefocusfixError) -> str:
    return f"{refusal.what}: {' '.join(refusal.why.split())}"


def _by_hand(entry: CatalogueEntry) -> str:
    address = _address(entry)
    return (
        f"get {address} on another machine, then:\n"
        f"defocusfix models import {entry.file} --as {entry.id}\n"
        "or name a mirror of the Hub in HF_ENDPOINT, or a proxy in HTTPS_PROXY"
    )


def _address(entry: CatalogueEntry) -> str:
    return next(s.url for s in entry.sources if not isinstance(s, BundledFile))
