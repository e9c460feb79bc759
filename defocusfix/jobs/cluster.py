"""Carry out a plan on a cluster of machines, through Ray.

Ray gives each photo to a free worker, and to another one if its machine or process is lost. This
machine gives the orders and keeps the books; photos and outputs are on a file system that all
machines see, and weights that a machine lacks come to it through Ray.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from defocusfix.errors import (
    DefocusfixError,
    DeviceError,
    InputError,
    NetworkError,
    UsageError,
)
from defocusfix.jobs.brief import Brief, briefing, files_of
from defocusfix.jobs.distributing import RemoteBooks, absolute_item, distribute
from defocusfix.jobs.events import Event, Finished
from defocusfix.jobs.plan import Plan
from defocusfix.jobs.recipe import Recipe
from defocusfix.jobs.remote_task import (
    NO_STREAMS,
    Broken,
    Order,
    Outcome,
    carry_out,
    check_fitness,
)
from defocusfix.jobs.run import Stop, run_plan
from defocusfix.version import __version__

LOCAL, AUTO, CLIENT = "local", "auto", "ray://"
CLIENT_PORT = 10001  # Ray's own choice
USUAL_THREADS = 2  # many workers with a photo each do more than few with all processors
WORKERS_PER_GPU = 2  # one reads and writes while the other computes
MOST_LOSSES = 3  # processes that may be lost over one photo and it is still tried again
LOOK_AGAIN = 5.0  # seconds after which machines are counted anew
LONGEST_CALL = 10.0  # seconds for a first answer of a cluster
LONGEST_INSPECTION = 120.0  # seconds; a machine that is busy starts a process slowly
SMALLEST_STORE = 80_000_000  # bytes; Ray takes no less
GPU_DEVICES = frozenset({"cuda", "tensorrt"})
GO_ON = "all that is finished is kept; the same command goes on from there"
TOKEN_HELP = "https://docs.ray.io/en/latest/ray-security/token-auth.html"
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or Ray warns of what it will do one day
    "RAY_CLIENT_INITIAL_CONNECTION_TIMEOUT_S": "30",  # starts a process on the other machine
    "RAY_task_oom_retries": str(MOST_LOSSES),  # or a photo that fits nowhere is tried for ever
}


def run_plan_on(
    address: str,
    plan: Plan,
    recipe: Recipe,
    tell: Callable[[Event], None],
    *,
    books: RemoteBooks | None = None,
    stop: Stop | None = None,
    fails_fast: bool = False,
) -> Finished:
    """Do the work of a plan on a cluster, telling the events of `run_plan`, and return the last.

    address: `local` starts a cluster on this machine and ends it again; `auto` takes the one that
    runs on this machine; HOST:PORT joins one; ray://HOST:PORT calls one that this machine is no
    part of. recipe: None as threads takes few for each worker. Asked to stop, it waits for the
    photos that are being computed.

    Raises what `run_plan` raises; UsageError for an address of another form, or standard input;
    NetworkError if the cluster cannot be reached or is lost, DeviceError if one of its machines has
    another version of Python or of this program, does not see the folders, or all are too small.
    """
    place = _place(address)
    for item in plan.todo:
        files_of(item)
    if not plan.todo:
        return run_plan(plan, recipe.work(NO_STREAMS), tell)
    with ExitStack() as stack:
        brief, contents = stack.enter_context(briefing(plan, recipe))
        store = max(SMALLEST_STORE, 2 * sum(map(len, contents)))
        crew = _RayCrew(stack.enter_context(_joined(address, place, store=store)), brief, contents)
        crew.inspect(Order(absolute_item(plan.todo[0]), None))
        return distribute(
            plan,
            crew,
            tell,
            program=recipe.treatment.program,
            books=books,
            stop=stop,
            fails_fast=fails_fast,
        )


class _RayCrew:
    """The workers of a cluster that this process has joined."""

    def __init__(self, ray: Any, brief: Brief, contents: tuple[bytes, ...]) -> None:
        self._ray = ray
        self._numbers: dict[Any, int] = {}  # of photos given out, by what Ray gives for them
        self._orders: dict[int, Order] = {}
        self._counted = (0, -LOOK_AGAIN)  # how many places, and when that was
        recipe = brief.recipe
        processors = [int(machine["Resources"].get("CPU", 0)) for machine in self._machines()]
        smallest = min((n for n in processors if n > 0), default=1)
        threads = recipe.threads or min(USUAL_THREADS, smallest)
        on_gpu = recipe.device in GPU_DEVICES
        self._needs = {"CPU": float(threads), **({"GPU": 1 / WORKERS_PER_GPU} if on_gpu else {})}
        self._brief = replace(brief, recipe=replace(recipe, threads=threads))
        with _calling(ray):
            self._contents = ray.put(contents)
        self._restore = ray.remote(_restore).options(
            num_cpus=threads, num_gpus=self._needs.get("GPU", 0), max_retries=MOST_LOSSES
        )

    def inspect(self, order: Order) -> None:
        """Raise DeviceError if a machine is not fit for the run, or none is large enough."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        ray = self._ray
        if not self.size():
            raise DeviceError(
                "no machine of the cluster is large enough",
                why="a worker needs "
                + " and ".join(f"{amount:g} {kind}" for kind, amount in self._needs.items()),
                fix="fewer --threads, or another --device",
            )
        inspect = ray.remote(_inspect)
        answers = {}
        with _calling(ray):
            for machine in self._machines():
                if self._room(machine):
                    there = NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False)
                    inspector = inspect.options(num_cpus=0, scheduling_strategy=there)
                    name = machine["NodeManagerHostname"]
                    answers[name] = inspector.remote(order, self._brief)
        for name, answer in answers.items():
            try:
                refusal = ray.get(answer, timeout=LONGEST_INSPECTION)
            except (ray.exceptions.RayError, ImportError) as error:
                raise DeviceError(
                    f"{name} cannot run defocusfix",
                    why=str(error).strip().splitlines()[-1],
                    fix=f"on every machine: pip install 'defocusfix[cluster]=={__version__}'",
                ) from error
            if refusal is not None:
                raise refusal

    def size(self) -> int:
        """Photos that can be computed at once. Raises NetworkError if no machine is left."""
        size, counted = self._counted
        if time.monotonic() - counted < LOOK_AGAIN:
            return size
        before, size = size, sum(self._room(machine) for machine in self._machines())
        if before and not size:
            raise NetworkError("no machine of the cluster is left", fix=GO_ON)
        self._counted = (size, time.monotonic())
        return size

    def begin(self, number: int, order: Order) -> None:
        """Give out one photo."""
        with _calling(self._ray):
            # In a list, or Ray would send the weights along to machines that have them.
            ended = self._restore.remote(order, self._brief, [self._contents])
        self._numbers[ended] = number
        self._orders[number] = order

    def ended(self, seconds: float) -> tuple[int, Outcome] | None:
        """A photo that has ended; None if none does within so many seconds."""
        if not self._numbers:
            return None
        with _calling(self._ray):
            ended, _ = self._ray.wait(list(self._numbers), num_returns=1, timeout=seconds)
        if not ended:
            return None
        number = self._numbers.pop(ended[0])
        return number, self._outcome(ended[0], self._orders.pop(number))

    def withdraw(self) -> None:
        """Let nobody begin another photo."""
        self._brief.token.unlink(missing_ok=True)

    def _outcome(self, ended: Any, order: Order) -> Outcome:
        exceptions = self._ray.exceptions
        lost = (
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
            exceptions.OutOfMemoryError,
        )
        with _calling(self._ray):
            try:
                outcome: Outcome = self._ray.get(ended)
            except lost as error:
                failure = InputError(
                    f"{order.item.name} cannot be restored",
                    why=f"{MOST_LOSSES + 1} processes were lost over it, the last one so:\n"
                    + str(error).strip().splitlines()[0],
                    fix="if memory ran out: --threads 8 makes fewer workers, --tile smaller pieces",
                )
                return Broken(failure, None)
        return outcome

    def _machines(self) -> list[dict[str, Any]]:
        with _calling(self._ray):
            return [machine for machine in self._ray.nodes() if machine["Alive"]]

    def _room(self, machine: Mapping[str, Any]) -> int:
        """Workers for which a machine has room."""
        has = machine["Resources"]
        return min(int(has.get(kind, 0) // amount) for kind, amount in self._needs.items())


def _restore(order: Order, brief: Brief, contents: list[Any]) -> Outcome:
    """In a process of the cluster: restore a photo."""
    import ray

    return carry_out(order, brief, lambda: ray.get(contents[0]))


def _inspect(order: Order, brief: Brief) -> DefocusfixError | None:
    """In a process of the cluster: why its machine is not fit; None if it is."""
    try:
        check_fitness(order, brief)
    except DefocusfixError as refusal:
        return refusal
    return None


def _place(address: str) -> tuple[str, int] | None:
    """Host and port of a cluster; None for one on this machine. Raises UsageError for neither."""
    if address in (LOCAL, AUTO):
        return None
    try:
        parts = urlsplit(f"//{address.removeprefix(CLIENT)}")
        port = parts.port or (CLIENT_PORT if address.startswith(CLIENT) else None)
    except ValueError:
        port = None
    if port is None or not parts.hostname or parts.path:
        raise UsageError(
            f"{address} is no address of a cluster",
            fix="--on local, --on auto, --on HOST:PORT or --on ray://HOST:PORT",
        )
    return parts.hostname, port


@contextmanager
def _joined(address: str, place: tuple[str, int] | None, *, store: int) -> Iterator[Any]:
    """Ray, as a part of a cluster. Raises NetworkError if that cannot be.

    place: its host and port, as far as it has one. store: bytes that a cluster started here can
    hold.
    """
    if place is not None:
        _knock(*place)
    with ExitStack() as stack:
        wishes: dict[str, Any] = {"address": address}
        settings = dict(SETTINGS)
        if address == LOCAL:
            # Ray's own place may keep the logs of every run, and its password lies in the home.
            place_of_logs = tempfile.TemporaryDirectory(
                prefix="defocusfix-",
                dir="/tmp" if os.name == "posix" else None,  # sockets in it need a short path
                ignore_cleanup_errors=True,
            )
            wishes |= {
                "_temp_dir": stack.enter_context(place_of_logs),
                "object_store_memory": store,
                "include_dashboard": False,
            }
            settings |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        else:
            settings["RAY_NUM_REDIS_GET_RETRIES"] = "5"  # seconds, of a cluster that is running
        stack.enter_context(_environment(settings))
        ray = _silent_ray()
        try:
            with _own_signals(), _muted():
                _init(ray, wishes)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise _unreachable(address, error) from error
        stack.callback(ray.shutdown)
        yield ray


def _init(ray: Any, wishes: Mapping[str, Any]) -> None:
    """Join or start a cluster, again where it was there and could not serve.

    For every caller from outside it starts a server of its own, which now and then comes too late
    or finds its port taken (seen in 1 of 3 whole test runs with 2.60).
    """
    for is_last in (False, False, True):
        try:
            ray.init(**wishes, log_to_driver=False, logging_level=logging.CRITICAL)
            return
        except ConnectionAbortedError:
            if is_last:
                raise


def _silent_ray() -> Any:
    import ray
    from ray._private import worker

    # Ray prints what happens to machines to standard output, which is for the events of --json.
    worker.print_to_stdstream = lambda *_, **__: None
    return ray


@contextmanager
def _muted() -> Iterator[None]:
    """Without what Ray warns of while it tries to join; the error at the end says it all."""
    standard_error = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)
        os.close(nowhere)


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment, where the user has not set them."""
    added = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what is done about SIGTERM, since Ray puts its own in that place."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _knock(host: str, port: int) -> None:
    """Raise NetworkError if nobody is there; Ray would take half a minute to say so."""
    try:
        socket.create_connection((host, port), LONGEST_CALL).close()
    except OSError as error:
        raise NetworkError(
            f"no cluster answers at {host}:{port}",
            why=(error.strerror or str(error)).lower(),
            fix="start one: ray start --head; then on every other machine: "
            "ray start --address HOST:6379",
        ) from error


def _unreachable(address: str, error: Exception) -> NetworkError:
    said: list[str] = []
    link: BaseException | None = error
    while link is not None:
        said.append(str(link).strip())
        link = link.__cause__ or link.__context__
    if address.startswith(CLIENT):
        fix = f"is that its port for clients? if it wants a token, give it one: {TOKEN_HELP}"
    elif any("uthentication" in text for text in said):
        fix = f"give this machine the token of the cluster: {TOKEN_HELP}"
    else:
        fix = "is it running? see: ray status"
    lines = next((text.splitlines() for text in said if text), [type(error).__name__])
    return NetworkError(
        f"the cluster {address} cannot be joined", why="\n".join(lines[:2]), fix=fix
    )


@contextmanager
def _calling(ray: Any) -> Iterator[None]:
    """Say of what goes wrong with Ray itself that the cluster is lost."""
    try:
        yield
    except ray.exceptions.RayTaskError:
        raise  # a mistake of ours, in another process
    except (ConnectionError, ray.exceptions.RayError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise NetworkError("the cluster is lost", why=lines[0], fix=GO_ON) from error
