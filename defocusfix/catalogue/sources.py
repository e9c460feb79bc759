"""Where a file of weights lies: in a repository of the Hugging Face Hub, on the web, or here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

RepoType = Literal["model", "space", "dataset"]

HUB = "https://huggingface.co"
PREFIXES: dict[RepoType, str] = {"model": "", "space": "spaces/", "dataset": "datasets/"}


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file in a repository of the Hugging Face Hub."""

    repo: str
    """Owner and name, as in `opencv/opencv_zoo`."""
    file: str
    """Path inside the repository."""
    revision: str
    """Commit, or a branch."""
    repo_type: RepoType = "model"

    @property
    def url(self) -> str:
        """Where a browser gets the file."""
        revision, file = quote(self.revision, safe=""), quote(self.file)
        where = f"{PREFIXES[self.repo_type]}{self.repo}/resolve/{revision}/{file}"
        return f"{hub_endpoint()}/{where}"

    def __str__(self) -> str:
        host = urlsplit(hub_endpoint()).netloc
        return f"{host}/{PREFIXES[self.repo_type]}{self.repo}"


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file that any HTTPS server gives."""

    url: str

    def __str__(self) -> str:
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True)
class BundledFile:
    """A file that comes with defocusfix."""

    path: str
    """In the folder of bundled models."""

    @property
    def url(self) -> str:
        """No address: there is nothing to fetch."""
        return ""

    def __str__(self) -> str:
        return "comes with defocusfix"


Source = HubFile | WebFile | BundledFile


def hub_endpoint() -> str:
    """Address of the Hub, or of the mirror that HF_ENDPOINT names."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
