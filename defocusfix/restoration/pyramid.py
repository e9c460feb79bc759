"""Run a network over the levels of an image pyramid, smallest first, each level in tiles.

Strong blur is weak blur on a smaller picture: what is out of focus by 16 px is restored where it
is 4 px, and handed up. `defocusfix.network_spec` says how a level is called.

A photo stays in its stored values. Only windows of it, and what neighbouring tiles share, are held
as floats; of the smaller levels the whole result is kept, as float16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from defocusfix.network_spec import NetworkSpec
from defocusfix.restoration.blend import Take
from defocusfix.restoration.calls import Calls
from defocusfix.restoration.level import Level
from defocusfix.restoration.level_run import LevelRun, Release
from defocusfix.restoration.mask import Mask
from defocusfix.restoration.scales import Origins, finest_level, way_of
from defocusfix.restoration.settings import RestoreSettings
from defocusfix.restoration.stored import Pixels
from defocusfix.restoration.tiles import Cut, Plan, Span, Tile, tiles

Report = Callable[[float], None]
"""Is told the share of the whole work that has just been done; the shares sum to one."""


@dataclass(frozen=True, slots=True)
class Work:
    """What was done to a photo."""

    n_tiles: int
    """Tiles computed, over all levels."""
    shares: dict[int, float]
    """Share of the pixels by the factor of the finest size computed for them, 0 for none."""


def run_levels(
    calls: Calls,
    pixels: Pixels,
    cut: Cut,
    settings: RestoreSettings,
    *,
    rows: Span,
    columns: Span,
    views: Mapping[str, Pixels] | None = None,
    mask: Mask | None = None,
    take: Take,
    release: Release | None = None,
    report: Report,
) -> Work:
    """Find change and radius for a rectangle of a photo.

    rows, columns: the rectangle. views: those that the network takes, of the photo's size. take: is
    given its finished parts, (C, rows, columns): change of the colours where white is 1, not
    clamped, and blur radius in pixels, if the network gives one. release: told after each tile the
    first row of `pixels` that is going to be read again.
    Raises what `Calls.core` raises.
    """
    spec = calls.engine.spec
    finest = finest_level(settings)
    n_levels = max(spec.levels, finest + 1)
    height, width = pixels.shape[:2]
    all_plans = _plans(spec, height, width, cut, rows, columns, n_levels)
    all_pixels = sum(plan.window_pixels for plan in all_plans[finest:])
    origins = Origins(height, width)
    below: Level | None = None
    n_tiles = 0
    for plan in reversed(all_plans):
        ways = [
            way_of(tile, plan.number, below, settings, mask, gives_map="radius_px" in spec.outputs)
            for tile in plan.tiles
        ]
        for tile, way in zip(plan.tiles, ways, strict=True):
            origins.note(tile, plan.number, way)

        def count(tile: Tile, number: int = plan.number) -> None:
            if number >= finest:
                report(tile.window_pixels / all_pixels)

        run = LevelRun(calls, pixels, views or {}, plan, below)
        if plan.number == 0:
            run(ways, take, count, release)
        else:
            level = Level(plan.rows, plan.columns, has_radius=run.has_radius)
            run(ways, level.keep, count)
            below = level
        n_tiles += run.n_computed
    return Work(n_tiles, origins.shares(rows, columns))


def _plans(
    spec: NetworkSpec, height: int, width: int, cut: Cut, rows: Span, columns: Span, n_levels: int
) -> list[Plan]:
    """The tiles of every level, full size first; each level covers what the one above sees."""
    multiple = spec.size_multiple * 2 ** (n_levels - 1)
    height, width = (-(-side // multiple) * multiple for side in (height, width))
    found: list[Plan] = []
    for number in range(n_levels):
        plan = Plan(number, tuple(tiles(height, width, cut, rows, columns)))
        found.append(plan)
        height, width = height // 2, width // 2
        rows, columns = plan.seen_rows.halved(), plan.seen_columns.halved()
    return found
