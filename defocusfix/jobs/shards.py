"""One part of a plan, for several machines that know nothing of each other.

Every machine makes the same plan and takes its own part. Which part a photo belongs to depends on
what the photos are, not on the order in which a disk lists them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from defocusfix.errors import UsageError
from defocusfix.jobs.headers import header_of
from defocusfix.jobs.plan import Item, Plan

ENDS_BYTES = 64 * 1024  # hashed at either end of a file
READERS = 8  # at once, since a disk far away answers late
BYTES_PER_MEGAPIXEL = 1e6  # of photos whose header says nothing, roughly
_TEXT = re.compile(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number` of `count`, counted from 1. Raises UsageError if there is no such part."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(
                f"there is no part {self.number} of {self.count}",
                fix="the parts of 8 are 1/8 to 8/8",
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that `I/N` names. Raises UsageError if it names none."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise UsageError(f"--shard {text} names no part", fix="give I/N, as in --shard 3/8")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Weight:
    """How much work a photo is, and what it is sorted by; the same on every machine."""

    megapixels: float
    content: str
    """Tells photos apart by what is in their files."""
    key: str


def part_of(plan: Plan, shard: Shard) -> Plan:
    """The plan of one shard, in the order of the whole.

    The parts of all shards have every item once, and differ in megapixels by no more than the
    largest photo has.
    """
    if shard.count == 1:
        return plan
    with ThreadPoolExecutor(READERS) as readers:
        weights = list(readers.map(weight_of, plan.items))
    mine = set(parts(weights, shard.count)[shard.number - 1])
    return replace(plan, items=tuple(item for n, item in enumerate(plan.items) if n in mine))


def parts(weights: Sequence[Weight], count: int) -> list[list[int]]:
    """Positions of the photos in each of `count` parts, the largest first.

    Each goes to the part that has least by then.
    """
    loads = [0.0] * count
    found: list[list[int]] = [[] for _ in loads]
    order = sorted(
        range(len(weights)),
        key=lambda n: (-weights[n].megapixels, weights[n].content, weights[n].key),
    )
    for n in order:
        lightest = min(range(count), key=loads.__getitem__)
        found[lightest].append(n)
        loads[lightest] += weights[n].megapixels
    return found


def weight_of(item: Item) -> Weight:
    """The weight of one photo; one that cannot be read has none.

    A photo that is restored in place is another file afterwards, so only its size in pixels and its
    key count.
    """
    if item.source is None:
        return Weight(0.0, "", item.key)
    header = header_of(item.source)
    content = "" if item.replaces else _content_key(item.source)
    if header is None:
        return Weight(_megapixels_by_size(item), content, item.key)
    return Weight(header.megapixels, content, item.key)


def _megapixels_by_size(item: Item) -> float:
    if item.source is None or item.replaces:
        return 0.0
    try:
        return item.source.stat().st_size / BYTES_PER_MEGAPIXEL
    except OSError:
        return 0.0


def _content_key(path: Path) -> str:
    try:
        with path.open("rb") as file:
            n_bytes = file.seek(0, os.SEEK_END)
            file.seek(0)
            ends = file.read(ENDS_BYTES)
            file.seek(max(len(ends), n_bytes - ENDS_BYTES))
            ends += file.read(ENDS_BYTES)
    except OSError:
        return ""
    return f"{n_bytes:016x}{hashlib.sha256(ends).hexdigest()}"
