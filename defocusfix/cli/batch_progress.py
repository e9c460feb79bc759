"""How far a batch of photos is: two bars on a terminal, a line each half minute in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from defocusfix.cli import output
from defocusfix.cli.progress import SECONDS_BETWEEN_LINES, Job
from defocusfix.jobs.clock_time import clock_time

Clock = Callable[[], float]

WIDTH_OF_FIGURES = 80  # columns of a terminal, with the label
NARROWEST_BAR, WIDEST_BAR = 6, 24


class BatchDisplay(Protocol):
    """Shows how far a batch is."""

    def begin(self, label: str, megapixels: float) -> None:
        """A photo is begun, of which as much is to be computed."""

    def advance(self, share: float) -> None:
        """Such a share of the photo begun last, 0 to 1, has just been computed."""

    def aside(self, share: float, megapixels: float) -> None:
        """The same of another photo, of as many megapixels, that is computed at the same time."""

    def settle(self, *, was_begun: bool = True, has_failed: bool = False) -> None:
        """One photo needs nothing more: it is done, or failed, or needed no work."""


@contextmanager
def track_batch(label: str, n_photos: int, megapixels: float | None) -> Iterator[BatchDisplay]:
    """Show how far a batch is while the body runs; nothing if quiet.

    megapixels: of all its photos together; None if that is not known.
    """
    batch = Batch(label, n_photos, megapixels)
    if output.is_quiet():
        yield _Silence()
    elif output.is_plain():
        yield BatchLines(batch)
    else:
        with _bars(batch) as display:
            yield display


@dataclass(slots=True)
class Batch:
    """How far a batch is. Its speed is that of the photos that needed work."""

    label: str
    n_photos: int
    megapixels: float | None
    """Of all photos together, whether they need work or not; None if that is not known."""
    clock: Clock = time.monotonic
    n_settled: int = 0
    n_failed: int = 0
    _n_idle: int = 0  # settled and never begun
    _worked: float = 0.0  # photos computed, in fractions
    _computed: float = 0.0  # megapixels
    _present: float = 0.0  # megapixels of the photo that is being computed
    _share: float = 0.0  # of that photo that is computed
    _start: float = field(init=False)  # of the work

    def __post_init__(self) -> None:
        self._start = self.clock()

    def begin(self, megapixels: float) -> None:
        """A photo is begun."""
        self._present, self._share = megapixels, 0.0

    def advance(self, share: float) -> None:
        """A share of the present photo is computed."""
        self._share += share
        self.aside(share, self._present)

    def aside(self, share: float, megapixels: float) -> None:
        """A share of another photo is computed."""
        self._worked += share
        self._computed += share * megapixels

    def settle(self, *, was_begun: bool, has_failed: bool) -> None:
        """A photo needs nothing more."""
        self.n_settled += 1
        self.n_failed += has_failed
        if was_begun:
            return
        self._n_idle += 1
        if not self._worked:
            self._start = self.clock()  # passing over what is done already is no work

    def figures(self) -> str:
        """Photos, megapixels, speed, time left and failures so far."""
        parts = [f"{self.n_settled:,} of {self.n_photos:,} photos"]
        seconds = self.clock() - self._start
        if self._computed > 0 and seconds > 0:
            whole = "" if self.megapixels is None else f" of {self._to_compute():,.0f}"
            parts.append(f"{self._computed:,.0f}{whole} MP")
            parts.append(f"{self._computed / seconds:.3g} MP/s")
            parts.append(f"{clock_time(self._seconds_left(seconds))} left")
        if self.n_failed:
            parts.append(f"{self.n_failed:,} failed")
        return ", ".join(parts)

    def _to_compute(self) -> float:
        """Megapixels of all photos but those that needed no work, taken as of mean size."""
        return (self.megapixels or 0.0) * (1 - self._n_idle / self.n_photos)

    def _seconds_left(self, seconds: float) -> float:
        """By the megapixels that are left, or else by the photos, as if of the same size."""
        if self.megapixels is not None:
            return max(self._to_compute() - self._computed, 0.0) * seconds / self._computed
        left = self.n_photos - self.n_settled - min(self._share, 1.0)
        return max(left, 0.0) * seconds / self._worked


@dataclass(slots=True)
class BatchLines:
    """Progress in a log: a line every half minute, and none at all for a short batch."""

    batch: Batch
    _last_line: float = field(init=False)

    def __post_init__(self) -> None:
        self._last_line = self.batch.clock()

    def begin(self, label: str, megapixels: float) -> None:
        """A photo is begun."""
        self.batch.begin(megapixels)

    def advance(self, share: float) -> None:
        """A share of the present photo is computed."""
        self.batch.advance(share)
        self._tell()

    def aside(self, share: float, megapixels: float) -> None:
        """A share of another photo is computed."""
        self.batch.aside(share, megapixels)
        self._tell()

    def settle(self, *, was_begun: bool = True, has_failed: bool = False) -> None:
        """A photo needs nothing more."""
        self.batch.settle(was_begun=was_begun, has_failed=has_failed)
        self._tell()

    def _tell(self) -> None:
        now = self.batch.clock()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            output.say(f"{self.batch.label} {self.batch.figures()}")


class _Silence:
    """Progress for --quiet."""

    def begin(self, label: str, megapixels: float) -> None:
        pass

    def advance(self, share: float) -> None:
        pass

    def aside(self, share: float, megapixels: float) -> None:
        pass

    def settle(self, *, was_begun: bool = True, has_failed: bool = False) -> None:
        pass


@contextmanager
def _bars(batch: Batch) -> Iterator[BatchDisplay]:
    # rich takes 80 ms to import, which a command without a bar does not pay.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Figures(ProgressColumn):
        """Those of the whole batch, or of its present photo."""

        def render(self, task: Task) -> Text:
            return Text(task.fields["figures"](task.elapsed or 0.0), overflow="ellipsis")

    class Bars:
        """One bar for the batch, and below it one for the present photo."""

        def __init__(self, progress: Progress) -> None:
            self._progress = progress
            self._whole = progress.add_task(
                batch.label, total=batch.n_photos, figures=lambda _: batch.figures()
            )
            self._photo = progress.add_task("", total=1.0, visible=False, figures=lambda _: "")
            self._job = Job("", 0.0, "MP")

        def begin(self, label: str, megapixels: float) -> None:
            batch.begin(megapixels)
            self._job = job = Job(label, megapixels, "MP")
            self._progress.reset(
                self._photo,
                total=megapixels,
                visible=True,
                figures=lambda seconds: f"{job.figures(seconds)}, {label}",
            )

        def advance(self, share: float) -> None:
            batch.advance(share)
            seconds = self._progress.tasks[1].elapsed or 0.0
            self._job.advance(share * self._job.total, seconds)
            self._progress.update(self._photo, completed=self._job.done)

        def aside(self, share: float, megapixels: float) -> None:
            batch.aside(share, megapixels)

        def settle(self, *, was_begun: bool = True, has_failed: bool = False) -> None:
            batch.settle(was_begun=was_begun, has_failed=has_failed)
            self._progress.update(self._whole, completed=batch.n_settled)

    console = Console(stderr=True)
    room = console.width - WIDTH_OF_FIGURES
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=min(max(room, NARROWEST_BAR), WIDEST_BAR)),
        Figures(table_column=Column(no_wrap=True)),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress)
