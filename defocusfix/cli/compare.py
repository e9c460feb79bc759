"""`defocusfix compare`: two versions of a photo, as a page or a picture to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from defocusfix.cli import output
from defocusfix.cli.options import FILES
from defocusfix.errors import InputError, OutputError, UsageError
from defocusfix.jobs.plan import Naming, OnExists
from defocusfix.jobs.treatment import COMPARISON_SUFFIXES


def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The photo as it was.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="The photo as it is now.")],
    target: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            rich_help_panel=FILES,
            help="NAME.html for one page with a slider, NAME.png for both side by side. "
            "[default: BEFORE_compare.html beside the first photo]",
        ),
    ] = None,
    on_exists: Annotated[
        OnExists,
        typer.Option(rich_help_panel=FILES, help="What to do about a file that is there already."),
    ] = OnExists.ERROR,
) -> None:
    """Show two versions of a photo over each other, with a slider between them.

    The page is complete in itself: it can be sent to somebody, and needs no network.

    Examples:

      defocusfix compare portrait.jpg portrait_restored.jpg

      defocusfix compare portrait.jpg portrait_restored.jpg -o both.png
    """
    kinds = {suffix: kind for kind, suffix in COMPARISON_SUFFIXES.items()}
    if target is not None and target.suffix.lower() not in kinds:
        raise UsageError(
            f"a comparison cannot be saved as {target}",
            fix=f"a name that ends in {' or '.join(kinds)}",
        )

    from defocusfix.jobs.planning import make_plan

    naming = Naming(ending="_compare", suffix_of=lambda source: COMPARISON_SUFFIXES["html"])
    (item,) = make_plan([before], naming=naming, output=target, on_exists=on_exists).items
    if item.output is None or after.resolve() == item.output.resolve():
        raise OutputError(f"{after} is itself one of the photos to be read")
    if item.is_skipped:
        output.say(f"{item.output} is there already")
        return

    from defocusfix.jobs.comparison import write_comparison
    from defocusfix.photo.read import read_photo

    pair = read_photo(before), read_photo(after)
    sizes = [f"{photo.width} x {photo.height}" for photo in pair]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"{before} and {after} are not of one size",
            why=f"{sizes[0]} and {sizes[1]}, when they stand upright",
        )
    write_comparison(
        *pair,
        item.output,
        kinds[item.output.suffix.lower()],
        title=f"{before.name} and {after.name}",
        facts=sizes[0],
        may_overwrite=on_exists is OnExists.OVERWRITE,
    )
    output.say(f"{item.output}: {before.name} beside {after.name}")
