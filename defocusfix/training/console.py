"""What a run says while it trains: a moving bar on a terminal, plain lines in a log."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from defocusfix.training.run_folder import RunFolder


class RunConsole:
    """Talks on stderr and into the run's log; use it in a `with` block."""

    def __init__(
        self, folder: RunFolder, *, writes_log: bool = True, talks: bool = True, moves: bool = True
    ) -> None:
        """One console of several processes writes the log.

        talks: say anything on stderr. moves: show a bar where stderr is a terminal.
        """
        self._folder = folder
        self._writes_log = writes_log
        self._talks = talks
        self._moves = moves
        self._console = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._first: tuple[float, float] | None = None

    def __enter__(self) -> Self:
        if self._talks and self._moves and self._console.is_terminal:
            self._bar = Progress(
                BarColumn(bar_width=20),
                TextColumn("{task.percentage:>3.0f} %  {task.fields[status]}"),
                console=self._console,
            )
            self._task = self._bar.add_task("training", total=1.0, status="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        self._log(line)
        if self._talks:
            self._console.print(line, markup=False, soft_wrap=True)

    def show(
        self, stage: str, step: int, done: float, seconds: float, status: str, *, most_left: float
    ) -> None:
        """Where the run stands; on a terminal the bar moves, elsewhere a line is printed.

        done: share of the whole run, 0 to 1, after `seconds` of it.
        most_left: seconds after which the run ends in any case; inf for no limit.
        """
        line = f"{stage} {step:>6}  {status}  {self._time_left(done, seconds, most_left)}"
        if self._bar is None:
            self.say(line)
        else:
            self._log(line)
            self._bar.update(self._task, completed=done, status=line)

    def _log(self, line: str) -> None:
        if self._writes_log:
            self._folder.add_log(line)

    def _time_left(self, done: float, seconds: float, most_left: float) -> str:
        """Judged by the speed since the first row of this command."""
        if self._first is None:
            self._first = (done, seconds)
        first_done, first_seconds = self._first
        if done <= first_done:
            return ""
        left = (1 - done) * (seconds - first_seconds) / (done - first_done)
        return f"{duration(min(left, most_left))} left"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds as 1:02:03, or 2:03 below an hour."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def listed(values: Mapping[str, float]) -> str:
    """Named numbers in one line."""
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
