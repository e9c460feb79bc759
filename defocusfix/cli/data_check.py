"""`defocusfix data check`: which pairs are fit to learn from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defocusfix.cli import output
from defocusfix.cli.pair_options import AsJson, Blurry, Overwrite, PairBy, Sharp, in_words
from defocusfix.cli.progress import track
from defocusfix.errors import OutputError, TrainingError

if TYPE_CHECKING:
    from defocusfix.pairs.report import DataReport, PairReport, Verdict

COLOURS: dict[str, str] = {"good": "green", "usable": "yellow", "reject": "red"}
VERDICTS: tuple[Verdict, ...] = ("good", "usable", "reject")
WIDTH = 160  # columns of the table where no terminal says how many there are
UNKNOWN = "-"


def check(
    blurry: Blurry,
    sharp: Sharp,
    pair_by: PairBy = "auto",
    as_json: AsJson = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Also save a row for every pair."),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Also save a page with thumbnails, the worst pairs first.",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Say which pairs of photos are fit to learn from, and why not.

    Each pair gets a verdict: good, usable (with what limits it) or reject (with the reason).
    Measured are size, exposure, shift, rotation and zoom, which photo really is the sharper one,
    how large the blur is, what moved, and pairs that are there twice. Photos are only read.

    Blur is told as the radius of its disc: of half the photo, and of all but a tenth. Size is the
    one to train at, so that the blur fits the network: 1/2 is half the width and height. Exit
    code 8 says that the set cannot be trained on as it is.

    Examples:

      defocusfix data check blurry sharp

      defocusfix data check blurry sharp --html report.html --csv report.csv
    """
    from defocusfix.pairs.check import check_pairs
    from defocusfix.pairs.find import find_pairs
    from defocusfix.pairs.report import as_csv

    for path in (csv, page):
        if path is not None and path.exists() and not overwrite:
            raise OutputError(f"{path} exists already", fix="another name, or --overwrite")
    found = find_pairs(blurry, sharp, pair_by)
    output.say(f"{in_words(len(found.pairs))} by {found.by}")
    with track("Checking", len(found.pairs), "pairs") as advance:
        report = check_pairs(
            found, report=lambda pair: advance(1, pair.name), with_thumbnails=page is not None
        )
    if as_json:
        output.data_json(report.to_json())
    else:
        output.data(as_table(report))
        for line in report.remarks:
            output.say(line)
    if csv is not None:
        _save(csv, as_csv(report.pairs), overwrite)
    if page is not None:
        _save(page, as_page(report, blurry, sharp), overwrite)
    if not report.can_train:
        raise TrainingError(
            "these pairs cannot be trained on",
            why="\n".join(report.problems),
            fix=_advice(report, blurry, sharp),
        )


def as_table(report: DataReport) -> str:
    """One row per pair, the worst first, and how many have which verdict."""
    from io import StringIO

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    is_coloured = sys.stdout.isatty() and not output.is_plain()
    text = StringIO()
    console = Console(
        file=text,
        width=None if sys.stdout.isatty() else WIDTH,
        force_terminal=is_coloured,
        no_color=not is_coloured,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    rows = [facts(pair) for pair in report.pairs]
    table.add_column("pair", overflow="fold")
    table.add_column("verdict")
    for label, _ in rows[0]:
        table.add_column(label, justify="right", no_wrap=True)
    table.add_column("reasons", overflow="fold", min_width=24)
    for pair in report.worst_first():
        verdict = Text(pair.verdict, COLOURS[pair.verdict])
        values = (Text(value) for _, value in facts(pair))
        table.add_row(Text(pair.name), verdict, *values, Text("; ".join(pair.reasons)))
    console.print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join([*lines, "", summary(report)])


def summary(report: DataReport) -> str:
    """How many pairs have which verdict."""
    counts = ", ".join(f"{report.count(verdict)} {verdict}" for verdict in VERDICTS)
    return f"{in_words(len(report.pairs))}: {counts}"


def facts(pair: PairReport) -> list[tuple[str, str]]:
    """What was measured, as labels and texts."""
    blur = pair.blur
    return [
        ("shift px", _told(pair.shift_px, ".1f")),
        ("turn °", _told(pair.rotation_deg, "+.2f")),
        ("zoom", _told(pair.zoom, ".3f")),
        ("exposure EV", _told(pair.exposure_stops, "+.2f")),
        ("sharper", pair.sharper),
        ("blur px", f"{blur.median_px:.1f} / {blur.high_px:.1f}" if blur else UNKNOWN),
        ("size", UNKNOWN if pair.scale is None else f"1/{pair.scale}"),
    ]


def as_page(report: DataReport, blurry: Path, sharp: Path) -> str:
    """The report as an HTML page."""
    from defocusfix.figures.pairs_page import PairEntry, pairs_page

    return pairs_page(
        title=f"{blurry} and {sharp}",
        summary=f"{summary(report)}, paired by {report.paired_by}",
        problems=report.problems,
        remarks=report.remarks,
        entries=[
            PairEntry(
                name=pair.name,
                verdict=pair.verdict,
                files=f"{pair.files.blurred.name} and {pair.files.all_in_focus.name}",
                reasons=pair.reasons,
                facts=_page_facts(pair),
                pictures=_pictures(pair),
            )
            for pair in report.worst_first()
        ],
    )


def _page_facts(pair: PairReport) -> list[tuple[str, str]]:
    size = pair.blurred_size and f"{pair.blurred_size[0]} x {pair.blurred_size[1]}"
    blur = pair.blur
    shares = blur and [
        ("blurred", f"{blur.share_blurred:.0%} of detail"),
        ("moved", f"{blur.share_moved:.0%} of detail"),
        ("parallax px", f"{blur.parallax_px:.1f}"),
    ]
    return [
        ("pixels", size or UNKNOWN),
        *facts(pair),
        *(shares or []),
        ("scene", pair.scene or UNKNOWN),
    ]


def _pictures(pair: PairReport) -> list[tuple[str, bytes]]:
    small = pair.thumbnails
    if small is None:
        return []
    return [
        ("blurry", small.blurred),
        ("sharp, laid over it", small.sharp),
        ("blurry, as trained", small.blurred_detail),
        ("sharp, as trained", small.sharp_detail),
    ]


def _told(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


def _advice(report: DataReport, blurry: Path, sharp: Path) -> str:
    if report.are_swapped:
        return f"defocusfix data check {sharp} {blurry}"
    if report.paired_by == "order":
        return "--pair-by similarity, if the photos do not come in the same order"
    return "more pairs, or mend those that are rejected; the reasons stand beside them"


def _save(path: Path, text: str, overwrite: bool) -> None:
    from defocusfix.photo.safe_write import safe_write

    path.parent.mkdir(parents=True, exist_ok=True)
    safe_write(path, text.encode(), may_overwrite=overwrite)
    output.say(f"saved {path}")
