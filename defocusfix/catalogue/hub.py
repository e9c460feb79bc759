"""Fetching from the Hugging Face Hub with its own client, into its own cache.

What the client does not do is done around it: it never compares a file's content with the sum that
the Hub tells, and it tries an unreachable Hub for 23 seconds, so that is asked first.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from defocusfix.catalogue.entries import SHA256, CatalogueEntry
from defocusfix.catalogue.patience import Patience, refused, unreachable
from defocusfix.catalogue.sources import HubFile, hub_endpoint
from defocusfix.catalogue.verify import Report, sha256_of
from defocusfix.errors import DefocusfixError, ModelError


def cached_file(source: HubFile, folder: Path) -> Path | None:
    """The file if the Hub's cache in `folder` has it, whoever fetched it; asks nobody."""
    if not folder.is_dir():
        return None
    found = _client().try_to_load_from_cache(
        source.repo,
        source.file,
        cache_dir=folder,
        revision=source.revision,
        repo_type=source.repo_type,
    )
    return Path(found) if isinstance(found, str) else None


def fetch_hub(
    source: HubFile,
    folder: Path,
    entry: CatalogueEntry,
    *,
    patience: Patience,
    report: Report,
) -> Path:
    """Fetch a file into the Hub's cache in `folder` and give its path there.

    A connection that is cut is taken up again. Raises NetworkError if the Hub cannot be reached or
    has trouble, ModelError if it does not give the file or has another one, OSError if the cache
    cannot be written.
    """
    client = _client()
    try:
        told = client.get_hf_file_metadata(source.url, timeout=patience.seconds)
        _check_told(source, entry, told.size, told.etag)
        return Path(
            client.hf_hub_download(
                source.repo,
                source.file,
                repo_type=source.repo_type,
                revision=source.revision,
                cache_dir=folder,
                endpoint=hub_endpoint(),
                etag_timeout=patience.seconds,
                tqdm_class=_bar(report),
            )
        )
    except _errors() as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk
        raise _as_told(source, error) from error


def forget(path: Path) -> None:
    """Remove a file from the Hub's cache, and what is empty without it."""
    content = path.resolve()
    path.unlink(missing_ok=True)
    content.unlink(missing_ok=True)
    for folder in path.parents:
        if folder.name.startswith(("models--", "spaces--", "datasets--")):
            _remove_empty(folder)
            return


def is_whole(path: Path) -> bool:
    """Whether a cached file has the content whose sum is its name in the cache.

    If so it is a file that the Hub has, and other programs may want it. Only large files are kept
    under their sum; of others nothing is known, so they count as damaged.
    """
    name = path.resolve().name
    return SHA256.fullmatch(name) is not None and sha256_of(path) == name


def _remove_empty(folder: Path) -> None:
    for inner in sorted(folder.rglob("*"), reverse=True):
        if inner.is_dir():
            with suppress(OSError):
                inner.rmdir()
    if not any((folder / "blobs").glob("*")):
        for reference in folder.glob("refs/*"):
            reference.unlink()
        for left in (folder / "refs", folder / "blobs", folder / "snapshots", folder):
            with suppress(OSError):
                left.rmdir()


def _check_told(source: HubFile, entry: CatalogueEntry, size: int | None, etag: str | None) -> None:
    """Refuse another file before it is fetched, as far as the Hub tells."""
    if entry.size_is_exact and size is not None and size != entry.size_bytes:
        raise ModelError(
            f"{source} has another file", why=f"{size:,} bytes instead of {entry.size_bytes:,}"
        )
    if etag is not None and SHA256.fullmatch(etag) and etag != entry.sha256:
        raise ModelError(
            f"{source} has another file", why=f"sha256 {etag} instead of {entry.sha256}"
        )


def _as_told(source: HubFile, error: Exception) -> DefocusfixError:
    response = getattr(error, "response", None)
    if response is not None:
        return refused(source, response.status_code, response.reason_phrase)
    lines = str(error).splitlines() or [type(error).__name__]
    return unreachable(source, lines[0])


@cache
def _client() -> ModuleType:
    """The Hub's library. It takes 0.3 s to import and reads its variables just then."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Plain HTTPS goes through proxies and mirrors, and can be cut and taken up again.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    import huggingface_hub
    from huggingface_hub.utils.logging import set_verbosity

    set_verbosity(logging.ERROR)  # what it would say of retries, we say of sources
    return huggingface_hub


def _errors() -> tuple[type[Exception], ...]:
    """What the client raises: OSError, and the root of its HTTP library, whose name has changed."""
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, *(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError"))


def _bar(report: Report) -> type[Any]:
    """What the client takes for a progress bar."""

    class Bar:
        def __init__(self, *, initial: int = 0, **_: object) -> None:
            self.done = initial
            report(self.done)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def update(self, amount: int = 1) -> None:
            self.done += amount
            report(self.done)

        def close(self) -> None:
            """Nothing is left open."""

    return Bar
