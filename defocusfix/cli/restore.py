"""`defocusfix restore`: bring photos back into focus."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from defocusfix.cli import folder_options, options, output
from defocusfix.cli.options import FILES, FORMAT, LOOK, SPEED
from defocusfix.errors import UsageError
from defocusfix.jobs.plan import Naming, OnExists
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
            help="Photos, or folders of them: JPEG, PNG, TIFF, WebP, AVIF, BMP, JPEG 2000; HEIC "
            "and camera raw with the extras heif and raw. - is standard input.",
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            rich_help_panel=FILES,
            help="File for one photo, folder for several, in which the photos of a folder lie as "
            "they do there, or - for standard output. Without it: NAME_restored beside each photo.",
        ),
    ] = None,
    in_place: folder_options.InPlaceWish = False,
    no_backup: folder_options.NoBackup = False,
    on_exists: Annotated[
        OnExists | None,
        typer.Option(
            rich_help_panel=FILES,
            help="What to do about an output that is there already, and not as an earlier run of "
            "a folder left it. [default: skip for folders, else error]",
        ),
    ] = None,
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
    left: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=LOOK,
            help="For models that need it: what the left halves of the pixels of a dual-pixel "
            "sensor saw, a photo of the same size; with --right, and for one photo.",
        ),
    ] = None,
    right: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=LOOK, help="The same of the right halves."),
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
    recursive: folder_options.Recursive = True,
    include: folder_options.Include = None,
    exclude: folder_options.Exclude = None,
    dry_run: folder_options.DryRun = False,
    resume: folder_options.Resume = True,
    retry_failed: folder_options.RetryFailed = False,
    verify: folder_options.Verify = False,
    fail_fast: folder_options.FailFast = False,
    report: folder_options.ReportFile = None,
    is_watch: folder_options.Watch = False,
    shard: folder_options.ShardText = None,
    cluster: folder_options.On = None,
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
    jobs: folder_options.Jobs = None,
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

    A photo you give is never changed, unless you say --in-place. The restored one has the same
    format, depth, colours and metadata, and stands upright. A folder can be stopped and gone on
    with at any time: the same command does what is not done yet.

    Examples:

      defocusfix restore portrait.jpg

      defocusfix restore portrait.jpg --strength 0.6 -o softer.jpg

      defocusfix restore portrait.jpg --keep-bokeh 12 --compare html

      defocusfix restore *.tif -o restored/ --map

      defocusfix restore archive/ -o restored/ --report report.html
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
        views=_views(left, right),
        area=options.area_of(crop),
        map_format=map_format_of(map_target or "", map_format),
        comparison=comparison,
        limits=options.limits_of(max_megapixels, max_file_size),
    )
    if map_target is None and map_format is not None:
        raise UsageError("--map-format says of which kind a map is", fix="add --map")
    if no_backup and not in_place:
        raise UsageError("--no-backup is about photos that are replaced", fix="add --in-place")
    if is_watch and dry_run:
        raise UsageError("--watch and --dry-run contradict each other", fix="leave one of them out")
    if in_place and crop:
        raise UsageError("--crop would put a part of the photo in its place", fix="leave one out")

    from defocusfix.cli.search import Search
    from defocusfix.jobs.folders import FolderChoice
    from defocusfix.jobs.planning import InPlace

    search = Search(
        sources=options.sources_of(paths),
        naming=_naming(map_target, treatment),
        choice=FolderChoice(recursive, tuple(include or ()), tuple(exclude or ())),
        output=options.output_of(target),
        is_folder=options.is_folder(target),
        to_stdout=target == options.STREAM,
        in_place=InPlace(keeps_backup=not no_backup) if in_place else None,
        on_exists=on_exists,
        shard=shard,
    )
    if is_watch and (not search.folders or len(search.folders) < len(search.sources)):
        raise UsageError(
            "--watch waits for photos in folders, and only for them", fix="name folders"
        )
    if treatment.views is not None and (search.folders or len(search.sources) > 1):
        raise UsageError(
            "--left and --right are the views of one photo, and several were named",
            fix="restore the photos of a dual-pixel camera one by one",
        )
    plan = None if is_watch else search.plan()

    from defocusfix.cli.batch import Course, carry_out, watch
    from defocusfix.cli.telling import demanded
    from defocusfix.cli.weights import ready_weights
    from defocusfix.jobs.recipe import Recipe
    from defocusfix.restoration import RestoreSettings

    recipe = Recipe(
        treatment=treatment,
        settings=RestoreSettings(
            strength=strength,
            mirrored=best,
            protect_sharp=protect_sharp,
            keep_bokeh_px=keep_bokeh,
            scale=options.SCALES[scale],
            tile=tile,
        ),
        model=ready_weights(model, cache_dir=cache_dir, offline=offline),
        engine=engine,
        device=device,
        precision=precision,
        threads=threads,
        may_overwrite=on_exists is OnExists.OVERWRITE,
    )
    course = Course(
        recipe=recipe,
        demands=demanded(engine=engine, device=device, precision=precision),
        as_json=as_json,
        home=search.home,
        folders=search.folders,
        on_exists=on_exists or OnExists.SKIP,
        with_map=map_target is not None,
        resumes=resume,
        retries_failed=retry_failed,
        verifies=verify,
        fails_fast=fail_fast,
        cluster=cluster,
        report=report,
        jobs=jobs,
    )
    if plan is None:
        watch(course, search.find, search.plan, is_in_place=in_place)
    elif dry_run:
        from defocusfix.cli.dry_run import foretell

        foretell(plan, course)
    else:
        carry_out(plan, course)


def _naming(map_target: str | None, treatment: Treatment) -> Naming:
    from defocusfix.jobs.restoring import output_suffix

    return Naming(
        suffix_of=partial(output_suffix, treatment),
        map_suffix=None if map_target is None else MAP_SUFFIXES[treatment.map_format][0],
        map_output=Path(map_target) if map_target else None,
        comparison_suffix=treatment.comparison and COMPARISON_SUFFIXES[treatment.comparison],
    )


def _views(left: Path | None, right: Path | None) -> tuple[Path, Path] | None:
    """The two views of the photo. Raises UsageError if only one is given."""
    if left is not None and right is not None:
        return left, right
    if left is None and right is None:
        return None
    given, missing = ("--left", "--right") if right is None else ("--right", "--left")
    raise UsageError(
        f"{given} was given without {missing}",
        why="a model for dual-pixel photos compares both views",
        fix=f"add {missing} FILE",
    )
