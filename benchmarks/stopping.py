"""How a program of many trainings ends when it is told to: at once, and keeping what is finished.

A training that is told to stop saves and returns, as one that is over does, so that whoever plays
several in a row has to look at how each ended.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:  # children of a pool need not load torch for this
    from defocusfix.training.trainer import Outcome


def stop_if_told(outcome: Outcome) -> None:
    """End the program if a signal came while a training ran."""
    if outcome.signal_number:
        _stop(outcome.signal_number)


def stop_when_terminated() -> None:
    """From now on SIGTERM ends the program by an exception, so that its children end with it."""

    def handle(number: int, _: FrameType | None) -> None:
        _stop(number)

    signal.signal(signal.SIGTERM, handle)


def _stop(number: int) -> NoReturn:
    print(
        f"stopped by {signal.Signals(number).name}; what is finished is kept, and the same command "
        "goes on from there",
        file=sys.stderr,
    )
    raise SystemExit(128 + number)
