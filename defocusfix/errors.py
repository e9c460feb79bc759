"""Every error a user can meet, with its exit code.

DefocusfixError
 ├─ UsageError      2   the command was put together wrongly
 ├─ PartialError    3   some photos failed, the others are done
 ├─ InputError      4   nothing to do, unreadable, or a format that is not supported
 ├─ ModelError      5   weights unknown, missing, damaged or not accepted
 ├─ DeviceError     6   the demanded device or engine is not usable, or memory ran out
 │   └─ DeviceMemoryError   6   memory ran out; less at once may fit
 ├─ NetworkError    7   the network is needed and is not to be had
 ├─ TrainingError   8   training stopped: not a number, or the data cannot be trained on
 └─ OutputError     9   the output exists already, or cannot be written
"""

from __future__ import annotations

_LABEL_WIDTH = 10  # columns of the labels "why" and "try", so that the texts line up


class DefocusfixError(Exception):
    """What happened, why, and what to do about it.

    what: one line, lower case, without a full stop and without "error:".
    why: what was found; may have several lines.
    fix: what to try; may have several lines.
    """

    exit_code: int = 1

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what, why, fix)
        self.what = what
        self.why = why
        self.fix = fix

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions are rebuilt from their positional arguments when they come out of another
        # process; why and fix are keywords, so they travel as state.
        return type(self), (self.what,), {"why": self.why, "fix": self.fix}

    def __str__(self) -> str:
        return self.what + _labelled("why", self.why) + _labelled("try", self.fix)


class UsageError(DefocusfixError):
    """The command was put together wrongly: an unknown setting, or two that contradict."""

    exit_code = 2


class PartialError(DefocusfixError):
    """Some photos failed; the others are done and saved."""

    exit_code = 3


class InputError(DefocusfixError):
    """There is nothing to do, or an input is missing, damaged or of an unsupported kind."""

    exit_code = 4


class ModelError(DefocusfixError):
    """Weights are unknown, missing, damaged, or do not say what they need."""

    exit_code = 5


class DeviceError(DefocusfixError):
    """A device or engine that was asked for is not usable, or memory ran out."""

    exit_code = 6


class DeviceMemoryError(DeviceError):
    """A device has too little memory for what it was given; less at once may fit."""


class NetworkError(DefocusfixError):
    """Something must be fetched and the network is unavailable or not allowed."""

    exit_code = 7


class TrainingError(DefocusfixError):
    """Training stopped: a loss is not a number, or the data cannot be trained on."""

    exit_code = 8


class OutputError(DefocusfixError):
    """An output exists already, or cannot be written."""

    exit_code = 9


def _labelled(label: str, text: str) -> str:
    """The lines of `text` under each other, the first one with its label; empty for no text."""
    return "".join(
        f"\n  {label if number == 0 else '':<{_LABEL_WIDTH}}{line}"
        for number, line in enumerate(text.splitlines())
    )
