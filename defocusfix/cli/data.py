"""`defocusfix data`: pairs of photos, before anything is learnt from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from defocusfix.cli import output
from defocusfix.cli.pair_options import AsJson, Blurry, Overwrite, PairBy, Sharp, in_words
from defocusfix.cli.progress import track
from defocusfix.errors import InputError, OutputError, PartialError, UsageError

if TYPE_CHECKING:
    from defocusfix.figures.contact_sheet import Panel
    from defocusfix.pairs.crops import PairCrops
    from defocusfix.pairs.split_files import Split

Folder = Annotated[
    Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where to write; made if missing.")
]
PANELS_PER_ROW = 6  # two crops of three panels each
DIFFERENCE_GAIN = 4
AUTO = "auto"


def data() -> None:
    """Check and prepare pairs of a blurry and a sharp photo.

    A pair is the same scene taken twice: once blurry, as with the aperture wide open or out of
    focus, once sharp. The two need not line up. Blurry and sharp photos lie in two folders.
    Photos are only read.

    Examples:

      defocusfix data check blurry sharp --html report.html

      defocusfix data preview blurry sharp -o crops.png

      defocusfix data split blurry sharp -o split

      defocusfix data align blurry sharp -o aligned
    """


def align(
    blurry: Blurry,
    sharp: Sharp,
    target: Folder,
    pair_by: PairBy = "auto",
    crop: Annotated[
        bool,
        typer.Option(
            "--crop",
            help="Cut both copies to what both photos show, instead of writing masks.",
        ),
    ] = False,
    file_format: Annotated[
        Literal["lossless", "keep"],
        typer.Option(
            "--format",
            help="lossless saves copies of JPEG and WebP photos as PNG, so that nothing is lost "
            "again; keep takes the format of the photo.",
        ),
    ] = "lossless",
    overwrite: Overwrite = False,
) -> None:
    """Write copies of pairs that lie over each other.

    The sharp photo is shifted, turned and zoomed as a whole onto the blurry one, which stays as it
    is. Depth, colour profile and metadata are kept. FOLDER gets blurry, sharp and valid, which
    holds a mask for each pair: white where the sharp copy can be trusted.

    Training aligns by itself: these copies are for looking at, and for other programs.

    Examples:

      defocusfix data align blurry sharp -o aligned

      defocusfix data align blurry sharp -o aligned --crop
    """
    from defocusfix.pairs.align import AlignSettings, align_pair, planned
    from defocusfix.pairs.find import find_pairs

    found = find_pairs(blurry, sharp, pair_by)
    settings = AlignSettings(target, crop, file_format, overwrite)
    for files in found.pairs:
        planned(files, settings)
    failures: list[InputError] = []
    with track("Aligning", len(found.pairs), "pairs") as advance:
        for files in found.pairs:
            try:
                done = align_pair(files, settings)
            except InputError as error:
                failures.append(error)
                output.warn(str(error))
            else:
                geometry = done.geometry
                output.detail(
                    f"{files.name}: turned by {geometry.rotation_deg:+.2f}°, "
                    f"zoom {geometry.zoom:.3f}, {geometry.common_share(done.size):.0%} in common"
                )
            advance(1, files.name)
    count = len(found.pairs) - len(failures)
    if not count:
        raise InputError("no pair could be aligned", fix=f"defocusfix data check {blurry} {sharp}")
    output.say(f"{in_words(count)} aligned in {target}")
    if failures:
        raise PartialError(
            f"{len(failures)} of {len(found.pairs)} pairs could not be aligned",
            fix=f"defocusfix data check {blurry} {sharp} says why",
        )


def split(
    blurry: Blurry,
    sharp: Sharp,
    target: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Write split.csv, and split.toml for `defocusfix train --config`.",
        ),
    ] = None,
    by: Annotated[
        Literal["scene", "pair"],
        typer.Option(
            help="scene: shots of one scene stay together, told by folder, name or look. pair: "
            "every pair is a scene of its own.",
        ),
    ] = "scene",
    held_out: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the pairs that is held out.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Another number, another choice.")] = 0,
    files: Annotated[
        Literal["none", "link", "copy"],
        typer.Option(
            help="With -o: put the photos into learn/ and held-out/ as well, as links or copies."
        ),
    ] = "none",
    pair_by: PairBy = "auto",
    as_json: AsJson = False,
    overwrite: Overwrite = False,
) -> None:
    """Say which pairs to learn from and which to hold out, scene by scene.

    A network that learnt from one shot of a scene does better on every other shot of it. Gains
    are therefore measured on scenes that it never saw. The same photos and seed always give the
    same answer. finetune does this by itself.

    Examples:

      defocusfix data split blurry sharp

      defocusfix data split blurry sharp -o split --files link

      defocusfix train --recipe reblur-guided --config split/split.toml -o run
    """
    from defocusfix.pairs.find import find_pairs
    from defocusfix.pairs.split import scenes_of, split_by_scene
    from defocusfix.pairs.split_files import Split, write_split

    if not 0 < held_out < 1:
        raise UsageError(f"--held-out {held_out} is no share", fix="a number between 0 and 1")
    if files != "none" and target is None:
        raise UsageError(f"--files {files} needs a folder", fix="name one with -o")
    pairing = find_pairs(blurry, sharp, pair_by)
    pairs = pairing.pairs
    scenes = scenes_of(pairs) if by == "scene" else [pair.name for pair in pairs]
    _, looked_at = split_by_scene(pairs, held_out, seed, scenes)
    names = frozenset(pair.name for pair in looked_at)
    found = Split(pairs, tuple(scenes), names, pairing.by)
    if as_json:
        output.data_json(found.to_json())
    else:
        output.data(_split_table(found))
    output.say(
        f"{len(pairs)} pairs of {len(set(scenes))} scenes: {len(pairs) - len(looked_at)} pairs to "
        f"learn from, {len(looked_at)} held out"
    )
    if target is not None:
        write_split(found, target, blurry, sharp, files=files, may_overwrite=overwrite)
        output.say(f"saved {target}")


def preview(
    blurry: Blurry,
    sharp: Sharp,
    target: Annotated[
        Path, typer.Option("--output", "-o", metavar="PNG", help="Picture to write.")
    ],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Crops to show.")] = 12,
    crop_px: Annotated[
        int, typer.Option("--crop-px", min=16, help="Side of a crop; a multiple of 16.")
    ] = 256,
    scale: Annotated[
        str,
        typer.Option(
            help="Whole factor by which photos are reduced first; auto measures the blur of each "
            "pair and takes the one that fits it.",
        ),
    ] = AUTO,
    alignment: Annotated[
        Literal["none", "shift", "affine", "local"],
        typer.Option(
            "--align",
            help="How the sharp crop is laid over the blurry one: not at all, by whole pixels, "
            "resampled with rotation and zoom, or with parallax taken out as well, as finetune "
            "does.",
        ),
    ] = "shift",
    matches_exposure: Annotated[
        bool,
        typer.Option(
            "--match-exposure/--as-exposed", help="Whether it gets the blurry one's exposure."
        ),
    ] = True,
    augments: Annotated[
        bool, typer.Option("--augment/--upright", help="Whether crops are mirrored and turned.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Another number, other crops.")] = 0,
    pair_by: PairBy = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Show crops as the network sees them: blurry, sharp, and how they differ.

    The crops are those that training takes with the same settings. Differences are shown around
    gray, four times as strong: double contours say that the two do not line up.

    Examples:

      defocusfix data preview blurry sharp -o crops.png

      defocusfix data preview blurry sharp -o crops.png --scale 2 --align affine
    """
    from defocusfix.figures.contact_sheet import contact_sheet, write_sheet
    from defocusfix.pairs.crops import PairCrops, PairSettings
    from defocusfix.pairs.find import find_pairs
    from defocusfix.photo.safe_write import new_file

    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists already", fix="another name, or --overwrite")
    try:
        settings = PairSettings(
            crop_px=crop_px,
            scale=_scale(scale),
            alignment=alignment,
            matches_exposure=matches_exposure,
            augments=augments,
        )
    except ValueError as error:
        raise UsageError("these settings do not fit", why=str(error)) from error
    crops = PairCrops(find_pairs(blurry, sharp, pair_by).pairs, settings, seed)
    panels = []
    with track("Taking crops", count, "crops") as advance:
        for k in range(count):
            panels += _panels(crops, k)
            advance()
    if not panels:
        raise InputError("no crop could be taken", fix=f"defocusfix data check {blurry} {sharp}")
    rows = [panels[at : at + PANELS_PER_ROW] for at in range(0, len(panels), PANELS_PER_ROW)]
    target.parent.mkdir(parents=True, exist_ok=True)
    with new_file(target, may_overwrite=overwrite) as file:
        write_sheet(file, contact_sheet(rows, enlarge=1))
    output.say(f"saved {target}")


def _panels(crops: PairCrops, k: int) -> list[Panel]:
    """Sample `k` and its difference; nothing, and a warning, if its photos cannot be used."""
    from defocusfix.figures.contact_sheet import Panel

    number = crops.number_of(k)
    name = crops.name(number)
    try:
        blurred, sharp = crops.sample(k)
    except InputError as error:
        output.warn(str(error))
        return []
    return [
        Panel(name, blurred),
        Panel(f"sharp, at size 1/{crops.scale(number)}", sharp),
        Panel(f"difference x {DIFFERENCE_GAIN}", 0.5 + DIFFERENCE_GAIN * (blurred - sharp)),
    ]


def _split_table(split: Split) -> str:
    rows = [{key: row[key] for key in ("name", "scene", "part")} for row in split.rows()]
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _scale(text: str) -> int | Literal["auto"]:
    if text == AUTO:
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--scale {text} is no scale", fix="auto, or a whole number from 1 on")
    return int(text)
