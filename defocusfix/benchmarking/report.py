"""The figures as a table for people and as one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from defocusfix.benchmarking.suite import Conditions, Row
from defocusfix.engines.select import Way

SCHEMA = 1
HEADINGS = (
    "engine", "device", "precision", "tile", "picture", "MP", "s", "MP/s", "MB", "of peak"
)  # fmt: skip
ON_THE_LEFT = ("engine", "device", "precision", "picture")
NO_FIGURE = "-"

Peaks = Mapping[Way, float]


def best_peak(peaks: Peaks, way: Way) -> float | None:
    """Operations per second, 1e12, of the fastest product on the same device and precision."""
    alike = [
        speed
        for other, speed in peaks.items()
        if (other.device, other.precision) == (way.device, way.precision)
    ]
    return max(alike, default=None)


def share_of_peak(row: Row, peaks: Peaks, gmac_per_mp: float) -> float | None:
    """Operations that a photo needed per second that it took, as a share of the matrix peak."""
    peak = best_peak(peaks, row.task.way)
    if row.measurement is None or not peak:
        return None
    operations = 2e9 * gmac_per_mp * row.measurement.computed_megapixels
    return operations / row.measurement.seconds / (peak * 1e12)


def as_table(said: Conditions, peaks: Peaks, rows: Sequence[Row]) -> str:
    """Conditions, a row for each measurement, and what the columns mean."""
    lines = [
        f"{said.model}, {said.gmac_per_mp:.1f} GMAC per megapixel and level; {said.date}",
        f"{said.processor} ({', '.join(said.abilities) or 'no abilities known'})",
        f"{_count(said.cores, 'core')}, {_count(said.threads, 'thread')}; "
        f"Python {said.python}, {said.system}",
        ", ".join(sorted({row.measurement.name for row in rows if row.measurement})),
        *(f"matrix product, {way}: {speed:.2f} TFLOP/s" for way, speed in peaks.items()),
        "",
    ]
    cells = [HEADINGS, *(_cells(row, peaks, said.gmac_per_mp) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    for line in cells:
        aligned = (
            cell.ljust(width) if heading in ON_THE_LEFT else cell.rjust(width)
            for heading, cell, width in zip(HEADINGS, line, widths, strict=True)
        )
        lines.append("  ".join(aligned).rstrip())
    lines += [f"{row.task.way}: {row.failure}" for row in rows if row.failure]
    lines += [
        "",
        "MP, s, MP/s  one synthetic 8-bit photo, from pixels to restored pixels, in a fresh",
        "             process; opening the engine and reading and writing files not included",
        "MB           largest memory of that process, with the photo in it",
        "of peak      operations per second, as a share of the fastest matrix product here on",
        "             the same device in the same precision",
    ]
    return "\n".join(lines)


def as_json(said: Conditions, peaks: Peaks, rows: Sequence[Row]) -> dict[str, object]:
    """Everything that is known, unrounded."""
    return {
        "schema": SCHEMA,
        "conditions": asdict(said),
        "matrix_tflops": [{**asdict(way), "tflops": speed} for way, speed in peaks.items()],
        "rows": [_row_as_json(row, peaks, said.gmac_per_mp) for row in rows],
    }


def _row_as_json(row: Row, peaks: Peaks, gmac_per_mp: float) -> dict[str, object]:
    task, found = row.task, row.measurement
    asked = {
        **asdict(task.way),
        "picture": task.picture,
        "radius_px": task.radius_px,
        "megapixels": task.megapixels,
        "tile": task.tile,
    }
    if found is None:
        return {**asked, "failure": row.failure}
    return {
        **asked,
        **asdict(found),
        "megapixels_per_second": found.megapixels / found.seconds,
        "share_of_peak": share_of_peak(row, peaks, gmac_per_mp),
    }


def _cells(row: Row, peaks: Peaks, gmac_per_mp: float) -> tuple[str, ...]:
    task, found = row.task, row.measurement
    what = (*_way(task.way), "usual" if task.tile is None else str(task.tile), task.picture)
    if found is None:
        return (*what, f"{task.megapixels:.1f}", *[NO_FIGURE] * 4)
    share = share_of_peak(row, peaks, gmac_per_mp)
    return (
        *what,
        f"{found.megapixels:.1f}",
        f"{found.seconds:.2f}",
        f"{found.megapixels / found.seconds:.2f}",
        NO_FIGURE if found.peak_mb is None else f"{found.peak_mb:.0f}",
        NO_FIGURE if share is None else f"{share:.0%}",
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _way(way: Way) -> tuple[str, str, str]:
    return way.engine, way.device, way.precision
