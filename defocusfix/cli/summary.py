"""What became of a batch of photos, in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from defocusfix.jobs.clock_time import clock_time
from defocusfix.jobs.events import Finished, PhotoFailed, SkipReason


def summary(finished: Finished, skipped: Mapping[SkipReason, int]) -> Iterator[str]:
    """Lines on what was done, skipped and why, left, and how many failed.

    skipped: how many photos needed no work or were left to another run, by the reason.
    """
    seconds = max(finished.seconds, 1e-3)
    digits = 0 if finished.megapixels >= 100 else 1
    speed = f", {finished.megapixels / seconds:.3g} MP/s" if finished.n_done else ""
    yield (
        f"done: {_photos(finished.n_done)}, {finished.megapixels:,.{digits}f} MP "
        f"in {clock_time(seconds)}{speed}"
    )
    if n_before := skipped.get(SkipReason.DONE, 0):
        yield f"skipped: {_photos(n_before)} done before, unchanged since"
    if n_there := skipped.get(SkipReason.EXISTS, 0):
        yield f"skipped: {_photos(n_there)} whose output is there already"
    if finished.n_claimed:
        yield f"left: {_photos(finished.n_claimed)} that another run is doing"
    if finished.n_left:
        yield f"left: {_photos(finished.n_left)} that this run did not come to"
    n_earlier = sum(failure.is_earlier for failure in finished.failed)
    earlier = f", {n_earlier:,} of them in an earlier run" if n_earlier else ""
    if finished.failed:
        yield f"failed: {_photos(len(finished.failed))}{earlier}"


def reason_of(failure: PhotoFailed) -> str:
    """One line on a photo that failed, with its path in the folder that was named."""
    item, error = failure.item, failure.error
    name = item.key or item.name
    why = "; ".join(error.why.splitlines())
    reason = f"{error.what}: {why}" if why else error.what
    for known in () if item.source is None else (str(item.source), item.source.name):
        if known in reason:
            return reason.replace(known, name, 1)
    return f"{name}: {reason}"


def _photos(number: int) -> str:
    return f"{number:,} photo{'' if number == 1 else 's'}"
