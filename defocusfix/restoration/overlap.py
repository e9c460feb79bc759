"""Conversion and blending beside the network, in one thread of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Found = TypeVar("Found")


def overlapped(
    items: Sequence[Item],
    prepare: Callable[[Item], Prepared],
    compute: Callable[[Item, Prepared], Found],
    finish: Callable[[Item, Found], None],
) -> None:
    """Call `finish(item, compute(item, prepare(item)))` for every item, in order.

    While one item is computed by the calling thread, a second thread finishes the one before and
    prepares the one after. It does one thing at a time and always in the same order, so `prepare`
    and `finish` may share state, and nothing depends on timing. At most two items are held. Of a
    single item all is done by the calling thread.
    """
    if len(items) < 2:  # a thread would only cost its start
        for item in items:
            finish(item, compute(item, prepare(item)))
        return
    with ThreadPoolExecutor(1, thread_name_prefix="defocusfix-tiles") as beside:
        try:
            ready = beside.submit(prepare, items[0])
            finished: Future[None] | None = None
            for number, item in enumerate(items):
                prepared = ready.result()
                if number + 1 < len(items):
                    ready = beside.submit(prepare, items[number + 1])
                found = compute(item, prepared)
                if finished is not None:
                    finished.result()
                finished = beside.submit(finish, item, found)
            if finished is not None:
                finished.result()
        except BaseException:
            beside.shutdown(cancel_futures=True)
            raise
