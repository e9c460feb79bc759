"""How commands are loaded when they are used, and how their help is laid out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command as command_of

from defocusfix.cli.table import entries
from defocusfix.errors import DefocusfixError, UsageError

# How help calls a value; a list is one value for every time that the option is given.
_VALUES = {
    "<list[Path]>": "PATH",
    "<list[str]>": "TEXT",
    "<path>": "PATH",
    "<file>": "FILE",
    "<dir>": "FOLDER",
    "<int range>": "N",
    "<int>": "N",
    "<float range>": "NUMBER",
    "<float>": "NUMBER",
    "<str>": "TEXT",
}

OPTIONAL_VALUE = "[="  # begins the metavar of an option whose value may be left out


class Command(TyperCommand):
    """A command whose help lists the options by panel."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What follows the command's name: options, then the arguments by their names."""
        arguments = [p for p in self.get_params(ctx) if p.param_type_name == "argument"]
        return ["[OPTIONS]", *(_argument_name(argument) for argument in arguments)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take an option whose metavar is "[=...]" without a value for one with an empty value.

        A value follows such an option only after "=", so that what comes next is never swallowed.
        """
        lenient = {
            name
            for parameter in self.params
            if (getattr(parameter, "metavar", None) or "").startswith(OPTIONAL_VALUE)
            for name in parameter.opts
        }
        end = args.index("--") if "--" in args else len(args)
        told = [f"{arg}=" if arg in lenient else arg for arg in args[:end]]
        return super().parse_args(ctx, [*told, *args[end:]])

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then each panel of options in the order of their definition."""
        _write_panels(formatter, _option_rows(self, ctx))


class Group(TyperGroup):
    """Several commands. Knowing their names costs nothing; using one imports it."""

    prefix = ""
    """The words before the names of the commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands, in the order of the help page."""
        return list(entries(self.prefix))

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | TyperGroup | None:
        """The command of this name, imported now; None if there is none."""
        known = entries(self.prefix)
        return load(f"{self.prefix} {cmd_name}".strip()) if cmd_name in known else None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take a group without a command for the wish to see its commands."""
        return super().parse_args(ctx, args or ["--help"])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first argument names. Raises UsageError with the nearest name."""
        if args[0] not in entries(self.prefix) and not args[0].startswith("-"):
            raise _unknown_command(args[0], self.prefix)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands by panel, then the options."""
        known = entries(self.prefix)
        _write_panels(
            formatter, ((entry.panel, name, entry.about) for name, entry in known.items())
        )
        _write_panels(formatter, _option_rows(self, ctx))


class Commands(Group):
    """The group of all commands."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write what the exit codes mean."""
        with formatter.section("Exit codes"):
            formatter.write_dl(
                [
                    ("0", "Everything is done; what was already there counts as done."),
                    *((str(error.exit_code), _first_line(error)) for error in _errors()),
                    ("130, 143", "Stopped by Ctrl-C or terminated; finished files are kept."),
                ]
            )


def load(name: str) -> TyperCommand | TyperGroup:
    """Import the function of a command and make the command of it; KeyError for no command.

    name: as it is typed, with the name of its group if it is in one.
    """
    prefix, _, last = name.rpartition(" ")
    entry = entries(prefix)[last]
    module, function = entry.function.split(":")
    callback = cast(Callable[..., Any], getattr(import_module(module), function))
    text = _help_text(callback.__doc__ or "")
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    if entry.commands:
        group = type("NamedGroup", (Group,), {"prefix": name})
        holder.callback(cls=group, help=text)(callback)
        return cast(TyperGroup, command_of(holder))
    holder.command(last, cls=Command, help=text)(callback)
    return cast(TyperCommand, command_of(holder))


def _help_text(docstring: str) -> str:
    """A docstring as help: paragraphs are filled, but indented ones (examples) stay as they are."""
    paragraphs = cleandoc(docstring).split("\n\n")
    return "\n\n".join(
        f"\b\n{paragraph}" if paragraph.startswith(" ") else paragraph for paragraph in paragraphs
    )


def _unknown_command(name: str, prefix: str) -> UsageError:
    words = f"defocusfix {prefix}".strip()
    close = get_close_matches(name, entries(prefix), n=1)
    if close:
        return UsageError(f"there is no command {name!r}", fix=f"{words} {close[0]}")
    if not prefix and Path(name).exists():
        return UsageError(
            f"{name!r} is a file or folder, not a command", fix=f"defocusfix restore {name}"
        )
    return UsageError(f"there is no command {name!r}", fix=f"{words} --help")


def _option_rows(command: Any, ctx: Any) -> Iterable[tuple[str, str, str]]:
    """Panel, spelling and text of everything a command accepts."""
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        spelling, text = record
        panel = getattr(parameter, "rich_help_panel", None)
        if parameter.param_type_name == "argument":
            yield panel or "Arguments", _argument_name(parameter), _range_in_words(text)
        else:
            yield panel or "Options", _value_in_words(spelling), _range_in_words(text)


def _argument_name(argument: Any) -> str:
    """An argument as it stands in the usage line: brackets if optional, dots if it may repeat."""
    name = (argument.metavar or argument.name.upper()).removesuffix("...")
    if argument.nargs != 1:
        name += "..."
    return name if argument.required else f"[{name}]"


def _value_in_words(spelling: str) -> str:
    """The spelling of an option without the names of Python's types."""
    for of_python, word in _VALUES.items():
        spelling = spelling.replace(of_python, word)
    spelling = spelling.replace(f" {OPTIONAL_VALUE}", OPTIONAL_VALUE)
    return re.sub(r"<([^>]*)>", r"\1", spelling)


def _range_in_words(text: str) -> str:
    """The text of an option with the range of its number, such as x>=1, in words."""
    text = re.sub(r"([\d.]+)<=x<=([\d.]+)", r"from \1 to \2", text)
    text = re.sub(r"x>=([\d.]+)", r"at least \1", text)
    return re.sub(r"x<=([\d.]+)", r"at most \1", text)


def _write_panels(formatter: Any, rows: Iterable[tuple[str, str, str]]) -> None:
    """Write each panel once, in the order in which the panels first come, "Options" last."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for panel, term, text in rows:
        panels.setdefault(panel, []).append((term, text))
    for panel, lines in sorted(panels.items(), key=lambda item: item[0] == "Options"):
        with formatter.section(panel):
            formatter.write_dl(lines)


def _errors() -> list[type[DefocusfixError]]:
    """Every class of error, by exit code."""
    classes: list[type[DefocusfixError]] = [DefocusfixError, *DefocusfixError.__subclasses__()]
    return sorted(classes, key=lambda error: error.exit_code)


def _first_line(error: type[DefocusfixError]) -> str:
    if error is DefocusfixError:
        return "Something went wrong inside defocusfix."
    return (error.__doc__ or "").splitlines()[0]
