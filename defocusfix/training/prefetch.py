"""Batches prepared in background threads, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def prefetched(
    make: Callable[[int], Item], steps: range, *, depth: int, threads: int
) -> Iterator[Iterator[Item]]:
    """Inside the `with` block: an iterator over make(step) for every step, in order.

    Up to `depth` items are made ahead by `threads` threads. What `make` raises is raised by the
    iterator at that item's turn. Leaving the block drops what nobody took.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prefetch")
    waiting: deque[Future[Item]] = deque()

    def items() -> Iterator[Item]:
        remaining = iter(steps)
        for step in remaining:
            waiting.append(pool.submit(make, step))
            if len(waiting) >= depth:
                break
        while waiting:
            item = waiting.popleft().result()
            if (step := next(remaining, -1)) >= 0:
                waiting.append(pool.submit(make, step))
            yield item

    try:
        yield items()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
