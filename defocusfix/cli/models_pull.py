"""`defocusfix models pull` and `import`: weights come here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from defocusfix.catalogue.entries import NAME, CatalogueEntry, find_entry, read_catalogue
from defocusfix.catalogue.places import find_places
from defocusfix.catalogue.store import Store
from defocusfix.cli import output
from defocusfix.cli.models import AsJson, as_object
from defocusfix.cli.options import AcceptLicence, CacheDir, Offline
from defocusfix.cli.weights import agree, check_convertible, convert, make_ready, size_in_words
from defocusfix.cli.weights import pull as pull_weights
from defocusfix.errors import ModelError, UsageError
from defocusfix.network_spec import NetworkSpec


def pull(
    names: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Names of weights, as in models list.")
    ],
    accept_licence: AcceptLicence = False,
    offline: Offline = False,
    as_json: AsJson = False,
    cache_dir: CacheDir = None,
) -> None:
    """Fetch weights, check them and make them ready.

    What is here already is only checked. A download that was cut goes on where it stopped. Where a
    source does not answer the next one is tried; HF_ENDPOINT names a mirror of the Hugging Face
    Hub, HTTPS_PROXY a proxy.

    Examples:

      defocusfix models pull raft-small

      defocusfix models pull restormer-defocus-onnx --accept-licence
    """
    store = Store(find_places(cache_dir))
    entries = [find_entry(name) for name in names]
    if as_json:
        output.answer_in_json()
    for entry in entries:
        pull_weights(entry, store, offline=offline, accepts_licence=accept_licence)
        _tell(entry, store, as_json=as_json)


def import_weights(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="File of weights."),
    ],
    name: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="ID",
            help="Name in the catalogue, whose checksum the file must have; or a new name of your "
            "own for weights of a network that defocusfix can build.",
        ),
    ],
    accept_licence: AcceptLicence = False,
    as_json: AsJson = False,
    cache_dir: CacheDir = None,
) -> None:
    """Bring weights from a file, as from a computer that has a network.

    The file is copied. Under a name of your own, a checkpoint is recognised by the names and shapes
    of its tensors and turned into ONNX; programs in it are never run.

    Examples:

      defocusfix models import restormer-defocus.onnx --as restormer-defocus-onnx

      defocusfix models import my-restormer.pth --as my-restormer
    """
    store = Store(find_places(cache_dir))
    entry = read_catalogue().get(name)
    if as_json:
        output.answer_in_json()
    if entry is None:
        _import_own(file, name, store)
        path = str(store.own_file(name))
        if as_json:
            output.data_json({"schema": 1, "id": name, "state": "own", "path": path})
        else:
            output.say(f"use it: defocusfix restore photo.jpg --model {name}")
        return

    from defocusfix.catalogue.fetch import bring

    check_convertible(entry)
    agree(entry, accepts_licence=accept_licence)
    bring(entry, file, store)
    make_ready(entry, store)
    _tell(entry, store, as_json=as_json)


def _tell(entry: CatalogueEntry, store: Store, *, as_json: bool) -> None:
    if as_json:
        output.data_json(as_object(entry, store))
        return
    output.say(
        f"{entry.id}: verified, {size_in_words(entry.size_bytes)}, sha256 {entry.sha256[:12]}"
    )
    output.data(str(store.weights(entry) if entry.restores else store.file(entry)))


def _import_own(file: Path, name: str, store: Store) -> None:
    """Turn a checkpoint of a network that can be built into ONNX, under the user's own name."""
    from defocusfix.catalogue.verify import sha256_of
    from defocusfix.engines.model_file import SAFETENSORS, safetensors_shapes
    from defocusfix.engines.recognise import runnable_architecture

    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a name of weights", fix="small letters, digits and dashes"
        )
    if file.suffix == ".onnx":
        raise ModelError(
            f"{name} is not in the catalogue, and an ONNX file does not say which network it is",
            fix=f"one that defocusfix exported runs as it is: --model {file}",
        )
    if file.suffix == SAFETENSORS:
        shapes = safetensors_shapes(file)
    else:
        from defocusfix.training.conversion import stored_shapes

        shapes = stored_shapes(file)
    architecture = runnable_architecture(shapes, file.name)
    spec = replace(_spec_of(architecture), name=name, weights_sha256=sha256_of(file))
    convert(file, spec, store.place_for_own(name))


def _spec_of(architecture: str) -> NetworkSpec:
    """What weights of a network need, whoever trained them."""
    specs = (entry.spec() for entry in read_catalogue().values())
    known = next((s for s in specs if s is not None and s.architecture == architecture), None)
    if known is None:
        # torch takes two seconds to import.
        from defocusfix.networks.build import build_network
        from defocusfix.networks.described import described

        known = described(build_network(architecture), architecture)
    return replace(known, licence="as its author says", training_data="not known")
