"""Weights by name: their terms told, fetched when they are first used, made ready for engines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import typer

from defocusfix.catalogue import licences
from defocusfix.catalogue.entries import CatalogueEntry, find_entry, read_catalogue
from defocusfix.catalogue.places import find_places, is_offline
from defocusfix.catalogue.store import RUNNABLE, Store, find_weights, is_path, pull_command
from defocusfix.catalogue.verify import Report
from defocusfix.cli import output
from defocusfix.cli.progress import track
from defocusfix.errors import ModelError
from defocusfix.network_spec import NetworkSpec

MB, KB = 1e6, 1e3


def ready_weights(model: str | None, *, cache_dir: Path | None, offline: bool) -> str | Path | None:
    """What to open for --model: weights from the catalogue are fetched if the user agrees.

    Files, folders and what is bundled are given back as they are named. Raises ModelError, with
    the command that fetches them, if nobody can be asked; NetworkError as `pull`.
    """
    if model is not None and is_path(model):
        return model
    from defocusfix.restoration.restorer import DEFAULT_MODEL

    store = Store(find_places(cache_dir))
    if (name := model or DEFAULT_MODEL) not in read_catalogue():
        return find_weights(name, store)
    entry = find_entry(name)
    if entry.restores and store.state(entry) in ("absent", "not ready"):
        _ask_to_fetch(entry)
        pull(entry, store, offline=offline)
    agree(entry, accepts_licence=False)
    return model if entry.is_bundled else store.weights(entry)


def pull(
    entry: CatalogueEntry, store: Store, *, offline: bool, accepts_licence: bool = False
) -> Path:
    """Fetch weights, verify them and make them ready for engines; what is done already is kept.

    offline: besides HF_HUB_OFFLINE. accepts_licence: agrees to restrictive terms unasked.
    Raises ModelError if the terms are not accepted or the file is wrong, NetworkError if it cannot
    be fetched, OutputError if it cannot be stored.
    """
    # Takes 30 ms to import, which a photo that is restored with bundled weights need not wait for.
    from defocusfix.catalogue.fetch import Listener, fetch

    check_convertible(entry)
    agree(entry, accepts_licence=accepts_licence)
    with _shown(entry) as report:
        file = fetch(entry, store, Listener(report, output.say), offline=offline or is_offline())
    make_ready(entry, store)
    return file


def agree(entry: CatalogueEntry, *, accepts_licence: bool) -> None:
    """Tell the terms of weights before they are first used; restrictive ones must be accepted.

    Raises ModelError if they are not, or if nobody can be asked.
    """
    if licences.is_known(entry):
        return
    output.say(f"{entry.id}: {licences.in_one_line(entry)}")
    if entry.licence.must_accept:
        output.say(f"\n{entry.licence.terms}\n")
        if not accepts_licence:
            if not can_ask():
                raise ModelError(
                    f"the terms of {entry.id} must be accepted once",
                    why=licences.in_one_line(entry),
                    fix=pull_command(entry),
                )
            if not typer.confirm("Do you accept these terms?", err=True):
                raise ModelError(f"the terms of {entry.id} were not accepted")
    licences.remember(entry)


def make_ready(entry: CatalogueEntry, store: Store) -> None:
    """Put beside fetched weights what engines must know of them; others become ONNX first.

    Raises ModelError if they are not what the catalogue says.
    """
    spec = entry.spec()
    if spec is None or store.state(entry) != "not ready":
        return
    if entry.format in RUNNABLE:
        from defocusfix.engines.foreign import write_facts

        write_facts(store.file(entry), spec, entry.sha256)
        return
    convert(store.file(entry), spec, store.runnable_file(entry), sha256=entry.sha256)


def convert(file: Path, spec: NetworkSpec, target: Path, *, sha256: str | None = None) -> None:
    """Make an ONNX file of published weights, and facts beside it.

    sha256: as the catalogue knows it. Raises ModelError if they do not fit the network of `spec`.
    """
    # torch takes two seconds to import.
    from defocusfix.catalogue.verify import sha256_of
    from defocusfix.engines.foreign import write_facts
    from defocusfix.engines.model_file import read_spec
    from defocusfix.training.conversion import convert_to_onnx

    output.say(f"{spec.name}: turning the weights into ONNX")
    convert_to_onnx(file, spec.architecture, target, spec, sha256=sha256, overwrite=True)
    write_facts(target, read_spec(target), sha256_of(target))


def check_convertible(entry: CatalogueEntry) -> None:
    """Raise ModelError if weights must be turned into ONNX and what that needs is missing."""
    if entry.format in RUNNABLE or not entry.restores or find_spec("torch") is not None:
        return
    others = [
        other.id
        for other in read_catalogue().values()
        if other.architecture == entry.architecture and other.format == "onnx"
    ]
    raise ModelError(
        f"{entry.id} must be turned into ONNX, which needs torch",
        why="torch is not installed",
        fix="\n".join(
            ["pip install 'defocusfix[train]'", *(f"defocusfix models pull {o}" for o in others)]
        ),
    )


def can_ask() -> bool:
    """Whether a person is there to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def size_in_words(size: int) -> str:
    """A size for people."""
    return f"{size / MB:.0f} MB" if size >= MB else f"{size / KB:.0f} kB"


def _ask_to_fetch(entry: CatalogueEntry) -> None:
    """Ask whether weights that are missing shall be fetched; an error if not."""
    missing = ModelError(
        f"the weights {entry.id} are not here yet",
        why=f"{size_in_words(entry.size_bytes)} must be fetched first",
        fix=pull_command(entry),
    )
    if not can_ask():
        raise missing
    size, source = size_in_words(entry.size_bytes), entry.sources[0]
    if not typer.confirm(f"Fetch {entry.id}, {size} from {source}?", default=True, err=True):
        raise missing


@contextmanager
def _shown(entry: CatalogueEntry) -> Iterator[Report]:
    """Shows how much of a file is here."""
    total = entry.size_bytes / MB
    with track(f"Fetching {entry.id}", total=total, unit="MB") as advance:
        done = 0

        def report(size: int) -> None:
            nonlocal done
            advance((size - done) / MB)
            done = size

        yield report
