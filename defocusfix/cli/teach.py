"""`defocusfix teach`: what trained networks restore, as a set for another network to learn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def teach(
    source: Annotated[
        Path,
        typer.Argument(
            exists=True,
            file_okay=False,
            help="A set of rendered pairs, or a folder of photos that are out of focus.",
        ),
    ],
    teacher: Annotated[
        list[Path],
        typer.Option(
            "--teacher",
            "-t",
            exists=True,
            dir_okay=False,
            help="Weights (.safetensors) of a network that restores them, may be given several "
            "times; one that is given twice counts twice.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the set; an unfinished set goes on.")
    ],
    views: Annotated[
        int,
        typer.Option(min=1, max=8, help="Mirrored and turned views that each is asked about."),
    ] = 1,
    count: Annotated[
        int, typer.Option(min=1, help="Number of pictures; of a set no more than it has.")
    ] = 5_000,
    size: Annotated[
        int, typer.Option(min=64, help="Side of the windows of photos, a multiple of 64.")
    ] = 256,
    seed: Annotated[int, typer.Option(help="Another seed gives other views and windows.")] = 0,
) -> None:
    """Restore pictures by trained networks, for another network to learn from.

    The mean of what several networks make of several views of a picture is better than what any
    of them makes of one. `train` learns from the set as from rendered pairs, and so gives a
    network that does in one pass nearly what all of them do. The pictures are those of a rendered
    set, or windows of photos, of which no sharper picture needs to be known.

    Examples:

      defocusfix teach crops -t mine.safetensors -t other.safetensors -o taught

      defocusfix teach ~/soft -t mine.safetensors --views 8 -o taught-photos
    """
    from defocusfix.cli.progress import follow
    from defocusfix.training.device import training_device
    from defocusfix.training.taught_set import Pictures, teach_set
    from defocusfix.training.teaching import Teachers

    pictures = Pictures.of(source, count=count, size=size, seed=seed)
    teachers = Teachers(teacher, views=views, device=training_device("auto"))
    finished = teach_set(pictures, teachers, output, seed=seed)
    follow(finished, f"teaching {output}", total=pictures.count, unit="pictures")
