"""`defocusfix render`: training and validation pairs from sharp photos."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def render(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the set; an unfinished set goes on.")
    ],
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            "--photos",
            exists=True,
            file_okay=False,
            help="Folder of sharp photos, may be given several times. "
            "Without it, procedural textures are rendered and no photo is needed.",
        ),
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, help="Number of crops, rounded up to a multiple of 250.")
    ] = 20_000,
    size: Annotated[int, typer.Option(min=64, help="Side of a crop, a multiple of 64.")] = 256,
    seed: Annotated[int, typer.Option(help="Another seed gives another set.")] = 0,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Worker processes. [default: one per core]")
    ] = None,
) -> None:
    """Render defocused pairs with exact radius maps from sharp photos.

    Each pair is a scene of layers seen through a simulated lens and camera: the blurred photo,
    the all-in-focus photo and the blur radius of every pixel. `train` and `evaluate --rendered`
    read the set. The photos themselves are only read.

    Examples:

      defocusfix render --photos ~/sharp -o crops

      defocusfix render --photos ~/other --count 250 --seed 1 -o validation
    """
    from defocusfix.cli.progress import follow
    from defocusfix.errors import UsageError
    from defocusfix.rendering.produce import RenderSettings, render_set

    if size % 64:
        raise UsageError(f"--size {size} is not a multiple of 64", fix=f"try {size // 64 * 64}")
    settings = RenderSettings(tuple(photos or ()), size=size, count=count, seed=seed)
    finished = render_set(settings, output, processes=processes or os.cpu_count() or 1)
    follow(finished, f"rendering {output}", total=settings.whole_count, unit="crops")
