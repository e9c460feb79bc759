"""Calls of an engine that survive too little memory and a tile gone wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from defocusfix.engines.engine import Engine
from defocusfix.errors import DeviceMemoryError, ModelError
from defocusfix.restoration.tiles import Span, halves

FloatArray = npt.NDArray[np.float32]
SMALLEST_PIECE_PX = 32  # of a core; around it comes the halo, so less would save little
FEW = 8  # every so many rows and columns
FLAT, STRUCTURED = 1e-3, 1 / 16  # spread of the values of a picture gone flat, of one that is not


class Calls:
    """Runs an engine on windows and keeps the cores.

    When memory runs out, the same core is computed in a quarter as large pieces, each with its
    whole halo, and so is everything after it; what was blended before stays as it is. A piece that
    comes back as nonsense is computed once more.

    exact: gives the fp32 engine for the second time; None where `engine` is one already.
    pieces: along each axis, to begin with.
    """

    def __init__(
        self, engine: Engine, exact: Callable[[], Engine] | None = None, pieces: int = 1
    ) -> None:
        self.engine = engine
        self.pieces = pieces
        self._exact = exact
        self._n_repeated = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What went other than planned, in words for the user."""
        told = []
        if self.pieces > 1:
            told.append(f"memory was short: tiles were computed in {self.pieces**2} pieces")
        if self._n_repeated:
            told.append(
                f"{self._n_repeated} tiles came back as nonsense and were computed again in fp32"
            )
        return tuple(told)

    def core(
        self, inputs: Mapping[str, FloatArray], rows: Span, columns: Span
    ) -> dict[str, FloatArray]:
        """The core of a window, by the names of the network's outputs, each (C, rows, columns).

        inputs: what the network gets for the window. rows, columns: the core, in pixels of the
        window. Raises DeviceMemoryError if there is too little memory for the smallest pieces,
        ModelError if nonsense comes back twice.
        """
        while True:
            try:
                return self._in_pieces(inputs, rows, columns)
            except (MemoryError, DeviceMemoryError) as error:
                if max(len(rows), len(columns)) < 2 * self.pieces * SMALLEST_PIECE_PX:
                    raise self._too_little(error) from error
                self.pieces *= 2

    def _too_little(self, error: Exception) -> DeviceMemoryError:
        device = self.engine.device
        return DeviceMemoryError(
            f"there is too little memory on {device}, even for the smallest tiles",
            why=str(error) or "memory ran out",
            fix="close other programs" + ("" if device == "cpu" else ", or use --device cpu"),
        )

    def _in_pieces(
        self, inputs: Mapping[str, FloatArray], rows: Span, columns: Span
    ) -> dict[str, FloatArray]:
        if self.pieces == 1:
            return {
                name: values[0, :, rows.indices, columns.indices]
                for name, values in self._run(inputs).items()
            }
        _, _, height, width = inputs["image"].shape
        found: dict[str, FloatArray] = {}
        for down in halves(rows, self.pieces):
            seen_rows = self._seen(down, height)
            for across in halves(columns, self.pieces):
                seen_columns = self._seen(across, width)
                outputs = self._run(_cropped(inputs, seen_rows, seen_columns))
                for name, values in outputs.items():
                    if name not in found:
                        shape = (values.shape[1], len(rows), len(columns))
                        found[name] = np.empty(shape, np.float32)
                    piece = values[
                        0, :, down.within(seen_rows).indices, across.within(seen_columns).indices
                    ]
                    found[name][:, down.within(rows).indices, across.within(columns).indices] = (
                        piece
                    )
        return found

    def _seen(self, piece: Span, length: int) -> Span:
        """What the network sees for a piece of a core, in a window of `length`."""
        spec = self.engine.spec
        return piece.widened(spec.halo).aligned(spec.size_multiple).clipped(Span(0, length))

    def _run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        outputs = self.engine.run(inputs)
        if not _is_nonsense(inputs, outputs):
            return outputs
        self._n_repeated += 1
        engine = self.engine if self._exact is None else self._exact()
        outputs = engine.run(inputs)
        if _is_nonsense(inputs, outputs):
            raise ModelError(
                f"the model {engine.spec.name} gave values that are not numbers, or nothing at all",
                why=f"{engine.name} on {engine.device}, {engine.precision}, twice for one tile",
                fix="try another --device, --engine or --model",
            )
        return outputs


def _cropped(inputs: Mapping[str, FloatArray], rows: Span, columns: Span) -> dict[str, FloatArray]:
    """The inputs for a part of a window; `coarse` has half the size of the others."""
    parts = dict.fromkeys(inputs, (rows, columns))
    if "coarse" in parts:
        parts["coarse"] = rows.halved(), columns.halved()
    return {
        name: np.ascontiguousarray(inputs[name][..., down.indices, across.indices])
        for name, (down, across) in parts.items()
    }


def _is_nonsense(inputs: Mapping[str, FloatArray], outputs: Mapping[str, FloatArray]) -> bool:
    """Whether numbers are not finite, or a picture with structure has come back flat.

    The device waits meanwhile, so all numbers are looked at only where a few leave a doubt. A sum
    is finite only if what it is of is, and hardly ever overflows; then they are looked at too.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        sums = {name: values.sum() for name, values in outputs.items()}
    if not all(np.isfinite(sums[name]) or np.isfinite(outputs[name]).all() for name in sums):
        return True
    restored = outputs["restored"]
    if np.ptp(restored[..., ::FEW, ::FEW]) >= FLAT:
        return False
    return bool(np.ptp(restored) < FLAT and np.ptp(inputs["image"]) > STRUCTURED)
