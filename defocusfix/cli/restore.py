"""`defocusfix restore`: bring photos back into focus."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from defocusfix.cli import output
from defocusfix.cli.progress import track
from defocusfix.errors import PartialError
from defocusfix.jobs.plan import OnExists, make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from defocusfix.jobs.run import Done, Failed
    from defocusfix.photo.photo import Photo

FILES, LOOK, SPEED = "Files", "Look", "Speed and memory"


def restore(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Photos: JPEG, PNG, TIFF or WebP.")
    ],
    target: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            rich_help_panel=FILES,
            help="File for one photo, or folder for several. "
            "Without it: NAME_restored beside each photo.",
        ),
    ] = None,
    on_exists: Annotated[
        OnExists,
        typer.Option(
            rich_help_panel=FILES, help="What to do about an output that is there already."
        ),
    ] = OnExists.ERROR,
    with_map: Annotated[
        bool,
        typer.Option(
            "--map",
            rich_help_panel=FILES,
            help="Also save how blurred each place is, as NAME_defocus.png: 16 bits, 0 in focus, "
            "1024 for each pixel of blur radius, 65535 for 64 pixels and more.",
        ),
    ] = False,
    map_target: Annotated[
        Path | None,
        typer.Option(
            "--map-to",
            metavar="FILE",
            rich_help_panel=FILES,
            help="The same for one photo, to this file.",
        ),
    ] = None,
    strength: Annotated[
        float,
        typer.Option(
            "--strength",
            "-s",
            rich_help_panel=LOOK,
            help="0 leaves the photo as it is, 1 restores it fully.",
        ),
    ] = 1.0,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="PATH",
            rich_help_panel=LOOK,
            help="ONNX file of your own weights, or its folder. [default: focusnet-s]",
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(
            rich_help_panel=SPEED,
            help="Where to compute. cuda is a demand: if it cannot be had, nothing is done.",
        ),
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, rich_help_panel=SPEED, help="Of the processor. [default: one per core]"
        ),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            min=0,
            rich_help_panel=SPEED,
            help="Pixels each way that are computed at once. Fewer need less memory; 0 takes the "
            "whole photo. [default: what suits the model]",
        ),
    ] = None,
) -> None:
    """Bring out-of-focus photos back into focus.

    A photo you give is never changed. The restored one has the same format, depth, colours and
    metadata, and stands upright.

    Examples:

      defocusfix restore portrait.jpg

      defocusfix restore portrait.jpg --strength 0.6 -o softer.jpg

      defocusfix restore *.tif -o restored/ --map
    """
    plan = make_plan(
        paths,
        output=None if target is None else Path(target),
        is_folder=target is not None and target.endswith(("/", "\\")),
        with_map=with_map,
        map_output=map_target,
        on_exists=on_exists,
    )
    for item in plan.items:
        if item.is_skipped:
            output.say(f"{item.output} is there already")
    if not plan.todo:
        return

    from defocusfix.jobs.run import Done, run_plan
    from defocusfix.restoration import RestoreSettings, open_restorer

    settings = RestoreSettings(strength=strength, tile=tile)
    restorer = open_restorer(model, settings=settings, device=device, threads=threads)
    failed: list[Failed] = []
    with ExitStack() as bars:
        for outcome in run_plan(plan, restorer, lambda photo: _bar(bars, photo)):
            bars.close()
            if isinstance(outcome, Done):
                _tell(outcome)
            elif len(plan.items) == 1:
                raise outcome.error
            else:
                failed.append(outcome)
                output.warn(str(outcome.error))
    if failed:
        _fail(failed, len(plan.items))


def _bar(bars: ExitStack, photo: Photo) -> Callable[[float], None]:
    """A progress bar for one photo, open until `bars` is closed."""
    advance = bars.enter_context(track("Restoring", total=photo.megapixels, unit="MP"))
    return lambda share: advance(share * photo.megapixels)


def _tell(done: Done) -> None:
    """One line about what was really done, and what could not be kept."""
    photo, restoration = done.photo, done.restoration
    facts = [
        f"{photo.width} x {photo.height} ({photo.megapixels:.1f} MP), {photo.bits}-bit",
        f"{restoration.model} by {restoration.engine} on {restoration.device}",
        f"{done.seconds:.1f} s",
    ]
    if restoration.defocus_map is not None:
        facts.append(f"{restoration.defocus_map.share_out_of_focus:.0%} was out of focus")
    output.say(f"{done.item.output}: {', '.join(facts)}")
    for note in photo.notes:
        output.warn(f"{done.item.source.name}: {note}")


def _fail(failed: Sequence[Failed], n_photos: int) -> NoReturn:
    """Say how many failed: PartialError if others are done, otherwise the first one's class."""
    names = ", ".join(failure.item.source.name for failure in failed)
    if len(failed) < n_photos:
        raise PartialError(
            f"{len(failed)} of {n_photos} photos could not be restored",
            why=names,
            fix="the others are done; --on-exists skip leaves them out next time",
        )
    raise type(failed[0].error)(f"none of the {n_photos} photos could be restored", why=names)
