"""`defocusfix evaluate`: how much a method gains, on real and on rendered photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from defocusfix.cli import output
from defocusfix.errors import OutputError, UsageError

if TYPE_CHECKING:
    from defocusfix.evaluation.pairs import ImageDistance
    from defocusfix.evaluation.protocols import FloatImage, Restore, Restored, Views
    from defocusfix.evaluation.report import Report
    from defocusfix.figures.contact_sheet import Panel
    from defocusfix.pairs.find import PairFiles
    from defocusfix.restoration.restorer import Restorer

DATA, RESULT = "What to measure on (one of them)", "Result"
UNTOUCHED = "input"  # name of the row, as in `BASELINES`
MODEL = "model"  # name of the row; the line on stderr says which one it is

Score = TypeVar("Score")


def evaluate(
    brackets: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=DATA,
            help="Folders SCENE with two photos SCENE_A and SCENE_B, one focused near, one far: "
            "where one is sharper, it judges the other.",
        ),
    ] = None,
    rendered: Annotated[
        Path | None,
        typer.Option(
            metavar="SET", rich_help_panel=DATA, help="A set made by `defocusfix render`."
        ),
    ] = None,
    maps: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="IMAGES MASKS",
            rich_help_panel=DATA,
            help="Photos, and masks of the same names that are white where out of focus.",
        ),
    ] = None,
    blurred: Annotated[
        Path | None,
        typer.Option(
            "--input", metavar="DIR", rich_help_panel=DATA, help="Blurred photos of pairs."
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(metavar="DIR", rich_help_panel=DATA, help="Their all-in-focus counterparts."),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=DATA,
            help="With --input alone: the folders inside it, as in dpdd (with views for models of "
            "dual-pixel photos), realdof, sdd, lfdof, or pairs (blurry, sharp).",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="PATH",
            help="Folder of a run, or an ONNX or safetensors file. [default: focusnet-s]",
        ),
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "fp16", "int8"],
        typer.Option(
            metavar="NAME",
            help="Of the arithmetic: fp32, bf16, fp16 or int8. In fp32, figures do not depend on "
            "the processor.",
        ),
    ] = "fp32",
    best: Annotated[
        bool, typer.Option("--best", help="Measure the model as `restore --best` runs it.")
    ] = False,
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines",
            help="Also measure unsharp masking and Richardson-Lucy, which give no maps.",
        ),
    ] = False,
    lpips: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.onnx",
            help="With --input: also measure LPIPS, a learned distance that follows the eye. "
            "Its weights do not come along: give them as an ONNX graph with two images "
            "(B, 3, H, W) in [-1, 1] as inputs and one number as output.",
        ),
    ] = None,
    first: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only the first N photos or rendered pairs."),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            metavar="PX",
            help="With --maps: radius from which a place is blurred. The error of a map is that of "
            "a soft mask: 0 at 0 px, one half there, 1 from twice as much on.",
        ),
    ] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", rich_help_panel=RESULT, help="Write one JSON object instead.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            rich_help_panel=RESULT,
            help="Save a row for every photo and method, unrounded and without the means, so that "
            "any program can go on from there.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG",
            rich_help_panel=RESULT,
            help="Save crops of input, output and target, from the worst to the best photo; with "
            "--maps photos, masks and maps.",
        ),
    ] = None,
) -> None:
    """Measure what a model gains over the untouched photo.

    Photos are only read. Tables begin with the row of the untouched input, but for that of --maps,
    which measures maps alone. dB is the logarithmic distance to the truth: +1 dB is visible, +3 dB
    halves the squared error.

    Examples:

      defocusfix evaluate --brackets scenes --baselines --sheet look.png

      defocusfix evaluate --rendered validation -m runs/mine/model.onnx

      defocusfix evaluate --input blurred --target sharp --save scores.csv
    """
    asked = [brackets, rendered, maps, blurred]
    if sum(choice is not None for choice in asked) != 1:
        raise UsageError(
            "give exactly one of --brackets, --rendered, --maps and --input",
            fix="defocusfix evaluate --help",
        )
    if (blurred is None) != (target is None and layout is None):
        raise UsageError("--input goes with either --target or --layout")
    if target is not None and layout is not None:
        raise UsageError("--target and --layout contradict each other", fix="leave one of them out")
    if lpips is not None and blurred is None:
        raise UsageError("--lpips goes with --input", why="the other sets are not measured by it")
    if maps is not None and baselines:
        raise UsageError(
            "--baselines and --maps contradict each other",
            why="unsharp masking and Richardson-Lucy give no maps",
        )
    if not threshold > 0:
        raise UsageError("--threshold must be above 0")
    distance = None if lpips is None else _image_distance(lpips)
    restorer = _restorer(model, precision, is_best=best)
    methods = _methods(restorer, with_baselines=baselines)
    if restorer.spec.views and blurred is None:
        raise _no_views(restorer.spec.name)
    if brackets is not None:
        report, panels = _on_brackets(brackets, methods, first, wants_sheet=sheet is not None)
    elif rendered is not None:
        report, panels = _on_rendered(rendered, methods, first, wants_sheet=sheet is not None)
    elif maps is not None:
        report, panels = _on_maps(maps, methods, first, threshold, wants_sheet=sheet is not None)
    else:
        files = _pair_files(blurred, target, layout)[:first]
        if not restorer.spec.views:
            files = [replace(pair, views=None) for pair in files]
        elif any(pair.views is None for pair in files):
            raise _no_views(restorer.spec.name)
        report, panels = _on_pairs(files, methods, distance, wants_sheet=sheet is not None)
    _write(report, as_json=as_json, save=save)
    if sheet is not None:
        _write_sheet(sheet, panels)


def _restorer(model: str | None, precision: str, *, is_best: bool) -> Restorer:
    """What is measured; one line says by what it computes."""
    from defocusfix.restoration.restorer import open_restorer
    from defocusfix.restoration.settings import RestoreSettings

    settings = RestoreSettings(mirrored=is_best)
    restorer = open_restorer(model, settings=settings, precision=precision)
    engine = restorer.engine
    how = ", the mean of mirrored passes" if is_best else ""
    output.say(
        f"model {restorer.spec.name} by {engine.name} on {engine.device} in {engine.precision}{how}"
    )
    return restorer


def _methods(restorer: Restorer, *, with_baselines: bool) -> dict[str, Restore]:
    """Every row by name: the untouched input, baselines if asked for, the model."""
    from defocusfix.evaluation.baselines import BASELINES
    from defocusfix.evaluation.protocols import Restored, untouched

    def restore(image: FloatImage, views: Views | None = None) -> Restored:
        restoration = restorer(image, views=views)
        return Restored(restoration.image, restoration.radius_px)

    return {**(BASELINES if with_baselines else {UNTOUCHED: untouched}), MODEL: restore}


def _no_views(model: str) -> UsageError:
    return UsageError(
        f"the model {model} needs the two views of dual-pixel photos, and there are none",
        why="of the known data sets only dpdd has them, in the folders *_l and *_r",
        fix="--input DPDD --layout dpdd, or another --model",
    )


def _image_distance(graph: Path) -> ImageDistance:
    from defocusfix.engines.lpips import open_lpips

    return open_lpips(graph)


def _on_brackets(
    folder: Path, methods: Mapping[str, Restore], first: int | None, *, wants_sheet: bool
) -> tuple[Report, list[list[Panel]]]:
    from defocusfix.evaluation.brackets import load_brackets, score_brackets
    from defocusfix.evaluation.report import brackets_report
    from defocusfix.evaluation.sheets import bracket_rows

    output.say("aligning the frames of each scene")
    cases = load_brackets(folder)[:first]
    scores = _scores(methods, len(cases), lambda restore: score_brackets(restore, cases))
    panels = bracket_rows(methods[MODEL], cases, scores[MODEL]) if wants_sheet else []
    return brackets_report(scores), panels


def _on_rendered(
    folder: Path, methods: Mapping[str, Restore], first: int | None, *, wants_sheet: bool
) -> tuple[Report, list[list[Panel]]]:
    from defocusfix.evaluation.rendered import photo_gains, score_rendered
    from defocusfix.evaluation.report import rendered_report
    from defocusfix.evaluation.sheets import rendered_rows, spread
    from defocusfix.pairs.rendered import RenderedSet

    pairs = RenderedSet(folder)
    pairs.require_truth()
    count = min(len(pairs), first or len(pairs))
    scores = _scores(
        methods, count, lambda restore: score_rendered(restore, (pairs[k] for k in range(count)))
    )
    gains = photo_gains(scores[MODEL])
    shown = spread(gains) if wants_sheet else []
    panels = rendered_rows(methods[MODEL], [pairs[k] for k in shown], [gains[k] for k in shown])
    return rendered_report(scores), panels


def _on_maps(
    folders: tuple[Path, Path],
    methods: Mapping[str, Restore],
    first: int | None,
    threshold: float,
    *,
    wants_sheet: bool,
) -> tuple[Report, list[list[Panel]]]:
    from defocusfix.evaluation.maps import masked_photos, score_maps
    from defocusfix.evaluation.report import maps_report
    from defocusfix.evaluation.sheets import map_rows

    photos = list(masked_photos(*folders))[:first]
    with_map = {MODEL: methods[MODEL]}  # the other rows restore, but read no blur
    scores = _scores(with_map, len(photos), lambda restore: score_maps(restore, photos, threshold))
    panels = map_rows(methods[MODEL], photos, scores[MODEL]) if wants_sheet else []
    return maps_report(scores), panels


def _on_pairs(
    files: Sequence[PairFiles],
    methods: Mapping[str, Restore],
    lpips: ImageDistance | None,
    *,
    wants_sheet: bool,
) -> tuple[Report, list[list[Panel]]]:
    from defocusfix.evaluation.pairs import pair_gains, read_pair, score_pairs
    from defocusfix.evaluation.report import pairs_report
    from defocusfix.evaluation.sheets import pair_rows, spread

    with _counted(methods, len(files)) as counted:
        scores = score_pairs(counted, map(read_pair, files), lpips)
    raw_only = len(files) - sum(s.alignment == "global" for s in scores[MODEL])
    if raw_only:
        output.warn(
            f"{raw_only} of {len(files)} pairs could not be aligned; they count as raw only"
        )
    gains = pair_gains(scores[UNTOUCHED], scores[MODEL])
    shown = spread(gains) if wants_sheet else []
    cases = [read_pair(files[k]) for k in shown]
    return pairs_report(scores), pair_rows(methods[MODEL], cases, [gains[k] for k in shown])


def _pair_files(blurred: Path | None, target: Path | None, layout: str | None) -> list[PairFiles]:
    from defocusfix.pairs.find import pairs_of_folders
    from defocusfix.pairs.layouts import pairs_of_layout

    if blurred is None:
        return []
    if target is not None:
        return pairs_of_folders(blurred, target)
    return pairs_of_layout(blurred, layout or "pairs")


def _scores(
    methods: Mapping[str, Restore], photos: int, score: Callable[[Restore], list[Score]]
) -> dict[str, list[Score]]:
    with _counted(methods, photos) as counted:
        return {name: score(restore) for name, restore in counted.items()}


@contextmanager
def _counted(methods: Mapping[str, Restore], photos: int) -> Iterator[dict[str, Restore]]:
    """The same methods, each of which tells the progress display when a photo is done."""
    from defocusfix.cli.progress import track

    with track("Measuring", total=photos * len(methods), unit="photos") as advance:

        def counted(name: str, restore: Restore) -> Restore:
            def restore_and_count(image: FloatImage, views: Views | None = None) -> Restored:
                restored = restore(image) if views is None else restore(image, views)
                advance(note=name)
                return restored

            return restore_and_count

        yield {name: counted(name, restore) for name, restore in methods.items()}


def _write(report: Report, *, as_json: bool, save: Path | None) -> None:
    from defocusfix.evaluation.report import as_csv, as_table

    if as_json:
        output.data_json(report.as_json())
    else:
        output.data(as_table(report.means))
    if save is not None:
        _save(save, lambda: save.write_text(as_csv(report.each), encoding="utf-8"))


def _write_sheet(path: Path, panels: Sequence[Sequence[Panel]]) -> None:
    from defocusfix.figures.contact_sheet import contact_sheet, write_sheet

    _save(path, lambda: write_sheet(path, contact_sheet(panels)))


def _save(path: Path, write: Callable[[], object]) -> None:
    """Carry out `write`; what the file system refuses becomes an OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write()
    except OSError as error:
        raise OutputError(f"{path} cannot be written", why=str(error.strerror)) from error
    output.say(f"saved {path}")
