"""What is said of many photos, said once: each kind of sentence with a count and a few names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_NAMES = 3  # kept of each kind
MOST_KINDS = 50  # told apart; what comes after them is counted as one more
OTHER = "something else, which only the journal tells"
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(slots=True)
class Kind:
    """One kind of sentence."""

    text: str
    """As it was said of the first photo."""
    n_photos: int = 0
    names: list[str] = field(default_factory=list)
    """Of the first photos."""


class Tally:
    """Sentences about photos by kind; needs no more memory for a hundred thousand than for a few.

    Sentences that differ in their numbers only are of one kind.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, Kind] = {}

    def add(self, text: str, name: str) -> None:
        """Count that `text` was said of the photo `name`."""
        pattern = NUMBER.sub("#", text)
        if pattern not in self._kinds and len(self._kinds) >= MOST_KINDS:
            text = pattern = OTHER
        kind = self._kinds.setdefault(pattern, Kind(text))
        kind.n_photos += 1
        if len(kind.names) < MOST_NAMES:
            kind.names.append(name)

    def __iter__(self) -> Iterator[Kind]:
        """The kinds, in the order in which they came up."""
        return iter(self._kinds.values())
