"""Patterns of names and paths, as shells and .gitignore know them.

Case, and how accents are composed, make no difference. `*` and `?` and `[...]` stand for letters of
one name and never for a /; `**` stands for any number of folders. A pattern without / is one of a
name, in whatever folder; `raw/` is the folder raw, wherever it is, with all that is in it.
"""

from __future__ import annotations

import fnmatch
import os
import re
import unicodedata
from collections.abc import Sequence
from functools import cache

ANY_FOLDERS = "**"


class Patterns:
    """Some patterns, of which one must fit."""

    def __init__(self, texts: Sequence[str]) -> None:
        parted = [_parts(text) for text in texts]
        self._of_names = [_one_name(parts[0]) for parts in parted if _is_of_a_name(parts)]
        self._of_paths = [parts for parts in parted if not _is_of_a_name(parts)]

    def fit(self, path: str) -> bool:
        """Whether one fits a path, whose parts have / between them, or the last of its parts."""
        if not self._of_names and not self._of_paths:
            return False
        parts = composed(path).split("/")
        return any(name.match(parts[-1]) for name in self._of_names) or any(
            _fits(parts, pattern) for pattern in self._of_paths
        )


def composed(text: str) -> str:
    """The text with every accent in one character with its letter, as most systems write names."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _parts(text: str) -> tuple[str, ...]:
    text = composed(text if os.sep == "/" else text.replace(os.sep, "/"))
    if text.endswith("/"):
        text += ANY_FOLDERS
        if text.count("/") == 1:
            text = f"{ANY_FOLDERS}/{text}"
    return tuple(part for part in text.split("/") if part not in ("", ".")) or ("",)


def _is_of_a_name(parts: tuple[str, ...]) -> bool:
    return len(parts) == 1 and parts[0] != ANY_FOLDERS


@cache
def _one_name(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern), re.IGNORECASE)


def _fits(parts: Sequence[str], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == ANY_FOLDERS:
        return any(_fits(parts[n:], pattern[1:]) for n in range(len(parts) + 1))
    is_first = bool(parts) and _one_name(pattern[0]).match(parts[0]) is not None
    return is_first and _fits(parts[1:], pattern[1:])
