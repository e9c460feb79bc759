"""Arguments and options that the commands for pairs of photos share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Blurry = Annotated[Path, typer.Argument(metavar="BLURRY", help="Folder of the blurry photos.")]
Sharp = Annotated[Path, typer.Argument(metavar="SHARP", help="Folder of the sharp photos.")]
PairBy = Annotated[
    Literal["auto", "name", "time", "order", "similarity"],
    typer.Option(
        "--pair-by",
        help="What tells which photos belong together: their names, the times they were taken, "
        "their order, or what they show. auto tries these one after the other.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files that are there already.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout instead.")]


def in_words(pairs: int) -> str:
    """A number of pairs, as in "1 pair" and "2 pairs"."""
    return f"{pairs} pair" + ("" if pairs == 1 else "s")
