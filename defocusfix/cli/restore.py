"""`defocusfix restore`: bring photos back into focus."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from defocusfix.cli import options, output
from defocusfix.cli.options import FILES, FORMAT, LOOK, SPEED
from defocusfix.cli.telling import Teller, raise_what_failed
from defocusfix.errors import UsageError
from defocusfix.jobs.plan import Naming, OnExists, Plan, make_plan
from defocusfix.jobs.treatment import (
    COMPARISON_SUFFIXES,
    MAP_SUFFIXES,
    Comparison,
    MapFormat,
    Metadata,
    Target,
    Treatment,
    map_format_of,
)


def restore(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Photos: JPEG, PNG, TIFF, WebP, AVIF, BMP, JPEG 2000; HEIC and camera raw with "
            "the extras heif and raw. - is standard input.",
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            rich_help_panel=FILES,
            help="File for one photo, folder for several, or - for standard output. "
            "Without it: NAME_restored beside each photo.",
        ),
    ] = None,
    on_exists: Annotated[
        OnExists,
        typer.Option(
            rich_help_panel=FILES, help="What to do about an output that is there already."
        ),
    ] = OnExists.ERROR,
    map_target: Annotated[
        str | None,
        typer.Option(
            "--map",
            metavar="[=PATH]",
            rich_help_panel=FILES,
            help="Also save the defocus map, how blurred each place is, as NAME_defocus or to "
            "PATH. The value needs the =.",
        ),
    ] = None,
    map_format: Annotated[
        MapFormat | None,
        typer.Option(
            rich_help_panel=FILES,
            help="png16: 16 bits, 0 in focus, 1024 for each pixel of blur radius, 65535 for 64 "
            "and more. npy, tiff: blur radius in pixels, 32-bit float. color: to look at, with a "
            "legend. [default: what PATH ends in, or png16]",
        ),
    ] = None,
    comparison: Annotated[
        Comparison | None,
        typer.Option(
            "--compare",
            rich_help_panel=FILES,
            help="Also save before and after as NAME_compare: one PNG with both side by side, or "
            "one HTML page with a slider.",
        ),
    ] = None,
    as_json: options.Json = False,
    best: options.Best = False,
    strength: Annotated[
        float,
        typer.Option(
            "--strength",
            "-s",
            rich_help_panel=LOOK,
            help="0 leaves the photo as it is, 1 restores it fully.",
        ),
    ] = 1.0,
    protect_sharp: Annotated[
        float,
        typer.Option(
            rich_help_panel=LOOK,
            help="Keep the exact pixels of what is in focus: where the blur radius is below this "
            "many pixels, 0 to 1. 0 leaves it to the model.",
        ),
    ] = 0.0,
    keep_bokeh: Annotated[
        float | None,
        typer.Option(
            metavar="RADIUS",
            rich_help_panel=LOOK,
            help="Keep blur that is stronger than this radius in pixels, as it is meant: a missed "
            "focus on the face is repaired, the soft background stays soft.",
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=LOOK,
            help="Picture of the photo's shape that is white where to restore; black places keep "
            "their exact pixels. Edges are softened.",
        ),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H",
            rich_help_panel=LOOK,
            help="Restore only this part, in pixels of the upright photo, for a quick look.",
        ),
    ] = None,
    scale: Annotated[
        Literal["auto", "1", "2", "4"],
        typer.Option(
            rich_help_panel=LOOK,
            help="Finest size computed: full (1), half (2), a quarter (4). auto takes for each "
            "place what its blur needs, and nothing where it is in focus.",
        ),
    ] = "auto",
    model: options.Model = None,
    cache_dir: options.CacheDir = None,
    offline: options.Offline = False,
    file_format: Annotated[
        Target | None,
        typer.Option(
            "--format",
            rich_help_panel=FORMAT,
            help="Of the output; jpeg, png, tiff, webp and avif have 8 bits, tiff32f is floating "
            "point. [default: format and depth of the photo; jpeg for HEIC, tiff16 for raw]",
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            rich_help_panel=FORMAT,
            help="Of JPEG, WebP and AVIF. [default: not below that of the photo]",
        ),
    ] = None,
    metadata: Annotated[
        Metadata,
        typer.Option(
            rich_help_panel=FORMAT,
            help="What the output says about the photo: all of it, only date, author and "
            "copyright, or nothing. The colour profile always stays.",
        ),
    ] = "keep",
    no_gps: Annotated[
        bool,
        typer.Option(
            "--no-gps", rich_help_panel=FORMAT, help="Leave out where the photo was taken."
        ),
    ] = False,
    engine: options.EngineChoice = "auto",
    device: options.Device = "auto",
    precision: options.PrecisionChoice = "auto",
    threads: options.Threads = None,
    tile: Annotated[
        int | None,
        typer.Option(
            min=0,
            rich_help_panel=SPEED,
            help="Pixels each way that are computed at once. Fewer need less memory; 0 takes the "
            "whole photo. [default: what suits the model]",
        ),
    ] = None,
    max_megapixels: options.MaxMegapixels = options.LARGEST_MEGAPIXELS,
    max_file_size: options.MaxFileSize = options.LARGEST_FILE_GB,
) -> None:
    """Bring out-of-focus photos back into focus.

    A photo you give is never changed. The restored one has the same format, depth, colours and
    metadata, and stands upright.

    Examples:

      defocusfix restore portrait.jpg

      defocusfix restore portrait.jpg --strength 0.6 -o softer.jpg

      defocusfix restore portrait.jpg --keep-bokeh 12 --compare html

      defocusfix restore *.tif -o restored/ --map
    """
    if as_json and target == options.STREAM:
        raise options.two_on_stdout()
    if as_json:
        output.answer_in_json()
    treatment = Treatment(
        program=options.PROGRAM,
        target=file_format,
        quality=quality,
        metadata=metadata,
        keeps_gps=not no_gps,
        mask=mask,
        area=options.area_of(crop),
        map_format=map_format_of(map_target or "", map_format),
        comparison=comparison,
        limits=options.limits_of(max_megapixels, max_file_size),
    )
    if map_target is None and map_format is not None:
        raise UsageError("--map-format says of which kind a map is", fix="add --map")
    plan = _plan(paths, target, map_target, treatment, on_exists)

    from defocusfix.cli.weights import ready_weights
    from defocusfix.jobs.files import Streams
    from defocusfix.jobs.restoring import Restoring
    from defocusfix.jobs.run import run_plan
    from defocusfix.restoration import RestoreSettings

    weights = ready_weights(model, cache_dir=cache_dir, offline=offline)
    settings = RestoreSettings(
        strength=strength,
        mirrored=best,
        protect_sharp=protect_sharp,
        keep_bokeh_px=keep_bokeh,
        scale=options.SCALES[scale],
        tile=tile,
    )

    work = Restoring(
        treatment,
        options.restorers(
            weights,
            engine=engine,
            device=device,
            precision=precision,
            threads=threads,
            settings=settings,
        ),
        Streams(output.standard_input, output.data_bytes),
        may_overwrite=on_exists is OnExists.OVERWRITE,
    )
    is_demanded = (engine, device, precision) != ("auto", "auto", "auto")
    with Teller("Restoring", is_demanded=is_demanded, as_json=as_json) as teller:
        finished = run_plan(plan, work, teller)
    raise_what_failed(finished, len(plan.items), "restored")


def _plan(
    paths: list[str],
    target: str | None,
    map_target: str | None,
    treatment: Treatment,
    on_exists: OnExists,
) -> Plan:
    from defocusfix.jobs.restoring import output_suffix

    naming = Naming(
        suffix_of=partial(output_suffix, treatment),
        map_suffix=None if map_target is None else MAP_SUFFIXES[treatment.map_format][0],
        map_output=Path(map_target) if map_target else None,
        comparison_suffix=treatment.comparison and COMPARISON_SUFFIXES[treatment.comparison],
    )
    return make_plan(
        options.sources_of(paths),
        naming=naming,
        output=options.output_of(target),
        is_folder=options.is_folder(target),
        to_stdout=target == options.STREAM,
        on_exists=on_exists,
    )
