"""Whether a file is the one that the catalogue means; what is not is set aside, never loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from defocusfix.catalogue.entries import CatalogueEntry
from defocusfix.errors import ModelError

CHUNK = 1 << 20  # bytes

Report = Callable[[int], None]
"""Told how many bytes are done, from the first one on; fewer than before after a new start."""


def sha256_of(path: Path, report: Report | None = None) -> str:
    """SHA-256 of a file, in hexadecimal. Raises OSError."""
    found = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
            done += len(chunk)
            if report is not None:
                report(done)
    return found.hexdigest()


def flaw_of(entry: CatalogueEntry, path: Path, report: Report | None = None) -> str:
    """What is wrong with a file that should be that of `entry`, in words; empty if nothing is.

    Raises OSError if it cannot be read.
    """
    size = path.stat().st_size
    if entry.size_is_exact and size != entry.size_bytes:
        return f"it has {size:,} bytes instead of {entry.size_bytes:,}"
    found = sha256_of(path, report)
    if found == entry.sha256:
        return ""
    told = f", {size:,} bytes, as many as expected" if entry.size_is_exact else ""
    return f"sha256 is {found} instead of {entry.sha256}{told}"


def flaws_beside(entry: CatalogueEntry, path: Path) -> Iterator[ModelError]:
    """What is wrong with the other forms of bundled weights, whose main file is `path`.

    Raises OSError if one cannot be read.
    """
    for name, sha256 in entry.beside:
        other = path.with_name(name)
        if not other.is_file():
            yield wrong_file(entry, other, "it is missing")
        elif (found := sha256_of(other)) != sha256:
            yield wrong_file(entry, other, f"sha256 is {found} instead of {sha256}")


def wrong_file(entry: CatalogueEntry, path: Path, flaw: str) -> ModelError:
    """The error for a file with a flaw."""
    return ModelError(
        f'this is not the file of "{entry.id}": {path.name}',
        why=f"{path}\n{flaw}",
        fix="pip install --force-reinstall defocusfix"
        if entry.is_bundled
        else f"defocusfix models pull {entry.id}",
    )
