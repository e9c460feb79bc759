"""What every test gets: a home of its own, no network, few threads; and the command line."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from defocusfix.cli import output
from defocusfix.cli.app import run

# numpy and torch, which no test has imported yet, read these once: tests compute on tiny arrays.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

# Examples are drawn the same way every time, and a busy machine is no failure.
hypothesis.settings.register_profile("defocusfix", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("defocusfix")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, to which every variable that names a user's folder points."""
    folder = tmp_path_factory.mktemp("home")
    for variable in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(folder))
    for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(folder / variable.lower()))
    for variable in ("HF_HOME", "TORCH_HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"):
        monkeypatch.setenv(variable, str(folder / variable.lower()))
    for variable in list(os.environ):
        if variable.startswith("DEFOCUSFIX_"):
            monkeypatch.delenv(variable)
    return folder


@pytest.fixture(autouse=True)
def closed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def refuse_strangers(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address):
            raise PermissionError(f"a test may not connect to {address}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", refuse_strangers)


def _is_here(address: object) -> bool:
    host = address[0] if isinstance(address, tuple) else ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Told:
    """What a command left behind when it ended."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def defocusfix(capfd: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Run a command as typed: `defocusfix("restore", photo)`. Its talk is plain, as in a log."""

    def typed(*words: object) -> Told:
        capfd.readouterr()
        try:
            exit_code = run([str(word) for word in words])
        finally:
            output.set_manner(output.Manner())
        stdout, stderr = capfd.readouterr()
        return Told(exit_code, stdout, stderr)

    return typed
