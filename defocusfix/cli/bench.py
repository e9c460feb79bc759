"""`defocusfix bench`: how fast photos are restored here, and with how much memory."""

from __future__ import annotations

from typing import Annotated

import typer

from defocusfix.cli import output


def bench(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="PATH",
            help="ONNX file of your own weights, or its folder. [default: focusnet-s]",
        ),
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Also other tile sizes, and photos of 2 to 48 megapixels."),
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also run torch, which restoring never needs.")
    ] = False,
    megapixels: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="N", help="Size of every photo. [default: 4 and 24]"),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Threads of the processor. [default: its cores]"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object instead, unrounded.")
    ] = False,
) -> None:
    """Measure how fast photos are restored on this computer.

    Every engine that works here restores a slightly soft photo, which is made for this. The fastest
    one then restores larger ones: sharp, slightly soft and wholly misfocused. Leave the computer
    alone meanwhile, for a minute or two.

    Examples:

      defocusfix bench

      defocusfix bench --full --compare --json > speed.json
    """
    from defocusfix.benchmarking import report, suite
    from defocusfix.cli.progress import track
    from defocusfix.restoration.restorer import model_file

    wanted = suite.Wanted(
        model_file(model),
        with_torch=compare,
        is_full=full,
        megapixels=megapixels,
        threads=threads,
    )
    conditions = suite.conditions(wanted)
    output.say("looking for engines that work here")
    compared = suite.measured_ways(wanted)
    tasks = suite.tasks(wanted, compared)
    peaks, rows = {}, []
    with track("Measuring", total=len(compared) + len(tasks), unit="measurements") as advance:
        for way, speed in suite.peaks(compared, threads):
            peaks[way] = speed
            advance(note=str(way))
        for row in suite.rows(tasks):
            rows.append(row)
            advance(note=f"{row.task.way}, {row.task.megapixels:g} MP")
    if as_json:
        output.data_json(report.as_json(conditions, peaks, rows))
    else:
        output.data(report.as_table(conditions, peaks, rows))
