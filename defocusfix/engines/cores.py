"""How many processor cores a program may keep busy."""

from __future__ import annotations

import math
import os
from pathlib import Path

CPU_FOLDER = Path("/sys/devices/system/cpu")
QUOTA_FILE = Path("/sys/fs/cgroup/cpu.max")


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
