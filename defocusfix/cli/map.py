"""`defocusfix map`: how blurred each place of a photo is, and nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from defocusfix.cli import options, output
from defocusfix.cli.options import FILES, SPEED
from defocusfix.jobs.plan import Naming, OnExists
from defocusfix.jobs.treatment import MAP_SUFFIXES, MapFormat, map_format_of


def map_defocus(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Photos, as for restore. - is standard input."),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            rich_help_panel=FILES,
            help="File for one photo, folder for several, or - for standard output. "
            "Without it: NAME_defocus beside each photo.",
        ),
    ] = None,
    map_format: Annotated[
        MapFormat | None,
        typer.Option(
            "--format",
            rich_help_panel=FILES,
            help="png16: 16 bits, 0 in focus, 1024 for each pixel of blur radius, 65535 for 64 "
            "and more. npy, tiff: blur radius in pixels, 32-bit float. color: to look at, with a "
            "legend. [default: what PATH ends in, or png16]",
        ),
    ] = None,
    on_exists: Annotated[
        OnExists,
        typer.Option(rich_help_panel=FILES, help="What to do about a map that is there already."),
    ] = OnExists.ERROR,
    as_json: options.Json = False,
    model: options.Model = None,
    scale: Annotated[
        Literal["1", "2", "4"],
        typer.Option(
            rich_help_panel=SPEED,
            help="Finest size computed: full (1), half (2), a quarter (4). Each step takes a "
            "quarter of the time and sees less of weak blur.",
        ),
    ] = "2",
    engine: options.EngineChoice = "auto",
    device: options.Device = "auto",
    precision: options.PrecisionChoice = "auto",
    threads: options.Threads = None,
    max_megapixels: options.MaxMegapixels = options.LARGEST_MEGAPIXELS,
    max_file_size: options.MaxFileSize = options.LARGEST_FILE_GB,
) -> None:
    """Write the defocus map of photos: how blurred each place is.

    Nothing is restored. A map has the size of its photo, stands upright, and says for every pixel
    the radius of the disc that a point became.

    Examples:

      defocusfix map portrait.jpg --format color

      defocusfix map *.jpg -o maps/ --format tiff
    """
    if as_json and target == options.STREAM:
        raise options.two_on_stdout()
    if as_json:
        output.answer_in_json()
    path = options.output_of(target)
    is_file = path is not None and not (options.is_folder(target) or path.is_dir())
    map_format = map_format_of(str(path) if is_file and len(paths) == 1 else "", map_format)
    limits = options.limits_of(max_megapixels, max_file_size)

    from defocusfix.jobs.planning import make_plan

    plan = make_plan(
        options.sources_of(paths),
        naming=Naming(ending="_defocus", suffix_of=lambda source: MAP_SUFFIXES[map_format][0]),
        output=path,
        is_folder=options.is_folder(target),
        to_stdout=target == options.STREAM,
        on_exists=on_exists,
    )

    from defocusfix.cli.telling import Teller, demanded, raise_what_failed
    from defocusfix.jobs.files import Streams
    from defocusfix.jobs.mapping import MAP_BITS, Mapping
    from defocusfix.jobs.run import run_plan
    from defocusfix.restoration import open_restorer

    restorer = open_restorer(
        model,
        engine=engine,
        device=device,
        precision=precision,
        output_bits=MAP_BITS,
        threads=threads,
    )
    work = Mapping(
        restorer,
        program=options.PROGRAM,
        map_format=map_format,
        scale=options.MAP_SCALES[scale],
        limits=limits,
        streams=Streams(output.standard_input, output.data_bytes),
        may_overwrite=on_exists is OnExists.OVERWRITE,
    )
    demands = demanded(engine=engine, device=device, precision=precision)
    with Teller("Mapping", demands=demands, as_json=as_json) as teller:
        finished = run_plan(plan, work, teller)
    raise_what_failed(finished, len(plan.items), "mapped")
