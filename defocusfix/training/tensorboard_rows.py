"""Rows of a run for TensorBoard, where the package `tensorboard` is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardRows:
    """Writes rows into an event file while it is `opened`; without the package it writes none."""

    def __init__(self, folder: Path) -> None:
        """folder: of the event files, one of each command."""
        self._folder = folder
        self._writer: SummaryWriter | None = None

    @contextmanager
    def opened(self, done_steps: int) -> Iterator[None]:
        """Take rows inside the `with` block.

        done_steps: of the run so far. Rows of later steps that lie in the folder are no longer
        shown: this command makes those steps again.
        """
        self._writer = _summary_writer(self._folder, done_steps)
        try:
            yield
        finally:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def add(self, row: Mapping[str, object]) -> None:
        """Write the numbers of a row, which has `kind` and `step`, as `<kind>/<name>` at once."""
        if self._writer is None:
            return
        for name, value in row.items():
            if name != "step" and isinstance(value, int | float):
                self._writer.add_scalar(f"{row['kind']}/{name}", value, row["step"])
        self._writer.flush()


def _summary_writer(folder: Path, done_steps: int) -> SummaryWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        return None
    # A writer that purges says so at its first step, before which nothing may be written.
    return SummaryWriter(str(folder), purge_step=done_steps + 1 if done_steps else None)
