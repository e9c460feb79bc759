"""The catalogue: every set of weights that is known by a name, as `models/catalog.toml` has it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast, get_args

from defocusfix.bundled import bundled_models_folder
from defocusfix.catalogue.sources import BundledFile, HubFile, RepoType, Source, WebFile
from defocusfix.errors import ModelError
from defocusfix.network_spec import USUAL_OVERLAP, NetworkSpec

Format = Literal["onnx", "safetensors", "torchscript", "pickle"]
Commercial = Literal["yes", "no", "unclear"]

CATALOGUE_FILE = "catalog.toml"
RESTORES = ("defocus", "motion")
"""Tasks of weights that turn one photo into another; all others help in training or measuring."""
SHA256 = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """Under which terms weights may be used."""

    name: str
    url: str
    """Page with the text of the licence."""
    commercial: Commercial
    """Whether they may be used for gain; `unclear` where nobody says."""
    must_accept: bool = False
    """Whether the terms restrict so much that the user has to agree to them once."""
    terms: str = ""
    """What matters of them in a few sentences; only where they must be accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One set of weights."""

    id: str
    """Name that people type."""
    title: str
    task: str
    """What it is for; one of `RESTORES` if it turns one photo into another."""
    architecture: str
    sources: tuple[Source, ...]
    """Where the file lies, the first one to be tried first."""
    size_bytes: int
    size_is_exact: bool
    """Whether the size is known to the byte, and thus checked."""
    sha256: str
    file: str
    """Name of the file, without folders."""
    beside: tuple[tuple[str, str], ...] = ()
    """Of a bundled file, other forms of the same weights beside it: name and SHA-256 of each."""
    format: Format
    licence: Licence
    training_data: str
    value_range: tuple[float, float] = (0.0, 1.0)
    size_multiple: int = 1
    halo: int = 0
    levels: int = 1
    outputs: tuple[str, ...] = ("restored",)
    tile: int = 0
    overlap: int = USUAL_OVERLAP
    figures: tuple[tuple[str, str], ...] = ()
    """Published or measured results, each with its source."""
    notes: str = ""
    """Limits, and what else one should know."""
    verified: str = ""
    """Empty if a machine of ours had the file; otherwise in words, whose sum and size these are."""

    @property
    def is_bundled(self) -> bool:
        """Whether the file comes with defocusfix."""
        return any(isinstance(source, BundledFile) for source in self.sources)

    @property
    def restores(self) -> bool:
        """Whether it turns one photo into another."""
        return self.task in RESTORES

    def spec(self) -> NetworkSpec | None:
        """What the network needs and gives; None for weights that restore nothing."""
        if not self.restores:
            return None
        return NetworkSpec(
            name=self.id,
            architecture=self.architecture,
            value_range=self.value_range,
            size_multiple=self.size_multiple,
            halo=self.halo,
            levels=self.levels,
            outputs=self.outputs,
            licence=self.licence.name,
            training_data=self.training_data,
            weights_sha256=self.sha256,
            tile=self.tile,
            overlap=self.overlap,
        )


@cache
def read_catalogue() -> Mapping[str, CatalogueEntry]:
    """Every entry by its id, in the order of the file. Raises ModelError for a damaged file."""
    file = bundled_models_folder() / CATALOGUE_FILE
    try:
        return parse_catalogue(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            "the catalogue of weights cannot be read",
            why=str(error),
            fix="install again: pip install --force-reinstall defocusfix",
        ) from error


def find_entry(name: str) -> CatalogueEntry:
    """The entry of this id. Raises ModelError with the nearest one if there is none."""
    known = read_catalogue()
    if name in known:
        return known[name]
    close = get_close_matches(name, known, n=1)
    raise ModelError(
        f"there are no weights called {name!r}",
        why=f"the catalogue knows: {', '.join(known)}",
        fix=close[0] if close else "give the path of a file, or see: defocusfix models list",
    )


def parse_catalogue(text: str) -> dict[str, CatalogueEntry]:
    """Every entry of a catalogue by its id. Raises ModelError saying which entry has which flaw."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _flaw("the catalogue", str(error)) from error
    licences = {name: _licence(name, table) for name, table in tables.get("licences", {}).items()}
    return {name: _entry(name, table, licences) for name, table in tables["models"].items()}


def _licence(name: str, table: Mapping[str, Any]) -> Licence:
    try:
        licence = Licence(**{**table, "terms": table.get("terms", "").strip()})
    except TypeError as error:
        raise _flaw(f"licence {name}", str(error)) from error
    if licence.commercial not in get_args(Commercial):
        raise _flaw(f"licence {name}", f"commercial must be one of {get_args(Commercial)}")
    if licence.must_accept != bool(licence.terms):
        raise _flaw(f"licence {name}", "must_accept and terms go together")
    return licence


def _entry(name: str, table: Mapping[str, Any], licences: Mapping[str, Licence]) -> CatalogueEntry:
    facts = dict(table)
    try:
        content = facts.pop("content")
        sources = tuple(_source(source, facts["file"]) for source in facts.pop("sources"))
        exact = content.get("size")
        entry = CatalogueEntry(
            id=name,
            sources=sources,
            size_bytes=content["about"] if exact is None else exact,
            size_is_exact=exact is not None,
            sha256=content["sha256"],
            licence=licences[facts.pop("licence")],
            value_range=cast(tuple[float, float], tuple(facts.pop("value_range", (0.0, 1.0)))),
            outputs=tuple(facts.pop("outputs", ("restored",))),
            beside=tuple(facts.pop("beside", {}).items()),
            figures=tuple((figure, source) for figure, source in facts.pop("figures", ())),
            notes=facts.pop("notes", "").strip(),
            **facts,
        )
        entry.spec()  # refuses facts that contradict each other
    except KeyError as error:
        raise _flaw(name, f"there is no {error}") from error
    except (TypeError, ValueError) as error:
        raise _flaw(name, str(error)) from error
    _check(entry)
    return entry


def _check(entry: CatalogueEntry) -> None:
    if not NAME.fullmatch(entry.id):
        raise _flaw(entry.id, "an id is made of small letters, digits and dashes")
    sums = (entry.sha256, *(sha256 for _, sha256 in entry.beside))
    if not all(map(SHA256.fullmatch, sums)):
        raise _flaw(entry.id, "sha256 must be 64 hexadecimal digits in small letters")
    if entry.size_bytes < 1:
        raise _flaw(entry.id, "the size must be at least 1 byte")
    if entry.format not in get_args(Format):
        raise _flaw(entry.id, f"format must be one of {get_args(Format)}")
    if not entry.sources:
        raise _flaw(entry.id, "it has no source")
    for file in (entry.file, *(name for name, _ in entry.beside)):
        if Path(file).name != file or file.startswith("."):
            raise _flaw(entry.id, f"{file!r} is no plain name of a file")
    if entry.beside and not entry.is_bundled:
        raise _flaw(entry.id, "only a bundled file has others beside it")


def _source(table: Mapping[str, str], file: str) -> Source:
    """A source as it is written: a file in a repository of the Hub, a URL, or one that is here."""
    if "bundled" in table:
        return BundledFile(table["bundled"])
    if "url" in table:
        return WebFile(table["url"])
    kind = table.get("type", "model")
    if kind not in get_args(RepoType):
        raise ValueError(f"type must be one of {get_args(RepoType)}")
    return HubFile(
        repo=table["hub"],
        file=table.get("file", file),
        revision=table["revision"],
        repo_type=cast(RepoType, kind),
    )


def _flaw(where: str, what: str) -> ModelError:
    return ModelError(
        f"the catalogue of weights is damaged: {where}",
        why=what,
        fix="install again: pip install --force-reinstall defocusfix",
    )
