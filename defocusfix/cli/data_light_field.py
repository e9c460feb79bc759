"""`defocusfix data light-field`: pairs from views of one scene through the parts of one lens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from defocusfix.cli import output
from defocusfix.cli.pair_options import Overwrite, in_words
from defocusfix.cli.progress import Advance, track
from defocusfix.errors import InputError, PartialError, UsageError

if TYPE_CHECKING:
    from defocusfix.pairs.light_field_pairs import Destination, LightFieldSettings
    from defocusfix.pairs.light_field_views import Curve, Grid, ViewSettings

VIEWS, OPTICS, RESULT = "How the views are stored", "Apertures and focus", "Result"


def light_field(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="VIEWS...",
            help="Light fields: a folder of numbered views, or one picture that holds all, each.",
        ),
    ],
    target: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PAIRS",
            rich_help_panel=RESULT,
            help="Folder for blurry, sharp and the radius maps; made if missing.",
        ),
    ],
    apertures: Annotated[
        list[float] | None,
        typer.Option(
            "--aperture",
            metavar="RADIUS",
            rich_help_panel=OPTICS,
            help="Radius of an aperture in steps from view to view; may be given several times. "
            "[default: the largest round one, and one and two stops down]",
        ),
    ] = None,
    shape: Annotated[
        Literal["disc", "pentagon", "hexagon", "octagon", "square"],
        typer.Option(rich_help_panel=OPTICS, help="Of the apertures, and so of the blur."),
    ] = "disc",
    planes: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=OPTICS,
            help="Focal planes, spread from the farthest to the nearest part of the scene.",
        ),
    ] = 3,
    slopes: Annotated[
        list[float] | None,
        typer.Option(
            "--slope",
            metavar="PX",
            rich_help_panel=OPTICS,
            help="Focus where the disparity from view to view is this instead; may be given "
            "several times, also beyond the scene.",
        ),
    ] = None,
    largest_step_px: Annotated[
        float,
        typer.Option(
            "--largest-step",
            metavar="PX",
            rich_help_panel=OPTICS,
            help="Where views would lie farther apart in a blur, and show as ghosts, others are "
            "made between them.",
        ),
    ] = 1.0,
    disparity: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=OPTICS,
            help="Disparity of the middle view, in pixels from view to view, larger is nearer: "
            "npy, PFM, PNG or TIFF. Radius maps are exact then; without it they are estimated.",
        ),
    ] = None,
    disparity_scale: Annotated[
        float,
        typer.Option(
            metavar="FACTOR",
            rich_help_panel=OPTICS,
            help="Multiplies what stands in FILE; -1 where larger is farther.",
        ),
    ] = 1.0,
    grid: Annotated[
        str | None,
        typer.Option(
            metavar="ROWSxCOLUMNS",
            rich_help_panel=VIEWS,
            help="Views down and across, where names do not tell.",
        ),
    ] = None,
    packing: Annotated[
        Literal["auto", "tiles", "lenslets"],
        typer.Option(
            rich_help_panel=VIEWS,
            help="Of one picture: views side by side, or a pixel of each under every micro-lens.",
        ),
    ] = "auto",
    rows: Annotated[
        Literal["downwards", "upwards"],
        typer.Option(rich_help_panel=VIEWS, help="Which way rows of views are numbered."),
    ] = "downwards",
    curve: Annotated[
        str,
        typer.Option(
            metavar="CURVE",
            rich_help_panel=VIEWS,
            help="From light to stored values: srgb, linear, or a gamma such as 2.2. Views are "
            "added as light.",
        ),
    ] = "srgb",
    map_format: Annotated[
        Literal["png16", "npy", "tiff"],
        typer.Option(rich_help_panel=RESULT, help="Of the radius maps, as for restore --map."),
    ] = "png16",
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", rich_help_panel=RESULT, help="Write what was made to stdout, a scene a line."
        ),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Make defocused and sharp photos from a light field.

    A light field is a grid of views through the parts of one lens. Added up over an aperture of
    your choice they are the photo of a real lens, focused where you say; the middle view is its
    target, and both lie over each other exactly. PAIRS gets blurry and sharp, the blur radius of
    every pixel, and SCENE.json with all that was made. A scene is written when all of it is done.

    What views do not show is cut off. LFDOF needs none of this: train and evaluate read it as it
    is, with the layout lfdof.

    Examples:

      defocusfix data light-field views -o pairs

      defocusfix data light-field views -o pairs --aperture 4 --planes 5

      defocusfix data light-field all.png --grid 15x15 -o pairs
    """
    from defocusfix.jobs.map_file import encode_map
    from defocusfix.jobs.treatment import MAP_SUFFIXES
    from defocusfix.pairs.light_field_pairs import (
        Destination,
        LightFieldSettings,
        count_of,
        refuse_existing,
    )
    from defocusfix.pairs.light_field_views import ViewSettings, scene_of
    from defocusfix.restoration.defocus_map import DefocusMap

    views = ViewSettings(_grid(grid), packing, rows, _curve(curve))
    try:
        settings = LightFieldSettings(
            shape,
            tuple(apertures) if apertures else None,
            planes,
            tuple(slopes) if slopes else None,
            largest_step_px,
        )
    except ValueError as error:
        raise UsageError("these settings do not fit", why=str(error)) from error
    if disparity is not None and len(sources) > 1:
        raise UsageError(
            "--disparity belongs to one light field", fix="one VIEWS at a time, each with its own"
        )
    scenes = [scene_of(source) for source in sources]
    if doubled := next((scene for scene in scenes if scenes.count(scene) > 1), None):
        raise UsageError(f"two light fields are called {doubled}", fix="rename one, or two runs")
    destination = Destination(
        target,
        lambda radius_px: encode_map(DefocusMap(radius_px), map_format),
        MAP_SUFFIXES[map_format][0],
        overwrite,
    )
    for scene in scenes:
        refuse_existing(destination, scene)
    failures: list[InputError] = []
    with track("Refocusing", len(sources) * count_of(settings), "pairs") as advance:
        for source in sources:
            try:
                facts = _scene(
                    source, views, settings, destination, disparity, disparity_scale, advance
                )
            except InputError as error:
                if len(sources) == 1:
                    raise
                failures.append(error)
                output.warn(str(error))
            else:
                _tell(facts, as_json=as_json)
    if len(failures) == len(sources):
        raise InputError("no light field could be used", why=str(failures[0]))
    output.say(f"saved {target}")
    if failures:
        raise PartialError(f"{len(failures)} of {len(sources)} light fields could not be used")


def _scene(
    source: Path,
    views: ViewSettings,
    settings: LightFieldSettings,
    destination: Destination,
    disparity: Path | None,
    disparity_scale: float,
    advance: Advance,
) -> dict[str, Any]:
    from defocusfix.pairs.light_field_pairs import pairs_of, write_scene
    from defocusfix.pairs.light_field_slopes import estimated_slopes, given_slopes
    from defocusfix.pairs.light_field_views import read_light_field

    stored = read_light_field(source, views)
    if disparity is None:
        found = estimated_slopes(stored.field)
    else:
        found = given_slopes(disparity, disparity_scale, stored.field)
    pairs = []
    for pair in pairs_of(stored, found, settings):
        pairs.append(pair)
        advance(1, pair.name)
    return write_scene(destination, stored, found, pairs)


def _tell(facts: dict[str, Any], *, as_json: bool) -> None:
    pairs = facts["pairs"]
    if as_json:
        output.data_json(facts)
    else:
        lines = [("pair", "aperture", "focus", "views per step", "radius px: half", "95 %", "all")]
        lines += [
            (
                pair["name"],
                f"{pair['aperture_radius_steps']:.2f}",
                f"{pair['focus_slope']:+.2f}",
                str(pair["pieces_per_step"]),
                *(f"{pair['radius_px'][key]:.2f}" for key in ("median", "p95", "largest")),
            )
            for pair in pairs
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for name, *figures in lines:
            padded = (text.rjust(width) for text, width in zip(figures, widths[1:], strict=True))
            output.data("  ".join((name.ljust(widths[0]), *padded)))
    rows, columns = facts["views"]
    low, high = facts["slope_range"]
    output.say(
        f"{facts['scene']}: {in_words(len(pairs))} of {facts['size'][1]} x {facts['size'][0]} px "
        f"from {rows} x {columns} views, slopes {low:.2f} to {high:.2f} px ({facts['slopes']})"
    )
    if facts["views_left_out"]:
        output.say(f"{len(facts['views_left_out'])} views are too dark or cut, and are left out")
    if any(pair["views_dropped"] for pair in pairs):
        output.warn(
            "some of them lie within an aperture, whose blur is smaller and not quite its shape; "
            f"{facts['scene']}.json says how much"
        )


def _grid(text: str | None) -> Grid | None:
    if text is None:
        return None
    rows, _, columns = text.lower().partition("x")
    if not (rows.isdecimal() and columns.isdecimal() and int(rows) and int(columns)):
        raise UsageError(f"--grid {text} is no grid", fix="ROWSxCOLUMNS, as in --grid 9x9")
    return int(rows), int(columns)


def _curve(text: str) -> Curve:
    if text == "srgb":
        return "srgb"
    if text == "linear":
        return 1.0
    try:
        gamma = float(text)
    except ValueError:
        gamma = 0.0
    if not 1 <= gamma <= 4:
        raise UsageError(f"--curve {text} is no curve", fix="srgb, linear, or a gamma from 1 to 4")
    return gamma
