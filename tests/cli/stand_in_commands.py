"""Commands that end in every way a command can end, in place of the real ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from defocusfix.cli import output, progress
from defocusfix.errors import DeviceError


def succeed(
    times: Annotated[int, typer.Option(help="How often the result is written.")] = 1,
) -> None:
    """Write a result and talk about it."""
    output.say("talk")
    output.detail("details")
    output.warn("trouble")
    for _ in range(times):
        output.data("result")


def repeat(name: Annotated[Path, typer.Argument(help="What is written.")]) -> None:
    """Write the name of a file."""
    output.data(str(name))


def answer() -> None:
    """Answer in JSON."""
    output.answer_in_json()
    output.data_json({"event": "done"})


def refuse() -> None:
    """Fail in a way that is known."""
    raise DeviceError("no such device", why="looked\nand looked again", fix="another one")


def stumble() -> None:
    """Fail in a way that nobody thought of."""
    raise ZeroDivisionError("by nought")


def miss_an_extra() -> None:
    """Need a package of an extra."""
    raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")


def miss_a_module() -> None:
    """Need a package that no extra brings."""
    raise ModuleNotFoundError("No module named 'surely_not'", name="surely_not")


def be_interrupted() -> None:
    """Meet Ctrl-C."""
    raise KeyboardInterrupt


def wait(
    started: Annotated[Path, typer.Argument(help="File made when waiting begins.")],
    cleaned: Annotated[Path, typer.Argument(help="File made when waiting ends.")],
) -> None:
    """Wait until told to stop, then tidy up."""
    try:
        started.touch()
        time.sleep(60)
    finally:
        cleaned.touch()


def work() -> None:
    """Show progress."""
    with progress.track("Working", total=2.5, unit="MP") as advance:
        advance(1.0)
        advance(1.5, note="nearly")
