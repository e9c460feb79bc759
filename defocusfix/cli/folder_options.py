"""The options of `restore` that concern folders and long runs, as annotated types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from defocusfix.cli.options import FILES, SPEED

FOLDERS, MACHINES = "Folders", "Several machines"

InPlaceWish = Annotated[
    bool,
    typer.Option(
        "--in-place",
        rich_help_panel=FILES,
        help="Put the restored photo in the place of the one you give, which stays beside it as "
        "NAME.orig. For photo managers that hand over a file and expect it changed.",
    ),
]
NoBackup = Annotated[
    bool,
    typer.Option("--no-backup", rich_help_panel=FILES, help="With --in-place, keep no NAME.orig."),
]
Recursive = Annotated[
    bool,
    typer.Option(
        "--recursive/--no-recursive",
        rich_help_panel=FOLDERS,
        help="Whether the folders within a folder are done too.",
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="GLOB",
        rich_help_panel=FOLDERS,
        help="Of a folder, only photos whose name or path within it fits, as in '*.tif' or "
        "'2024/**'. May be repeated.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="GLOB",
        rich_help_panel=FOLDERS,
        help="Leave out photos and folders that fit. May be repeated.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        "-n",
        rich_help_panel=FOLDERS,
        help="Only list what would be done, with megapixels, time and disk space.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume/--no-resume",
        rich_help_panel=FOLDERS,
        help="Whether photos that an earlier run finished with the same settings are left as they "
        "are; the journal in the output folder knows them.",
    ),
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        rich_help_panel=FOLDERS,
        help="Try those again that failed in an earlier run.",
    ),
]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        rich_help_panel=FOLDERS,
        help="Read finished photos whole to see whether they are unchanged, instead of trusting "
        "size and time.",
    ),
]
FailFast = Annotated[
    bool,
    typer.Option(
        "--fail-fast", rich_help_panel=FOLDERS, help="Stop at the first photo that fails."
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=SPEED,
        metavar="N",
        help="Photos that are computed at the same time, each with its share of the threads and "
        "with memory of its own. [default: for several photos on a CPU one per thread, up to 4; "
        "otherwise 1]",
    ),
]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE.html",
        rich_help_panel=FOLDERS,
        help="Write one HTML page with all photos before and after, settings and failures.",
    ),
]
Watch = Annotated[
    bool,
    typer.Option(
        "--watch",
        rich_help_panel=FOLDERS,
        help="Stay, and restore new photos as they arrive in the folder, until Ctrl-C.",
    ),
]
ShardText = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        rich_help_panel=MACHINES,
        help="Do only part I of N, as in 3/8 for the third machine of eight. The parts are alike "
        "in megapixels and the same on every machine.",
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="CLUSTER",
        rich_help_panel=MACHINES,
        help="Let a Ray cluster do the work: local, auto, HOST:PORT or ray://HOST:PORT. Needs the "
        "extra cluster.",
    ),
]
