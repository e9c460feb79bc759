"""A split of pairs on disk: as a list, as settings for training, as two folders of photos."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import tomlkit

from defocusfix.errors import OutputError
from defocusfix.pairs.find import PairFiles, Way
from defocusfix.photo.safe_write import new_file, safe_write

PARTS: Final = ("learn", "held-out")
CHUNK_BYTES: Final = 1 << 20

Placing = Literal["none", "link", "copy"]


@dataclass(frozen=True, slots=True)
class Split:
    """Pairs with their scenes, and which of them are held out."""

    pairs: tuple[PairFiles, ...]
    scenes: tuple[str, ...]
    """Of each pair."""
    held_out: frozenset[str]
    """Names of pairs."""
    paired_by: Way

    def rows(self) -> list[dict[str, str]]:
        """One row per pair: name, scene, part, and both files."""
        return [
            {
                "name": pair.name,
                "scene": scene,
                "part": self.part_of(pair),
                "blurry": str(pair.blurred),
                "sharp": str(pair.all_in_focus),
            }
            for pair, scene in zip(self.pairs, self.scenes, strict=True)
        ]

    def part_of(self, pair: PairFiles) -> str:
        """The name of its side, as in `PARTS`."""
        return PARTS[pair.name in self.held_out]

    def to_json(self) -> dict[str, Any]:
        """All of it in plain values."""
        return {"held_out": sorted(self.held_out), "pairs": self.rows()}


def write_split(
    split: Split,
    folder: Path,
    blurry: Path,
    sharp: Path,
    *,
    files: Placing = "none",
    may_overwrite: bool = False,
) -> None:
    """Write split.csv and split.toml, and the photos themselves if `files` says so.

    blurry, sharp: the folders in which the pairs were found. Photos go to learn/ and held-out/,
    each with blurry and sharp, both of a pair under its name.
    Raises OutputError if a list exists and may not be overwritten, if photos of an earlier split
    are there, which would mix with these, or if something cannot be written.
    """
    if files != "none":
        for part in PARTS:
            if (folder / part).exists() and any((folder / part).iterdir()):
                raise OutputError(
                    f"{folder / part} holds photos already",
                    why="they would mix with those of this split",
                    fix="another folder with -o",
                )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("split.csv", _as_csv(split)),
            ("split.toml", _as_toml(split, blurry, sharp)),
        ):
            safe_write(folder / name, text.encode(), may_overwrite=may_overwrite)
        if files != "none":
            for pair in split.pairs:
                for kind, source in (("blurry", pair.blurred), ("sharp", pair.all_in_focus)):
                    place = folder / split.part_of(pair) / kind / f"{pair.name}{source.suffix}"
                    place.parent.mkdir(parents=True, exist_ok=True)
                    _place(source, place, files)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be filled",
            why=(error.strerror or str(error)).lower(),
            fix="--files copy, if links cannot be made here" if files == "link" else "",
        ) from error


def _place(source: Path, place: Path, files: Placing) -> None:
    if files == "link":
        place.symlink_to(source.resolve())
        return
    with source.open("rb") as original, new_file(place) as copy:
        while chunk := original.read(CHUNK_BYTES):
            copy.write(chunk)


def _as_csv(split: Split) -> str:
    text = io.StringIO()
    rows = split.rows()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _as_toml(split: Split, blurry: Path, sharp: Path) -> str:
    recipe = {
        "blurry": str(blurry.resolve()),
        "sharp": str(sharp.resolve()),
        "matching": split.paired_by,
        "held_out": sorted(split.held_out),
    }
    return tomlkit.dumps({"recipe_name": "reblur-guided", "recipe": recipe})
