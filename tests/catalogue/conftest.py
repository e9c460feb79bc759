from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from defocusfix.catalogue.entries import CatalogueEntry, Licence
from defocusfix.catalogue.fetch import Listener, fetch
from defocusfix.catalogue.patience import Patience
from defocusfix.catalogue.places import find_places
from defocusfix.catalogue.sources import HubFile, Source, WebFile
from defocusfix.catalogue.store import Store
from tests.catalogue.hub_server import COMMIT, HubServer, hub_of_this_machine

WEIGHTS = np.random.default_rng(0).bytes(300_000)
HASTY = Patience(seconds=1.0, retries=2, pause_seconds=0.01)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub of this machine, to which HF_ENDPOINT points."""
    with hub_of_this_machine(monkeypatch) as server:
        yield server


def hub_source(repo: str = "someone/weights", file: str = "net.bin", **facts: Any) -> HubFile:
    return HubFile(repo=repo, file=file, revision=facts.pop("revision", COMMIT), **facts)


def an_entry(*sources: Source, content: bytes = WEIGHTS, **facts: Any) -> CatalogueEntry:
    """An entry whose file has this content."""
    licence = Licence(name="MIT", url="https://example.org/mit", commercial="yes")
    known: dict[str, Any] = {
        "id": "some-weights",
        "title": "Some weights",
        "task": "alignment",
        "architecture": "nothing",
        "sources": sources or (hub_source(),),
        "size_bytes": len(content),
        "size_is_exact": True,
        "sha256": hashlib.sha256(content).hexdigest(),
        "file": "net.bin",
        "format": "onnx",
        "licence": licence,
        "training_data": "none",
    }
    return CatalogueEntry(**{**known, **facts})


@dataclass
class Ear:
    """Remembers what it is told."""

    sizes: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def listener(self) -> Listener:
        return Listener(self.sizes.append, self.said.append)


@dataclass
class Fetching:
    """Fetches entries into a store of its own."""

    store: Store
    ear: Ear = field(default_factory=Ear)

    def __call__(
        self, entry: CatalogueEntry, *, patience: Patience = HASTY, offline: bool = False
    ) -> Path:
        return fetch(entry, self.store, self.ear.listener, patience=patience, offline=offline)

    def quarantined(self) -> list[str]:
        return sorted(file.name for file in self.store.places.store.glob("quarantine/*"))


@pytest.fixture
def fetching(hub: HubServer) -> Fetching:
    return Fetching(Store(find_places()))


@pytest.fixture
def web(hub: HubServer) -> Callable[[str], WebFile]:
    """A source at a path of the server of this machine."""
    return lambda path: WebFile(f"{hub.address}/{path}")
