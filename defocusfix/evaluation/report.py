"""Scores of several methods as rows: a table to read, CSV to compute with, JSON for programs."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from defocusfix.evaluation import brackets, maps, pairs, rendered

Cell = str | int | float
Row = dict[str, Cell]

LYTRO = "lytro"  # scenes of the light-field camera: exactly registered, so told apart


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of a protocol, the same keys in every row of a list."""

    protocol: str
    means: list[Row]
    """One row or a few per method."""
    each: list[Row]
    """One row per method and photo."""

    def as_json(self) -> dict[str, object]:
        """All of it as plain values."""
        return asdict(self)


def brackets_report(scores: Mapping[str, Sequence[brackets.BracketScore]]) -> Report:
    """Means over all cases, and over the Lytro scenes where there are any."""
    means: list[Row] = []
    for method, cases in scores.items():
        means.append({"method": method, "scenes": "all", **asdict(brackets.summarise(cases))})
        if any(case.case.startswith(LYTRO) for case in cases):
            lytro = brackets.summarise(cases, LYTRO)
            means.append({"method": method, "scenes": LYTRO, **asdict(lytro)})
    return Report("brackets", means, _each(scores))


def rendered_report(scores: Mapping[str, Sequence[rendered.RenderedScore]]) -> Report:
    """Means by region: all pixels, and textured ones."""
    means = [
        _rendered_row(method, rendered.summarise(photos, region))
        for region in rendered.REGIONS
        for method, photos in scores.items()
    ]
    each = [
        _rendered_row(method, rendered.summarise([photo], photo.region)) | {"photos": photo.photo}
        for method, photos in scores.items()
        for photo in photos
    ]
    renamed = [{"photo" if key == "photos" else key: row[key] for key in row} for row in each]
    return Report("rendered", means, renamed)


def maps_report(scores: Mapping[str, Sequence[maps.MapScore]]) -> Report:
    """Means over photos; the F-measure at the chosen and at the best threshold.

    The best threshold is one for all photos of a method, in the rows of single photos too.
    """
    summaries = {method: maps.summarise(photos) for method, photos in scores.items()}
    means: list[Row] = [
        {"method": method, **asdict(summary)} for method, summary in summaries.items()
    ]
    each: list[Row] = [
        {
            "method": method,
            "photo": s.photo,
            "f_at_chosen": s.f_at_chosen,
            "best_f": s.f_by_threshold[maps.THRESHOLDS_PX.index(summary.best_threshold_px)],
            "best_threshold_px": summary.best_threshold_px,
            "error": s.error,
        }
        for method, summary in summaries.items()
        for s in scores[method]
    ]
    return Report("maps", means, each)


def pairs_report(scores: Mapping[str, Sequence[pairs.PairScore]]) -> Report:
    """Means by alignment of the targets: none, global, in tiles, by flow."""
    means: list[Row] = []
    for alignment in pairs.ALIGNMENTS:
        for method, photos in scores.items():
            mean = pairs.mean_score(photos, alignment)
            if mean is not None:
                means.append({"method": method, **_without_empty(asdict(mean))})
    return Report("pairs", means, [_without_empty(row) for row in _each(scores)])


def as_table(rows: Sequence[Row]) -> str:
    """Rows as aligned text with a heading; numbers to the right. Empty for no rows."""
    if not rows:
        return ""
    keys = list(rows[0])
    lines = [[key.replace("_", " ") for key in keys]]
    lines += [[_as_text(key, row[key]) for key in keys] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(keys))]
    is_text = [isinstance(rows[0][key], str) for key in keys]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(line, widths, is_text, strict=True)
        ).rstrip()
        for line in lines
    )


def as_csv(rows: Sequence[Row]) -> str:
    """Rows as comma-separated values with a heading, full precision. Empty for no rows."""
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _each(scores: Mapping[str, Iterable[brackets.BracketScore | pairs.PairScore]]) -> list[Row]:
    return [
        {"method": method, **{field.name: getattr(score, field.name) for field in fields(score)}}
        for method, photos in scores.items()
        for score in photos
    ]


def _rendered_row(method: str, summary: rendered.RenderedSummary) -> Row:
    gains = {
        f"gain_db_{band.name}": summary.gains_db.get(band.name, float("nan"))
        for band in rendered.BANDS
    }
    return {
        "method": method,
        "region": summary.region,
        "photos": summary.photos,
        **gains,
        "kept_db": summary.kept_db,
        "map_error_px": summary.map_error_px,
        "map_relative_error": summary.map_relative_error,
        "map_correlation": summary.map_correlation,
    }


def _without_empty(row: Row) -> Row:
    """The row without an LPIPS that nobody measured."""
    return {k: v for k, v in row.items() if k != "lpips" or v == v}


def _as_text(key: str, value: Cell) -> str:
    if not isinstance(value, float):
        return str(value)
    if value != value:
        return "-"
    return f"{value:.2f}" if "_db" in key or key.endswith("_px") else f"{value:.3f}"
