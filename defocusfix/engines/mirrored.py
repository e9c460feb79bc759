"""A network that sees every tile four times: as it is, and mirrored along each axis and both.

A mirrored picture is as good a picture, but a trained network restores it a little differently.
The mean of the four errs less than each of them (self-ensemble, Lim et al., EDSR, CVPR workshops
2017, with four of its eight turns: turned by a quarter, a tile would have another shape).

The two views of a dual-pixel photo tell what lies before the focus from what lies behind it by the
side to which they differ. Mirrored along one axis they would say the opposite, or not, according to
how the camera was held. Mirrored along both, with left and right exchanged, they are those of a
camera upside down; so a network that takes views sees every tile twice.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from defocusfix.engines.engine import Engine, FloatArray, Precision
from defocusfix.network_spec import VIEWS, NetworkSpec

ROWS, COLUMNS = 2, 3  # axes of (B, C, H, W)
MIRRORINGS: tuple[tuple[int, ...], ...] = ((), (COLUMNS,), (ROWS,), (ROWS, COLUMNS))
OF_VIEWS = (MIRRORINGS[0], MIRRORINGS[-1])
EXCHANGED = dict(zip(VIEWS, reversed(VIEWS), strict=True))


class MirroredEngine:
    """The mean of what `engine` gives for its inputs and their mirror images, four times as slow.

    With views of a dual-pixel sensor it is two times as slow.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def spec(self) -> NetworkSpec:
        """What the network needs and gives."""
        return self._engine.spec

    @property
    def name(self) -> str:
        """The library that computes, with its version."""
        return self._engine.name

    @property
    def device(self) -> str:
        """The device really in use."""
        return self._engine.device

    @property
    def precision(self) -> Precision:
        """The precision really in use."""
        return self._engine.precision

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Compute one batch, as `Engine.run`."""
        sums: dict[str, FloatArray] = {}
        mirrorings = OF_VIEWS if self.spec.views else MIRRORINGS
        for axes in mirrorings:
            mirrored = {
                EXCHANGED.get(name, name) if axes else name: np.ascontiguousarray(np.flip(a, axes))
                for name, a in inputs.items()
            }
            for name, output in self._engine.run(mirrored).items():
                turned_back = np.flip(output, axes)
                sums[name] = turned_back.copy() if name not in sums else sums[name] + turned_back
        return {name: total / np.float32(len(mirrorings)) for name, total in sums.items()}
