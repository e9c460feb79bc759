"""How long to wait for a server, and what to say of one that does not do as it should."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from defocusfix.catalogue.sources import Source
from defocusfix.errors import DefocusfixError, ModelError, NetworkError

LOGIN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True, slots=True)
class Patience:
    """When a server counts as out of reach."""

    seconds: float = 8.0
    """To wait for an answer, and for more of a file."""
    retries: int = 4
    """Of a connection that was cut and brings nothing more."""
    pause_seconds: float = 1.0
    """Before each of them."""


def refused(source: Source, status: int, reason: str) -> DefocusfixError:
    """What an HTTP error means: NetworkError if waiting may help, ModelError otherwise."""
    told = f"HTTP {status} {reason}".strip()
    if status in BUSY:
        return NetworkError(f"{source} is busy", why=told, fix="try again later")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return NetworkError(f"{source} has trouble", why=told, fix="try again later")
    if status in LOGIN:
        return ModelError(
            f"{source} gives the file only to those it knows, or no longer has it",
            why=told,
            fix="HF_TOKEN=... if you have access" if "hugging" in str(source) else "",
        )
    return ModelError(f"{source} does not have the file", why=told)


def unreachable(source: Source, reason: str) -> NetworkError:
    """The error for a server that does not answer, or stops in the middle."""
    return NetworkError(f"{source} cannot be reached", why=reason, fix="check the connection")
