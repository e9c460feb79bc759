"""Fetching from any HTTPS server, going on where an earlier attempt stopped.

With the standard library: it knows proxies and certificates of the system, and no client that the
Hub's library brings keeps its name from one version to the next.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path
from time import sleep

from defocusfix.catalogue.patience import Patience, refused, unreachable
from defocusfix.catalogue.sources import WebFile
from defocusfix.catalogue.verify import Report
from defocusfix.errors import DefocusfixError, ModelError

CHUNK = 1 << 18  # bytes
NOTHING_MORE = 416  # HTTP: the range that was asked for lies behind the end
PARTIAL = 206


def fetch_web(
    source: WebFile, part: Path, *, largest: int, patience: Patience, report: Report
) -> None:
    """Fetch a file into `part`, which may hold its beginning already.

    largest: bytes beyond which it cannot be the right file. A connection that is cut is taken up
    again where it was cut. Raises NetworkError if the server cannot be reached or has trouble,
    ModelError if it does not give the file, OSError if `part` cannot be written.
    """
    left = patience.retries
    while True:
        before = _size(part)
        try:
            trouble = _fetch_rest(source, part, largest, patience, report)
        except _RestartError:
            part.unlink()
            continue
        if trouble is None:
            return
        left = patience.retries if _size(part) > before else left - 1
        if left < 0:
            raise trouble
        sleep(patience.pause_seconds)


class _RestartError(Exception):
    """The server cannot go on from what is there."""


def _fetch_rest(
    source: WebFile, part: Path, largest: int, patience: Patience, report: Report
) -> DefocusfixError | None:
    """Fetch what is missing; gives what cut it off, None if the file is complete."""
    have = _size(part)
    headers = {"User-Agent": "defocusfix", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(source.url, headers=headers)
    try:
        # Not urlopen, which keeps the proxies that it first saw.
        response = urllib.request.build_opener().open(request, timeout=patience.seconds)
    except urllib.error.HTTPError as error:
        with error:
            if have and error.code == NOTHING_MORE:
                raise _RestartError from error
            raise refused(source, error.code, error.reason) from error
    except (OSError, http.client.HTTPException) as error:
        trouble = unreachable(source, str(getattr(error, "reason", error)) or type(error).__name__)
        trouble.__cause__ = error
        if have:
            return trouble
        raise trouble from error
    with response:
        if response.status != PARTIAL:
            have = 0  # the server gives the whole file, whatever was asked for
        told = response.headers.get("Content-Length")
        total = None if told is None else have + int(told)
        if total is not None and total > largest:
            raise _too_large(source, total)
        return _store(source, response, part, have, total, largest, report)


def _store(
    source: WebFile,
    response: http.client.HTTPResponse,
    part: Path,
    have: int,
    total: int | None,
    largest: int,
    report: Report,
) -> DefocusfixError | None:
    with part.open("ab" if have else "wb") as file:
        report(have)
        while True:
            try:
                chunk = response.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                return unreachable(source, str(error) or type(error).__name__)
            if not chunk:
                break
            file.write(chunk)
            have += len(chunk)
            report(have)
            if have > largest:
                raise _too_large(source, have)
    if total is not None and have < total:
        return unreachable(source, f"the connection was cut after {have:,} of {total:,} bytes")
    return None


def _too_large(source: WebFile, size: int) -> ModelError:
    return ModelError(f"{source} gives another file", why=f"it has {size:,} bytes or more")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
