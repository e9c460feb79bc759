"""A real cluster whose machines are all this one: Ray's processes on loopback, easily killed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = "127.0.0.1"
LONGEST_START = 120.0
# A lost machine is known as such within two seconds, instead of a quarter of a minute.
WATCHFUL = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A machine that leads, to which others can be added."""

    port: int
    client_port: int
    folder: Path
    environment: Mapping[str, str]

    @property
    def address(self) -> str:
        """Of the cluster, for those that are a part of it."""
        return f"{HERE}:{self.port}"

    @property
    def client_address(self) -> str:
        """For those that are not."""
        return f"ray://{HERE}:{self.client_port}"

    @contextmanager
    def machine(self, *, processors: int) -> Iterator[subprocess.Popen[bytes]]:
        """One more machine, for as long as the block lasts."""
        words = ("--address", self.address, "--num-cpus", str(processors))
        with _started(self.folder / "machine.log", words, self.environment) as process:
            yield process


@contextmanager
def cluster(folder: Path, *, processors: int) -> Iterator[Cluster]:
    """A cluster of one machine, which writes what it says to `folder`."""
    # Sockets need a short path.
    place = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    made = Cluster(
        _free_port(),
        _free_port(),
        folder,
        os.environ
        | WATCHFUL
        | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(folder),  # for weights that workers are given
        },
    )
    words = ("--head", "--port", str(made.port), "--ray-client-server-port", str(made.client_port))
    words += ("--num-cpus", str(processors), "--include-dashboard=false", "--temp-dir", str(place))
    try:
        with _started(folder / "head.log", words, made.environment) as head:
            _wait_for_port(made.port, head)
            _wait_for_port(made.client_port, head)
            yield made
    finally:
        shutil.rmtree(place, ignore_errors=True)


def kill(machine: subprocess.Popen[bytes]) -> None:
    """End a machine with everything that runs on it, as a power cut would."""
    below = descendants(machine.pid)
    os.killpg(machine.pid, signal.SIGKILL)
    for process in below:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def descendants(process: int) -> list[int]:
    """The children of a process, their children, and so on."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name of the program, in parentheses, may hold anything.
                facts = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(facts[1])
    found = [process]
    for parent in found:
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return found[1:]


@contextmanager
def _started(
    log: Path, words: tuple[str, ...], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
    command += ["--node-ip-address", HERE, "--object-store-memory", "80000000"]
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*command, *words],
            env=environment,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            kill(process)
        process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((HERE, 0))
        port: int = one.getsockname()[1]
        return port


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LONGEST_START
    while True:
        try:
            socket.create_connection((HERE, port), 1).close()
            return
        except OSError:
            assert process.poll() is None, "the cluster did not start"
            assert time.monotonic() < deadline, "the cluster takes too long to start"
            time.sleep(0.1)
