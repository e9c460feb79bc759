"""`defocusfix models`: which weights there are, which are here, and what is known of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from defocusfix.catalogue import licences
from defocusfix.catalogue.entries import CatalogueEntry, find_entry, read_catalogue
from defocusfix.catalogue.places import find_places
from defocusfix.catalogue.store import Store, find_weights
from defocusfix.cli import output
from defocusfix.cli.options import CacheDir
from defocusfix.cli.weights import size_in_words
from defocusfix.errors import ModelError

if TYPE_CHECKING:
    from defocusfix.evaluation.report import Row

SCHEMA = 1
WIDTH, LABEL_WIDTH = 80, 12

Id = Annotated[str, typer.Argument(metavar="ID", help="Name of weights, as in models list.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Write one JSON object for each set of weights instead.")
]


def models() -> None:
    """List, fetch, check, import and remove weights.

    Weights come from the Hugging Face Hub or another server; each file is held to the size and
    checksum that defocusfix knows before anything opens it. Terms are told before the first use.

    Examples:

      defocusfix models list

      defocusfix models pull restormer-defocus-onnx

      defocusfix restore photo.jpg --model restormer-defocus-onnx
    """


def list_weights(as_json: AsJson = False, cache_dir: CacheDir = None) -> None:
    """List all weights that defocusfix knows, and whether they are here.

    Weights for defocus and motion restore photos; the others help in training and measuring.
    """
    store = Store(find_places(cache_dir))
    entries = read_catalogue().values()
    if as_json:
        for entry in entries:
            output.data_json(as_object(entry, store))
        for name in store.own_names():
            path = str(store.own_file(name))
            output.data_json({"schema": SCHEMA, "id": name, "state": "own", "path": path})
        return

    from defocusfix.evaluation.report import as_table

    rows: list[Row] = [
        {
            "id": entry.id,
            "for": entry.task,
            "size": size_in_words(entry.size_bytes),
            "licence": entry.licence.name,
            "commercial": entry.licence.commercial,
            "here": store.state(entry),
        }
        for entry in entries
    ]
    own = {"for": "your own", "size": "", "licence": "", "commercial": "", "here": "ready"}
    rows += [{"id": name, **own} for name in store.own_names()]
    output.data(as_table(rows))


def show(name: Id, as_json: AsJson = False, cache_dir: CacheDir = None) -> None:
    """Show what is known of weights: terms, sources, training, figures, limits."""
    entry = find_entry(name)
    store = Store(find_places(cache_dir))
    if as_json:
        output.data_json(as_object(entry, store))
        return
    output.data("\n".join(_page(entry, store)))


def path(
    name: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="Name of weights; without it, the folder of all."),
    ] = None,
    cache_dir: CacheDir = None,
) -> None:
    """Write where weights are, for use in other commands.

    Of weights that restore, this is the file that restore opens. Those of your own are known too.

    Examples:

      defocusfix models path restormer-defocus-onnx
    """
    store = Store(find_places(cache_dir))
    if name is None:
        output.data(str(store.places.store))
        return
    entry = read_catalogue().get(name)
    if entry is None or entry.restores:
        output.data(str(find_weights(name, store)))
        return
    if not store.has(entry):
        raise _not_here(entry)
    output.data(str(store.file(entry)))


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Names of weights; without any, all that are here."),
    ] = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = None,
) -> None:
    """Read weights that are here again, and compare them with their checksums.

    A file that has changed is moved to where nothing opens it. Nothing is fetched.
    """
    store = Store(find_places(cache_dir))
    wrong: list[ModelError] = []
    for entry in _chosen(names, store):
        flaw = _flaw(entry, store)
        if flaw is not None:
            wrong.append(flaw)
        told = "as it should be" if flaw is None else " ".join(f"{flaw.what}: {flaw.why}".split())
        if as_json:
            facts = {"id": entry.id, "path": str(store.file(entry)), "ok": flaw is None}
            output.data_json({"schema": SCHEMA, **facts, "told": told})
        else:
            output.data(f"{entry.id}: {told}")
    if wrong:
        raise wrong[0]


def remove(name: Id, cache_dir: CacheDir = None) -> None:
    """Remove weights that were fetched or imported.

    What other programs brought into the cache of the Hugging Face Hub stays there.
    """
    import shutil

    store = Store(find_places(cache_dir))
    own = store.own_file(name)
    if name not in read_catalogue() and own.is_file():
        size = own.stat().st_size
        shutil.rmtree(own.parent)
    else:
        size = store.remove(find_entry(name))
    output.say(f"removed {name}, {size_in_words(size)}")


def as_object(entry: CatalogueEntry, store: Store) -> dict[str, object]:
    """Everything known of an entry, for JSON."""
    licence = entry.licence
    file = store.runnable_file(entry) if entry.restores else store.file(entry)
    return {
        "schema": SCHEMA,
        "id": entry.id,
        "title": entry.title,
        "for": entry.task,
        "architecture": entry.architecture,
        "state": store.state(entry),
        "path": str(file) if file.is_file() else None,
        "bytes": entry.size_bytes,
        "bytes_are_exact": entry.size_is_exact,
        "sha256": entry.sha256,
        "format": entry.format,
        "sources": [source.url or str(source) for source in entry.sources],
        "licence": {
            "name": licence.name,
            "url": licence.url,
            "commercial": licence.commercial,
            "must_accept": licence.must_accept,
            "accepted": licences.is_known(entry) if licence.must_accept else None,
            "terms": licence.terms,
        },
        "training_data": entry.training_data,
        "figures": [{"figure": figure, "source": source} for figure, source in entry.figures],
        "notes": entry.notes,
        "verified": entry.verified,
    }


def _chosen(names: list[str] | None, store: Store) -> list[CatalogueEntry]:
    if not names:
        return [entry for entry in read_catalogue().values() if store.has(entry)]
    chosen = [find_entry(name) for name in names]
    for entry in chosen:
        if not store.has(entry):
            raise _not_here(entry)
    return chosen


def _flaw(entry: CatalogueEntry, store: Store) -> ModelError | None:
    """What is wrong with a file that is here, or with the ONNX file made of it; moved or removed.

    None if nothing is.
    """
    from defocusfix.catalogue.verify import flaw_of, flaws_beside, wrong_file
    from defocusfix.engines.facts import check_unchanged, read_facts

    file, made = store.file(entry), store.runnable_file(entry)
    if flaw := flaw_of(entry, file):
        if not entry.is_bundled:
            store.set_aside(entry, file)
        return wrong_file(entry, file, flaw)
    if beside := next(flaws_beside(entry, file), None):
        return beside
    if made == file or not made.is_file():
        return None
    try:
        check_unchanged(made, read_facts(made))
    except ModelError as error:
        made.unlink()  # it can be made again
        return ModelError(error.what, why=error.why, fix=f"defocusfix models pull {entry.id}")
    return None


def _not_here(entry: CatalogueEntry) -> ModelError:
    return ModelError(
        f"the weights {entry.id} are not here", fix=f"defocusfix models pull {entry.id}"
    )


def _page(entry: CatalogueEntry, store: Store) -> Iterator[str]:
    licence = entry.licence
    exact = f"{entry.size_bytes:,} bytes" if entry.size_is_exact else "not known to the byte"
    yield f"{entry.id}: {entry.title}"
    yield ""
    yield from _row("for", entry.task)
    yield from _row("here", store.state(entry))
    yield from _row("licence", f"{licence.name}; {licences.GAIN[licence.commercial]}")
    yield from _row("", licence.url)
    yield from _row("terms", " ".join(licence.terms.split()))
    yield from _row("trained on", entry.training_data)
    yield from _row("file", f"{entry.file}, {size_in_words(entry.size_bytes)} ({exact})")
    yield from _row("sha256", entry.sha256)
    for number, source in enumerate(entry.sources):
        yield from _row("from" if number == 0 else "or from", source.url or str(source))
    for number, (figure, where) in enumerate(entry.figures):
        yield from _row("" if number else "figures", f"{figure} ({where})")
    yield from _row("notes", " ".join(entry.notes.split()))
    yield from _row("checked", entry.verified)


def _row(label: str, text: str) -> Iterator[str]:
    """A text beside its label, broken where it is long; nothing for no text."""
    indent = " " * LABEL_WIDTH
    if text:
        yield textwrap.fill(
            text,
            WIDTH,
            initial_indent=f"{label:<{LABEL_WIDTH}}",
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
