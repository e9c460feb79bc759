"""Sets of rendered pairs on disk: blurred and all-in-focus crops with their exact radius.

Folder: `set.json` with the facts of the set, and shards `shard-00000/` of three arrays each:

    blurred.npy, all_in_focus.npy   uint8 (N, H, W, 3), RGB
    radius.npy                      float16 (N, H/2, W/2), signed blur radius in full-size pixels,
                                    positive behind the plane of focus

A shard is written under a temporary name and renamed, so several processes may fill one set
and an interrupted run leaves only whole shards. Sets whose all-in-focus crops are only what
trained networks restored (`training/taught_set.py`) say so in their facts, under "teachers".
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from defocusfix.errors import InputError, OutputError

SHARD_SIZE = 250  # crops that are written together, whole or not at all, unless told otherwise
TEACHERS = "teachers"  # among the facts of a set whose truth networks restored
_ARRAYS = ("blurred", "all_in_focus", "radius")


class RenderedSet:
    """A read-only view of a set; crops are memory-mapped and copied only when asked for."""

    def __init__(self, folder: Path) -> None:
        """Open `folder`. Raises InputError if it holds no facts or no whole shard."""
        self.folder = folder
        if not is_rendered_set(folder):
            raise InputError(
                f"{folder} is not a set of rendered pairs",
                why="it has no set.json",
                fix="make one with: defocusfix render --photos DIR -o SET",
            )
        self.facts = _read_facts(folder)
        shards = sorted(path for path in folder.glob("shard-*") if path.suffix != ".part")
        self._shards = [
            tuple(np.load(shard / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
            for shard in shards
        ]
        if not self._shards:
            raise InputError(f"{folder} holds no rendered pairs", why="no shard is complete")
        self._stops = np.cumsum([len(shard[0]) for shard in self._shards])

    def __len__(self) -> int:
        return int(self._stops[-1])

    @property
    def is_taught(self) -> bool:
        """Whether the all-in-focus crops are only what networks restored."""
        return TEACHERS in self.facts

    def require_truth(self) -> None:
        """Raise InputError if the all-in-focus crops are only what networks restored."""
        if self.is_taught:
            raise InputError(
                f"{self.folder} tells nothing of how good a restoration is",
                why="its sharp pictures are what networks restored (`defocusfix teach`)",
                fix="a set made by `defocusfix render`, best from photos that were not learnt from",
            )

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pair `index`: blurred, all_in_focus (H, W, 3) uint8; radius (H/2, W/2) float16."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        shard = int(np.searchsorted(self._stops, index, side="right"))
        first = int(self._stops[shard - 1]) if shard else 0
        blurred, all_in_focus, radius = (array[index - first] for array in self._shards[shard])
        return blurred, all_in_focus, radius


def is_rendered_set(folder: Path) -> bool:
    """Whether `folder` holds a set, finished or not."""
    return (folder / "set.json").is_file()


def shard_folder(folder: Path, number: int) -> Path:
    """Where shard `number` of the set in `folder` lies."""
    return folder / f"shard-{number:05d}"


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Write `set.json`; the folder is made if it is missing.

    Raises OutputError if it holds a set of other facts; only the count may grow or shrink.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if is_rendered_set(folder):
        there = _read_facts(folder)
        names = (there.keys() | facts.keys()) - {"count"}
        differ = {name for name in names if there.get(name) != facts.get(name)}
        if differ:
            raise OutputError(
                f"{folder} holds another set already",
                why="it differs in " + ", ".join(sorted(differ)),
                fix="another folder, or the settings with which the set was begun",
            )
    temporary = folder / f"set.json.{os.getpid()}.part"
    temporary.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    temporary.replace(folder / "set.json")


def write_shard(
    folder: Path, number: int, blurred: np.ndarray, all_in_focus: np.ndarray, radius: np.ndarray
) -> None:
    """Write one shard whole or not at all; arrays as in the module's description."""
    final = shard_folder(folder, number)
    temporary = final.with_name(f"{final.name}.{os.getpid()}.part")
    temporary.mkdir(parents=True)
    for name, array in zip(_ARRAYS, (blurred, all_in_focus, radius), strict=True):
        np.save(temporary / f"{name}.npy", array)
    try:
        temporary.rename(final)
    except OSError:  # another process finished the same shard first; theirs is as good
        shutil.rmtree(temporary)


def _read_facts(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "set.json").read_text("utf-8"))
    return facts
