"""How many processor cores a program may keep busy."""

from __future__ import annotations

import math
import os
from pathlib import Path

CPU_FOLDER = Path("/sys/devices/system/cpu")
QUOTA_FILE = Path("/sys/fs/cgroup/cpu.max")
MOST_UNASKED = 4  # photos in work at once; each takes memory of its own


def physical_cores() -> int:
    """Physical cores this process may use; at least 1.

    Two threads on one core get in each other's way in matrix products: one more thread than cores
    doubles the time. Where the system does not tell which processors share a core, each counts.
    """
    if hasattr(os, "sched_getaffinity"):
        processors = os.sched_getaffinity(0)
    else:
        processors = set(range(os.cpu_count() or 1))
    cores = {_siblings(processor) for processor in processors}
    return max(1, min(len(cores), _quota()))


def shared_out(n_photos: int, *, jobs: int | None = None, threads: int | None = None) -> list[int]:
    """How many threads each of the photos gets that are computed on the CPU at the same time.

    n_photos: in all. jobs: photos at the same time; None for as many as pay: one thread each, up to
    `MOST_UNASKED` photos, and only if every job gets two of them, since a last photo has no more
    threads than the others. threads: of all jobs together; None for one per physical core.
    Raises ValueError for less than one job or thread.
    """
    threads = physical_cores() if threads is None else threads
    if threads < 1 or (jobs is not None and jobs < 1):
        raise ValueError(f"{jobs} jobs on {threads} threads")
    if jobs is None:
        jobs = min(threads, MOST_UNASKED, n_photos // 2)
    jobs = max(1, min(jobs, n_photos))
    return [max(1, threads * (n + 1) // jobs - threads * n // jobs) for n in range(jobs)]


def is_rationed() -> bool:
    """Whether a container grants this process less time than its processors have."""
    return _quota() < (os.cpu_count() or 1)


def _siblings(processor: int) -> str:
    """The processors that share a core with this one, as text; alike for all of them."""
    try:
        file = CPU_FOLDER / f"cpu{processor}" / "topology" / "thread_siblings_list"
        return file.read_text().strip()
    except OSError:
        return str(processor)


def _quota() -> int:
    """Processors' worth of time that a container grants; a very large number if unlimited."""
    try:
        granted, period = QUOTA_FILE.read_text().split()
        return math.ceil(int(granted) / int(period))
    except (OSError, ValueError):
        return 2**31
