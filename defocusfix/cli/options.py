"""Options that more than one command has, as annotated types: one name and one text for each."""

from __future__ import annotations

from typing import Annotated

import typer

from defocusfix.cli import output
from defocusfix.version import __version__


def _write_version(is_asked: bool) -> None:
    if is_asked:
        output.data(f"defocusfix {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version",
        "-V",
        is_eager=True,
        callback=_write_version,
        help="Write the version and stop.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more of what is being done.")]
Plain = Annotated[
    bool, typer.Option("--plain", help="No colour, and nothing that moves, as in a log.")
]
Debug = Annotated[
    bool, typer.Option("--debug", help="On an error, show where in the program it arose.")
]

# These may stand before or after the command: they mean the same for every one.
ANYWHERE = frozenset({"--quiet", "-q", "--verbose", "-v", "--plain", "--debug"})


def moved_to_front(arguments: list[str]) -> list[str]:
    """The same command line with the options of ANYWHERE before the command.

    What follows "--" is left alone.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument in ANYWHERE]
    others = [argument for argument in arguments[:end] if argument not in ANYWHERE]
    return [*options, *others, *arguments[end:]]
