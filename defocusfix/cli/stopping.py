"""Ctrl-C and termination while photos are being done: the first asks, the second insists."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from defocusfix.cli import output
from defocusfix.jobs.run import Stop


class Stopping:
    """The wish to stop, as signals tell it."""

    def __init__(self) -> None:
        self.stop = Stop()
        self._number = 0

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Take a signal: ask for a stop, or stop at once if that has been asked for."""
        if self.stop.is_asked:
            self.end(number)
        self._number = number
        self.stop.ask()
        output.say("stopping as soon as this tile is done; once more stops at once")

    def end(self, number: int | None = None) -> NoReturn:
        """Raise what ends the command as the signal would have done, with its exit code."""
        number = self._number if number is None else number
        if number == signal.SIGTERM:
            raise SystemExit(128 + number)
        raise KeyboardInterrupt


@contextmanager
def stoppable() -> Iterator[Stopping]:
    """Let signals ask for a stop within the block; what was ignored before stays ignored."""
    stopping = Stopping()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, stopping.hear)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
