"""How far a long job is: a bar on a terminal, now and then a line in a log, nothing if quiet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from defocusfix.cli import output
from defocusfix.jobs.clock_time import clock_time

SECONDS_BETWEEN_LINES = 30.0


class Advance(Protocol):
    """Reports work that has just been finished."""

    def __call__(self, amount: float = 1.0, note: str = "") -> None:
        """`amount`: in the unit of the job; `note`: a few words shown beside the bar."""


@contextmanager
def track(label: str, total: float, unit: str = "", already: float = 0.0) -> Iterator[Advance]:
    """Show how much of a job is done while the body runs, with speed and time left.

    label: what is being done, as in "Restoring". total: amount of the whole job, in `unit`.
    already: how much of it was done before, which says nothing about the speed.

        with track("Restoring", total=24.2, unit="MP") as advance:
            advance(0.26)
    """
    if output.is_quiet():
        yield _say_nothing
    elif output.is_plain():
        yield Lines(Job(label, total, unit, already)).advance
    else:
        with _bar(Job(label, total, unit, already)) as advance:
            yield advance


def follow(finished: Iterable[float], label: str, total: float, unit: str = "") -> None:
    """Run a job that yields, again and again, how much of it is done, and show how far it is.

    The first number is what was done before.
    """
    amounts = iter(finished)
    done = next(amounts, 0.0)
    with track(label, total, unit, already=done) as advance:
        for amount in amounts:
            advance(amount - done)
            done = amount


@dataclass(slots=True)
class Job:
    """How far a job is."""

    label: str
    total: float
    unit: str
    already: float = 0.0
    done: float = field(init=False)
    _seconds: float = field(init=False, default=0.0)  # of work, when `done` last grew

    def __post_init__(self) -> None:
        self.done = self.already

    def advance(self, amount: float, seconds: float) -> None:
        """Count `amount` as done after `seconds` of work."""
        self.done += amount
        self._seconds = seconds

    def figures(self, seconds: float) -> str:
        """Amount done, speed, and the time left after `seconds` of work.

        While one piece of work is under way the speed stays and the time left runs down.
        """
        amounts = f"{_amount(self.done)} of {_amount(self.total)} {self.unit}".rstrip()
        worked = self.done - self.already
        if worked <= 0 or self._seconds <= 0:
            return amounts
        speed = worked / self._seconds
        left = max(self.total - self.done, 0.0) / speed - (seconds - self._seconds)
        told = f"{speed:.3g} {self.unit}".rstrip()
        return f"{amounts}, {told}/s, {clock_time(max(left, 0.0))} left"


class Lines:
    """Progress in a log: a line every half minute, and none at all for a short job."""

    def __init__(self, job: Job, clock: Callable[[], float] = time.monotonic) -> None:
        self._job = job
        self._clock = clock
        self._start = self._last_line = clock()

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Count `amount` as done and write a line if the last one is long enough ago."""
        now = self._clock()
        self._job.advance(amount, now - self._start)
        if now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        figures = self._job.figures(now - self._start)
        output.say(f"{self._job.label} {figures}" + (f", {note}" if note else ""))


@contextmanager
def _bar(job: Job) -> Iterator[Advance]:
    # rich takes 80 ms to import, which a command without a bar does not pay.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    class Figures(ProgressColumn):
        """The same figures as in the lines of a log."""

        def render(self, task: Task) -> Text:
            return Text(job.figures(task.elapsed or 0.0))

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        Figures(),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(job.label, total=job.total, note="")
        progress.update(task, completed=job.done)

        def advance(amount: float = 1.0, note: str = "") -> None:
            job.advance(amount, progress.tasks[0].elapsed or 0.0)
            progress.update(task, completed=job.done, note=note)

        yield advance


def _say_nothing(amount: float = 1.0, note: str = "") -> None:
    """Progress for --quiet."""


def _amount(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"
