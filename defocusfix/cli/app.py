"""The command line: from what was typed to an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence

import typer
from typer.main import get_command as command_of

from defocusfix.cli import output
from defocusfix.cli.commands import Commands
from defocusfix.cli.options import Debug, Plain, Quiet, Verbose, Version, moved_to_front
from defocusfix.errors import DefocusfixError, UsageError

INTERRUPTED = 130  # what a shell reports after Ctrl-C
READER_GONE = 141  # what a shell reports of a program whose output is cut off, as by "| head"

# Which extra brings a package that is not among the core dependencies.
EXTRAS = {
    "torch": "train",
    "safetensors": "train",
    "onnx": "train",
    "onnxscript": "train",
    "openvino": "openvino",
    "pillow_heif": "heif",
    "rawpy": "raw",
    "tensorboard": "tensorboard",
    "ray": "cluster",
}

HELP = """Bring out-of-focus photos back into focus.

\b
One photo:         defocusfix restore portrait.jpg
A folder:          defocusfix restore archive/ -o restored/
How blurred is it: defocusfix info portrait.jpg
How good is it:    defocusfix evaluate --input blurred --target sharp
Your own network:  defocusfix train --help

A restored photo stands beside the one it was made from, which is not changed.
The options below may stand before or after the command.
"""

app = typer.Typer(
    name="defocusfix",
    help=HELP,
    cls=Commands,
    # Plain help: the rich one costs 80 ms more and is wider than 80 columns can hold.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def defocusfix(
    version: Version = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    plain: Plain = False,
    debug: Debug = False,
) -> None:
    """Take the options that mean the same for every command."""
    if quiet and verbose:
        raise UsageError("--quiet and --verbose contradict each other", fix="leave one of them out")
    output.set_manner(output.Manner(quiet, verbose, plain, debug))


def main() -> int:
    """Run the command line of this process and return its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names that are not text in this locale come out as the bytes they are.
        sys.stdout.reconfigure(errors="surrogateescape")
    return run(sys.argv[1:])


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line, given without the program's name, and return the exit code."""
    output.set_manner(output.Manner(shows_traceback="--debug" in arguments))
    try:
        return _carry_out(moved_to_front(list(arguments)) or ["--help"])
    except (KeyboardInterrupt, typer.Abort):
        output.say("stopped; what is finished is kept")
        return INTERRUPTED
    except BrokenPipeError:
        output.drop_data()
        return READER_GONE
    except Exception as failure:  # noqa: BLE001  every error ends here, as text and exit code
        told = _as_told(failure)
        output.error(told)
        return told.exit_code


def _carry_out(arguments: list[str]) -> int:
    command = command_of(app)
    if "_DEFOCUSFIX_COMPLETE" in os.environ:  # the shell asks what the Tab key should offer
        command.main(arguments, prog_name="defocusfix")
    try:
        with command.make_context("defocusfix", arguments) as context:
            command.invoke(context)
        code = 0
    except typer.Exit as stop:
        code = stop.exit_code
    output.finish_data()
    return code


def _as_told(failure: Exception) -> DefocusfixError:
    """The error a user is told of, with the original one as its cause."""
    if isinstance(failure, DefocusfixError):
        return failure
    told = _translation(failure)
    told.__cause__ = failure
    return told


def _translation(failure: Exception) -> DefocusfixError:
    if isinstance(failure, typer.TyperException):
        message = failure.format_message().strip().removesuffix(".")
        context = getattr(failure, "ctx", None)
        command = context.command_path if context is not None else "defocusfix"
        return UsageError(message[:1].lower() + message[1:], fix=f"{command} --help")
    if isinstance(failure, ModuleNotFoundError):
        package = (failure.name or "").partition(".")[0]
        if package in EXTRAS:
            return UsageError(
                f"this needs the package {package}, which is not installed",
                fix=f"pip install 'defocusfix[{EXTRAS[package]}]'",
            )
    return DefocusfixError(
        f"something went wrong inside defocusfix ({type(failure).__name__}: {failure})",
        fix="the same command with --debug shows where; please report that",
    )


def _terminate(number: int, frame: object) -> None:
    # As an exception, so that what is half written is taken away again.
    raise SystemExit(128 + number)
