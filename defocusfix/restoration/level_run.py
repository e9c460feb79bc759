"""Go through the tiles of one level of the image pyramid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from defocusfix.network_spec import RADIUS_UNKNOWN
from defocusfix.restoration.blend import Blend, Take
from defocusfix.restoration.calls import Calls
from defocusfix.restoration.level import N_COLOURS, Level
from defocusfix.restoration.overlap import overlapped
from defocusfix.restoration.scales import Way
from defocusfix.restoration.stored import Pixels, first_row_read, halved, window_of
from defocusfix.restoration.tiles import Plan, Tile

FloatArray = npt.NDArray[np.float32]
Inputs = dict[str, FloatArray]
Release = Callable[[int], None]
"""Is told the first row of the photo that is going to be read again."""


class LevelRun:
    """Goes through the tiles of one level.

    views: those that the network takes, by their names. below: the level half as large; None for
    the smallest.
    """

    def __init__(
        self,
        calls: Calls,
        pixels: Pixels,
        views: Mapping[str, Pixels],
        plan: Plan,
        below: Level | None,
    ) -> None:
        self._calls, self._pixels, self._views = calls, pixels, views
        self._plan, self._below = plan, below
        self._spec = calls.engine.spec
        self.has_radius = "radius_px" in self._spec.outputs
        self.n_computed = 0

    def __call__(
        self,
        ways: Sequence[Way],
        take: Take,
        report: Callable[[Tile], None],
        release: Release | None = None,
    ) -> None:
        """Do what `ways` says about each tile.

        take: is given finished parts: change and radius, in pixels of this level. report: is told
        of every tile that is computed or passed over. release: for the level of full size.
        """
        items = list(zip(self._plan.tiles, ways, strict=True))
        still_read = [] if release is None else self._first_rows_read(items)
        blend = Blend(N_COLOURS + self.has_radius, self._plan.columns, take)
        n_done = 0

        def prepare(item: tuple[Tile, Way]) -> Inputs:
            tile, way = item
            return self._inputs(tile) if way is Way.COMPUTE else {}

        def compute(item: tuple[Tile, Way], inputs: Inputs) -> tuple[Inputs, Inputs]:
            tile, way = item
            outputs: Inputs = {}
            if way is Way.COMPUTE:
                self.n_computed += 1
                rows = tile.rows.core.within(tile.rows.window)
                outputs = self._calls.core(
                    inputs, rows, tile.columns.core.within(tile.columns.window)
                )
            report(tile)
            return inputs, outputs

        def finish(item: tuple[Tile, Way], arrays: tuple[Inputs, Inputs]) -> None:
            nonlocal n_done
            tile, way = item
            blend.add(
                tile, self._found(tile, *arrays) if way is Way.COMPUTE else self._known(tile, way)
            )
            n_done += 1
            if release is not None:
                release(still_read[n_done])

        overlapped(items, prepare, compute, finish)

    def _inputs(self, tile: Tile) -> Inputs:
        """The arrays for one tile, by the names the network knows them by."""
        rows, columns = tile.rows.window, tile.columns.window
        image = window_of(self._pixels, rows, columns, self._plan.number)
        inputs = {"image": self._to_network(image)[None]}
        for name, view in self._views.items():
            seen = window_of(view, rows, columns, self._plan.number)
            inputs[name] = self._to_network(seen)[None]
        if "coarse" not in self._spec.inputs:
            return inputs
        colours = halved(image)
        if self._below is None:
            radius_px = np.full_like(colours[:1], RADIUS_UNKNOWN)
        else:
            known = self._below.window(rows.halved(), columns.halved())
            colours = colours + known[:N_COLOURS]
            radius_px = known[N_COLOURS:]
        inputs["coarse"] = np.concatenate((self._to_network(colours), radius_px))[None]
        return inputs

    def _found(self, tile: Tile, inputs: Inputs, outputs: Inputs) -> FloatArray:
        """Change and radius of a tile's core, of what the network made of it."""
        rows = tile.rows.core.within(tile.rows.window).indices
        columns = tile.columns.core.within(tile.columns.window).indices
        black, white = self._spec.value_range
        restored = outputs["restored"]
        found = np.empty((N_COLOURS + self.has_radius, *restored.shape[1:]), np.float32)
        change = np.subtract(restored, inputs["image"][0, :, rows, columns], out=found[:N_COLOURS])
        if white - black != 1:
            change *= np.float32(1 / (white - black))
        if self.has_radius:
            found[N_COLOURS:] = outputs["radius_px"]
        return found

    def _known(self, tile: Tile, way: Way) -> FloatArray:
        """Change and radius of a tile's core, of what the level below found."""
        rows, columns = tile.rows.core, tile.columns.core
        if self._below is None:
            if way is Way.LEAVE and not self.has_radius:
                return np.zeros((N_COLOURS, len(rows), len(columns)), np.float32)
            raise ValueError("below the smallest level there is nothing to take over")
        values = self._below.doubled(rows, columns)
        if way is Way.LEAVE:
            values[:N_COLOURS] = 0
        return values

    def _to_network(self, values: FloatArray) -> FloatArray:
        black, white = self._spec.value_range
        if (black, white) == (0.0, 1.0):
            return values
        return values * np.float32(white - black) + np.float32(black)

    def _first_rows_read(self, items: Sequence[tuple[Tile, Way]]) -> list[int]:
        """For each number of tiles done, the first row of the photo that the others still read."""
        height = len(self._pixels)
        rows = [
            first_row_read(tile.rows.window, height) if way is Way.COMPUTE else height
            for tile, way in items
        ]
        return list(accumulate([height, *reversed(rows)], min))[::-1]
