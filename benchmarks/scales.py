"""Which way of joining scales restores best: one level, coarse to fine, or a delta pyramid.

    python benchmarks/scales.py [--model FILE] --brackets DIR --rendered SET [--first N] [--json]

A network with levels is driven here with whole photos, without tiles, in these ways:

- `level l alone`: only the photo at 1/2^l of its size, knowing nothing; the change is enlarged.
- `coarse to fine, n levels`: as `restore` does; each level gets the coarser one's restored image
  and radius map.
- `delta pyramid`: each level gets the coarser one's radius but restores on its own; at each place
  the change is taken from the level where the radius is nearest to what a network undoes best,
  about 2 to 6 px, and cross-faded between two levels in proportion.
- `best level of each photo` (brackets only): the best of the levels alone, chosen by the truth;
  a bound for choosing one scale per photo.

`cost` is the share of pixels computed, 1 for one pass at full size. Photos should be small.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from defocusfix.engines.engine import Engine
from defocusfix.engines.select import open_engine
from defocusfix.evaluation import brackets, rendered
from defocusfix.evaluation.protocols import FloatImage, Restore, Restored, untouched
from defocusfix.evaluation.report import Report, as_table, brackets_report, rendered_report
from defocusfix.network_spec import RADIUS_UNKNOWN
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.restoration.restorer import model_file
from defocusfix.restoration.stored import halved

BEST_RADIUS_PX = 12**0.5  # geometric mean of 2 and 6 px
BEST_LEVEL = "best level of each photo"


@dataclass(frozen=True)
class Level:
    """What a network made of one level: (3, H, W) and, in pixels of the level, (H, W)."""

    restored: FloatImage
    radius_px: FloatImage


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="ONNX file [default: the bundled focusnet-s]")
    parser.add_argument("--brackets", type=Path, metavar="DIR", help="folder of focus brackets")
    parser.add_argument("--rendered", type=Path, metavar="SET", help="set of rendered pairs")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N photos")
    parser.add_argument("--threads", type=int, metavar="N", help="of the processor")
    parser.add_argument("--json", action="store_true", help="write one JSON object instead")
    wanted = parser.parse_args()
    if wanted.brackets is None and wanted.rendered is None:
        parser.error("give --brackets, --rendered or both")

    engine = open_engine(
        model_file(wanted.model), device="cpu", precision="fp32", threads=wanted.threads
    )
    if engine.spec.levels < 2 or engine.spec.value_range != (0.0, 1.0):
        parser.error(f"{engine.spec.name} is no network with levels and values from 0 to 1")
    reports = []
    if wanted.brackets is not None:
        reports.append(on_brackets(wanted.brackets, ways(engine), wanted.first))
    if wanted.rendered is not None:
        reports.append(on_rendered(wanted.rendered, ways(engine), wanted.first))
    for report in reports:
        for row in report.means:
            row["cost"] = costs(engine.spec.levels).get(str(row["method"]), float("nan"))
    if wanted.json:
        print(json.dumps([asdict(report) for report in reports], indent=2))
    else:
        print("\n\n".join(as_table(report.means) for report in reports))


def ways(engine: Engine) -> dict[str, Restore]:
    """Every way of joining scales, by name."""
    levels = engine.spec.levels
    alone = {f"level {level} alone": one_level(engine, level) for level in range(levels)}
    joined = {
        f"coarse to fine, {count} levels": coarse_to_fine(engine, count)
        for count in range(2, levels + 1)
    }
    return {"input": untouched, **alone, **joined, "delta pyramid": delta_pyramid(engine)}


def costs(levels: int) -> dict[str, float]:
    """Pixels computed per pixel of the photo, by the names of `ways`."""
    shares = [0.25**level for level in range(levels)]
    alone = {f"level {level} alone": share for level, share in enumerate(shares)}
    counts = range(2, levels + 1)
    joined = {f"coarse to fine, {count} levels": sum(shares[:count]) for count in counts}
    return {"input": 0.0, **alone, **joined, "delta pyramid": sum(shares)}


def one_level(engine: Engine, level: int) -> Restore:
    """Restores the photo at 1/2^level of its size and enlarges the change."""

    def restore(image: FloatImage) -> Restored:
        views = pyramid(engine, image, level + 1)
        found = run(engine, views[level], unknown(views[level]))
        change, radius = enlarged(found, views[level], level)
        return finished(image, change, radius)

    return restore


def coarse_to_fine(engine: Engine, levels: int) -> Restore:
    """Restores level by level, each starting from the coarser one."""

    def restore(image: FloatImage) -> Restored:
        views = pyramid(engine, image, levels)
        coarse = unknown(views[-1])
        for view in reversed(views):
            found = run(engine, view, coarse)
            coarse = np.concatenate([found.restored, found.radius_px[None]])
        change, radius = enlarged(found, views[0], 0)
        return finished(image, change, radius)

    return restore


def delta_pyramid(engine: Engine) -> Restore:
    """Restores each level on its own and joins the changes by the radius map."""

    def restore(image: FloatImage) -> Restored:
        views = pyramid(engine, image, engine.spec.levels)
        coarse = unknown(views[-1])
        found: list[Level] = []
        for level in reversed(range(len(views))):
            found.insert(0, run(engine, views[level], coarse))
            if level > 0:  # of the coarser level only the radius is handed down
                coarse = np.concatenate([views[level], found[0].radius_px[None]])
        radius = found[0].radius_px
        place = np.clip(np.log2(np.maximum(radius, 1e-3) / BEST_RADIUS_PX), 0, len(views) - 1)
        change = np.zeros((*radius.shape, 3), np.float32)
        for level, (of_level, view) in enumerate(zip(found, views, strict=True)):
            weight = np.maximum(0, 1 - np.abs(place - level))  # both neighbours share, sum 1
            change += weight[..., None] * enlarged(of_level, view, level)[0]
        return finished(image, change, radius)

    return restore


def pyramid(engine: Engine, image: FloatImage, levels: int) -> list[FloatImage]:
    """The photo (3, H, W) and its averages, finest first, padded to what the network needs."""
    multiple = engine.spec.size_multiple * 2 ** (levels - 1)
    height, width, _ = image.shape
    beyond = ((0, 0), (0, -height % multiple), (0, -width % multiple))
    views = [np.pad(image.transpose(2, 0, 1), beyond, mode="reflect")]
    while len(views) < levels:
        views.append(halved(views[-1]))
    return views


def unknown(view: FloatImage) -> FloatImage:
    """What a level gets as `coarse` when nothing is known."""
    half = halved(view)
    return np.concatenate([half, np.full_like(half[:1], RADIUS_UNKNOWN)])


def run(engine: Engine, view: FloatImage, coarse: FloatImage) -> Level:
    """One level, as a whole."""
    outputs = engine.run({"image": view[None], "coarse": coarse[None]})
    return Level(outputs["restored"][0], outputs["radius_px"][0, 0])


def enlarged(found: Level, view: FloatImage, level: int) -> tuple[FloatImage, FloatImage]:
    """Change (H, W, 3) and radius (H, W) of a level at full size, in pixels of full size."""
    change = np.ascontiguousarray((found.restored - view).transpose(1, 2, 0))
    radius = found.radius_px * 2**level
    if level == 0:
        return change, radius
    size = tuple(side * 2**level for side in radius.shape[::-1])
    return cv2.resize(change, size), cv2.resize(radius, size)


def finished(image: FloatImage, change: FloatImage, radius: FloatImage) -> Restored:
    """The photo with its change, without the padding."""
    height, width = image.shape[:2]
    return Restored(image + change[:height, :width], radius[:height, :width])


def on_brackets(folder: Path, methods: Mapping[str, Restore], first: int | None) -> Report:
    """Gains on focus brackets, with the best level of each photo as one more row."""
    cases = brackets.load_brackets(folder)[:first]
    scores = {name: brackets.score_brackets(way, cases) for name, way in methods.items()}
    return brackets_report({**scores, BEST_LEVEL: best_of_each(scores)})


def best_of_each(
    scores: Mapping[str, Sequence[brackets.BracketScore]],
) -> list[brackets.BracketScore]:
    """For each case the score of the level, of those that ran alone, with the largest gain."""
    alone = [of_level for name, of_level in scores.items() if name.endswith(" alone")]
    return [max(case, key=lambda score: score.gain_db) for case in zip(*alone, strict=True)]


def on_rendered(folder: Path, methods: Mapping[str, Restore], first: int | None) -> Report:
    """Gains on rendered pairs by band of the true radius."""
    pairs = RenderedSet(folder)
    count = min(len(pairs), first or len(pairs))
    return rendered_report(
        {
            name: rendered.score_rendered(way, (pairs[index] for index in range(count)))
            for name, way in methods.items()
        }
    )


if __name__ == "__main__":
    main()
