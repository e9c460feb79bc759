"""Everything the commands write: stdout is data, stderr is talk.

Talk is quiet, normal or verbose, and plain (no colour, nothing that moves) when stderr is not a
terminal, when NO_COLOR or TERM=dumb is set, or with --plain.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from defocusfix.errors import DefocusfixError, OutputError, UsageError

_RED, _YELLOW, _RESET = "\033[1;31m", "\033[33m", "\033[0m"


@dataclass(frozen=True, slots=True)
class Manner:
    """How the commands talk. Errors are always told, and data is always written."""

    is_quiet: bool = False
    is_verbose: bool = False
    asks_for_plain: bool = False
    shows_traceback: bool = False
    answers_in_json: bool = False


_manner = Manner()


def set_manner(manner: Manner) -> None:
    """Decide how everything from here on is told; the command line does this once."""
    global _manner
    _manner = manner


def is_quiet() -> bool:
    """Whether talk is left out."""
    return _manner.is_quiet


def is_verbose() -> bool:
    """Whether details are asked for."""
    return _manner.is_verbose


def is_plain() -> bool:
    """Whether stderr must stay free of colour and of anything that moves."""
    return (
        _manner.asks_for_plain
        or not sys.stderr.isatty()
        or bool(os.environ.get("NO_COLOR"))
        or os.environ.get("TERM") == "dumb"
    )


def data(text: str) -> None:
    """Write one piece of the result to stdout. Raises OutputError if it fails."""
    with _standard_output():
        print(text)


def data_bytes(content: bytes) -> None:
    """Write a file to stdout. Raises UsageError if a person sits there, OutputError if it fails."""
    if sys.stdout.isatty():
        raise UsageError(
            "a photo cannot be shown in a terminal",
            fix="defocusfix ... -o - > FILE, or a pipe to the next program",
        )
    with _standard_output():
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def finish_data() -> None:
    """Write what of the result still waits to be written. Raises OutputError if it fails."""
    with _standard_output():
        sys.stdout.flush()


def standard_input() -> bytes:
    """All bytes of stdin. Raises UsageError if a person sits there instead of a file."""
    if sys.stdin.isatty():
        raise UsageError(
            "standard input is a terminal, not a photo",
            fix="defocusfix ... - < FILE, or a pipe from another program",
        )
    return sys.stdin.buffer.read()


def drop_data() -> None:
    """Let what Python still wants to write to stdout, on its way out at the latest, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def data_json(value: Mapping[str, object]) -> None:
    """Write one JSON object to stdout, on one line; a number that is not finite becomes null.

    Raises OutputError if it fails.
    """
    with _standard_output():
        print(json.dumps(_finite(value)), flush=True)


def say(text: str) -> None:
    """Tell the user something on stderr; --quiet leaves it out."""
    if not _manner.is_quiet:
        print(text, file=sys.stderr)


def detail(text: str) -> None:
    """Tell something that only --verbose asks for."""
    if _manner.is_verbose:
        print(text, file=sys.stderr)


def warn(text: str) -> None:
    """Tell the user of something that is not as it should be, though the work goes on."""
    if not _manner.is_quiet:
        print(f"{_coloured('warning:', _YELLOW)} {text}", file=sys.stderr)


def answer_in_json() -> None:
    """From here on, an error that ends the command is also written to stdout, as an event."""
    set_manner(replace(_manner, answers_in_json=True))


def error(failure: DefocusfixError) -> None:
    """Tell what failed, why, and what to try; with --debug also where, innermost cause first."""
    if _manner.answers_in_json:
        from defocusfix.jobs.events import SCHEMA, error_to_json

        with suppress(OutputError):  # which may be what is told of
            data_json({"schema": SCHEMA, "event": "error", **error_to_json(failure)})
    if _manner.shows_traceback:
        print("".join(traceback.format_exception(failure)), end="", file=sys.stderr)
    print(f"{_coloured('error:', _RED)} {failure}", file=sys.stderr)


@contextmanager
def _standard_output() -> Iterator[None]:
    """Whatever keeps stdout from being written, but for a reader who left, as an OutputError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_data()
        reason = (error.strerror or str(error)).lower()
        raise OutputError("standard output cannot be written", why=reason) from error


def _coloured(text: str, colour: str) -> str:
    return text if is_plain() else f"{colour}{text}{_RESET}"


def _finite(value: object) -> object:
    """The same value with every float that JSON cannot say replaced by None."""
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
