"""Run a network over the levels of an image pyramid, coarsest first, each level in tiles.

Strong blur is weak blur on a smaller picture: what is out of focus by 16 px is restored where it
is 4 px, and handed down. `defocusfix.network_spec` says how a level is called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from defocusfix.engines.engine import Engine
from defocusfix.errors import ModelError
from defocusfix.network_spec import RADIUS_UNKNOWN
from defocusfix.restoration.blend import add_core
from defocusfix.restoration.tiles import Cut, Span, Tile, tiles

FloatArray = npt.NDArray[np.float32]
Report = Callable[[float], None]
"""Is told the share of the whole work that has just been done; the shares sum to one."""


@dataclass(frozen=True, slots=True)
class Level:
    """What a network made of one level."""

    restored: FloatArray
    """(3, H, W), not clamped."""
    radius_px: FloatArray | None
    """(H, W) in pixels of this level."""


def padded(image: FloatArray, multiple: int) -> FloatArray:
    """`image` (C, H, W) continued by reflection at the bottom and right to multiples."""
    _, height, width = image.shape
    rows, columns = -height % multiple, -width % multiple
    if rows == 0 and columns == 0:
        return image
    return np.pad(image, ((0, 0), (0, rows), (0, columns)), mode="reflect")


def halved(image: FloatArray) -> FloatArray:
    """`image` (C, H, W) at half size by 2x2 area averaging; H and W even."""
    quarters = image[:, 0::2, 0::2] + image[:, 0::2, 1::2]
    quarters += image[:, 1::2, 0::2]
    quarters += image[:, 1::2, 1::2]
    quarters *= np.float32(0.25)
    return quarters


def run_levels(engine: Engine, image: FloatArray, cut: Cut, report: Report) -> tuple[Level, int]:
    """Restore a picture of any size; returns its finest level and the number of tiles computed.

    image: (3, H, W) in [0, 1], H and W at least 1; what is returned has the same H and W.
    Raises ModelError if the network gives values that are not numbers.
    """
    spec = engine.spec
    _, height, width = image.shape
    pyramid = [padded(image, spec.size_multiple * 2 ** (spec.levels - 1))]
    while len(pyramid) < spec.levels:
        pyramid.append(halved(pyramid[-1]))
    plans = [list(tiles(p.shape[1], p.shape[2], cut)) for p in pyramid]
    all_pixels = sum(tile.window_pixels for plan in plans for tile in plan)

    def count(tile: Tile) -> None:
        report(tile.window_pixels / all_pixels)

    coarse = _unknown(pyramid[-1]) if spec.levels > 1 else None
    level = _run_level(engine, pyramid.pop(), coarse, plans[-1], count)
    while pyramid:
        level = _run_level(engine, pyramid.pop(), _handed_down(level), plans[len(pyramid)], count)
    return _cropped(level, height, width), sum(map(len, plans))


def _run_level(
    engine: Engine,
    image: FloatArray,
    coarse: FloatArray | None,
    plan: list[Tile],
    count: Callable[[Tile], None],
) -> Level:
    """Run one level. image: (3, H, W); coarse: (4, H/2, W/2), None for a network without levels."""
    restored = np.zeros(image.shape, np.float32)
    has_radius = "radius_px" in engine.spec.outputs
    radius_px = np.zeros((1, *image.shape[1:]), np.float32) if has_radius else None
    for tile in plan:
        outputs = engine.run(_inputs(engine, image, coarse, tile))
        if not all(np.isfinite(array).all() for array in outputs.values()):
            raise ModelError(
                f"the model {engine.spec.name} gave values that are not numbers",
                why=f"{engine.name} on {engine.device}, {_place(tile)}",
                fix="try another --device or --model",
            )
        add_core(restored, tile, _from_network(outputs["restored"][0], engine))
        if radius_px is not None:
            add_core(radius_px, tile, outputs["radius_px"][0])
        count(tile)
    return Level(restored, None if radius_px is None else radius_px[0])


def _inputs(
    engine: Engine, image: FloatArray, coarse: FloatArray | None, tile: Tile
) -> dict[str, FloatArray]:
    """The arrays for one tile, by the names the network knows them by."""
    rows, columns = tile.rows.window, tile.columns.window
    inputs = {"image": _to_network(image[None, :, rows.indices, columns.indices], engine)}
    if coarse is not None:
        window = coarse[None, :, _half(rows).indices, _half(columns).indices]
        colours = _to_network(window[:, :3], engine)
        inputs["coarse"] = np.concatenate((colours, window[:, 3:]), axis=1)
    return inputs


def _unknown(image: FloatArray) -> FloatArray:
    """What the coarsest level gets as `coarse`: itself at half size, and no radius."""
    half = halved(image)
    return np.concatenate((half, np.full_like(half[:1], RADIUS_UNKNOWN)))


def _handed_down(level: Level) -> FloatArray:
    """What the next finer level gets as `coarse`."""
    if level.radius_px is None:
        raise ValueError("a network with levels must output radius_px")
    return np.concatenate((level.restored, level.radius_px[None]))


def _cropped(level: Level, height: int, width: int) -> Level:
    radius_px = level.radius_px
    return Level(
        level.restored[:, :height, :width],
        None if radius_px is None else radius_px[:height, :width],
    )


def _to_network(values: FloatArray, engine: Engine) -> FloatArray:
    black, white = engine.spec.value_range
    if (black, white) == (0.0, 1.0):
        return np.ascontiguousarray(values)
    return values * np.float32(white - black) + np.float32(black)


def _from_network(values: FloatArray, engine: Engine) -> FloatArray:
    black, white = engine.spec.value_range
    if (black, white) == (0.0, 1.0):
        return values
    return (values - np.float32(black)) * np.float32(1 / (white - black))


def _half(span: Span) -> Span:
    return Span(span.start // 2, span.stop // 2)


def _place(tile: Tile) -> str:
    return f"rows from {tile.rows.core.start}, columns from {tile.columns.core.start}"
