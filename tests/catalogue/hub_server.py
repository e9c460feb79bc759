"""A small Hub on this machine, answering as the real one does to its own client.

Small files are given at once. Large ones are at another host, to which the first answer points with
their sum and size in headers of its own: here that host is the same server by its other name. Each
file can be told to fail in some way for its next requests.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import unquote

import pytest

COMMIT = "c0ffee" * 6 + "c0ff"


class Request(NamedTuple):
    method: str
    path: str
    range: str | None


@dataclass(slots=True)
class Served:
    """A file and its moods."""

    content: bytes
    is_large: bool = True
    told_sum: str = ""
    """ETag that is told; empty for the true one."""
    told_size: int | None = None
    knows_ranges: bool = True
    tells_length: bool = True
    cuts: list[int] = field(default_factory=list)
    """After how many bytes the next answers with a body break off."""
    statuses: list[int] = field(default_factory=list)
    """HTTP errors of the next answers."""
    body_statuses: list[int] = field(default_factory=list)
    """The same, of those with a body."""
    hangs: threading.Event | None = None
    """Answers wait for it."""

    @property
    def etag(self) -> str:
        if self.told_sum:
            return self.told_sum
        kind = hashlib.sha256 if self.is_large else hashlib.sha1
        return kind(self.content).hexdigest()


class HubServer:
    """Files by path, and the requests that came for them."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[Request] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hub_file(self, repo: str, file: str, content: bytes, **moods: object) -> Served:
        """Put a file into a repository of the Hub, as in `spaces/owner/name`."""
        served = Served(content, **moods)
        self.files[f"/{repo}/resolve/{COMMIT}/{file}"] = served
        self.files[f"/{repo}/resolve/main/{file}"] = served
        self.files[f"/cdn/{repo}/{file}"] = served
        return served

    def web_file(self, path: str, content: bytes, **moods: object) -> Served:
        """Put a file at a path of an ordinary server."""
        served = self.files[f"/{path}"] = Served(content, **moods)
        return served

    def bodies(self) -> list[Request]:
        """Requests for the content of files."""
        return [request for request in self.requests if request.method == "GET"]

    @contextmanager
    def running(self) -> Iterator[HubServer]:
        self._thread.start()
        try:
            yield self
        finally:
            for served in self.files.values():
                if served.hangs is not None:
                    served.hangs.set()
            self._server.shutdown()
            self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._answer(with_body=False)

            def do_GET(self) -> None:
                self._answer(with_body=True)

            def log_message(self, *_: object) -> None:
                pass

            def _answer(self, *, with_body: bool) -> None:
                path = unquote(self.path)
                hub.requests.append(Request(self.command, path, self.headers.get("Range")))
                served = hub.files.get(path)
                if served is None:
                    self._refuse(404, {"X-Error-Code": "EntryNotFound"})
                    return
                if served.hangs is not None:
                    served.hangs.wait(30)
                statuses = served.statuses or (served.body_statuses if with_body else [])
                if statuses:
                    self._refuse(statuses.pop(0))
                elif "/resolve/" in path and served.is_large:
                    self._point_to(f"http://localhost:{hub.port}/cdn{_without_revision(path)}")
                else:
                    self._give(served, with_body=with_body)

            def _refuse(self, status: int, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": "0", **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()

            def _point_to(self, address: str) -> None:
                served = hub.files[unquote(self.path)]
                size = len(served.content) if served.told_size is None else served.told_size
                self.send_response(302)
                self.send_header("Location", address)
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("X-Linked-Etag", f'"{served.etag}"')
                self.send_header("X-Linked-Size", str(size))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _give(self, served: Served, *, with_body: bool) -> None:
                whole = len(served.content)
                begin = self._begin(whole) if served.knows_ranges else 0
                if begin is None:
                    self._refuse(416, {"Content-Range": f"bytes */{whole}"})
                    return
                self.send_response(206 if begin else 200)
                if begin:
                    self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
                if served.tells_length:
                    self.send_header("Content-Length", str(whole - begin))
                else:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.send_header("ETag", f'"{served.etag}"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.end_headers()
                if with_body:
                    self._send(served, served.content[begin:])

            def _send(self, served: Served, rest: bytes) -> None:
                if served.cuts:
                    rest = rest[: served.cuts.pop(0)]
                    self.close_connection = True
                try:
                    self.wfile.write(rest)
                except OSError:  # the client has heard enough
                    self.close_connection = True

            def _begin(self, size: int) -> int | None:
                told = self.headers.get("Range")
                begin = 0 if told is None else int(told.removeprefix("bytes=").split("-")[0])
                return begin if begin < size or size == 0 else None

        return Handler


@contextmanager
def hub_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub to which HF_ENDPOINT points, with no other variable in the way."""
    server = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    for variable in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    with server.running():
        yield server


def _without_revision(path: str) -> str:
    repo, _, rest = path.partition("/resolve/")
    return f"{repo}/{rest.partition('/')[2]}"
