"""A process that may not take more memory than it has, to see what engines say to that."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from defocusfix.engines.select import open_engine
from defocusfix.errors import DefocusfixError

needed = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory like this")

SPARE = 150_000_000  # bytes above what the process holds
SMALL, LARGE = 32, 3072  # sides of tiles, px


def large_tile_then_small(path: Path, engine: str) -> tuple[DefocusfixError | None, bool]:
    """What the engine says of a tile too large, and whether it computes a small one after it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_in_child, path, engine).result()


def _in_child(path: Path, engine: str) -> tuple[DefocusfixError | None, bool]:
    import resource

    opened = open_engine(path, engine=engine, device="cpu", precision="fp32", threads=1)
    small, large = ({"image": np.zeros((1, 3, side, side), np.float32)} for side in (SMALL, LARGE))
    before = opened.run(small)
    status = Path("/proc/self/status").read_text("utf-8")
    held = next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmSize")) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (held + SPARE, held + SPARE))
    told = None
    try:
        opened.run(large)
    except DefocusfixError as error:
        told = error
    after = opened.run(small)
    return told, all(np.array_equal(before[name], after[name]) for name in before)
