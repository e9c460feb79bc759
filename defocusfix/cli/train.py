"""`defocusfix train`: train a network by a recipe."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from defocusfix.training.trainer import Outcome


def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")],
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            "-r",
            help="Training method. [default: supervised; with --resume that of the run]",
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Settings that come with the recipe, by name.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", dir_okay=False, help="Settings from a TOML file of your own."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change one setting; may be given several times."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder.")
    ] = False,
    max_hours: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Hours after which the run saves and stops: in all, earlier commands included; "
            "0 for no limit. [default: none, with --resume that of the run]",
        ),
    ] = None,
) -> None:
    """Train a network, from scratch or from where a run stopped.

    The folder of the run takes every setting, the metrics, validation pictures, a checkpoint and
    the weights so far. Ctrl-C saves and stops; the same command with --resume goes on. Several
    GPUs: torchrun --nproc-per-node 4 -m defocusfix train ...

    Examples:

      defocusfix train --preset focusnet-s --set recipe.crops='["crops"]' -o run

      defocusfix train -o run --resume --max-hours 2
    """
    from defocusfix.cli import output as talk
    from defocusfix.errors import UsageError
    from defocusfix.training.command import train_run
    from defocusfix.training.config import read_config, read_preset, resolve_config
    from defocusfix.training.distributed import process_number

    if preset is not None and config is not None:
        raise UsageError("--preset and --config contradict each other", fix="give one of them")
    table = read_config(output / "config.toml") if resume else {}
    name = table.get("recipe_name", recipe or "supervised")
    if recipe not in (None, name):
        raise UsageError(
            f"the run in {output} is of the recipe {name!r}, not {recipe!r}",
            fix="go on without --recipe; or begin a run in another folder with -o",
        )
    if preset is not None:
        table = read_preset(name, preset)
    elif config is not None:
        table = read_config(config)
    limit = [] if max_hours is None else [f"trainer.max_hours={max_hours}"]
    settings = resolve_config(name, table, [*(changes or ()), *limit])
    outcome = train_run(
        settings,
        output,
        is_resumed=resume,
        talks=not talk.is_quiet(),
        moves=not talk.is_plain(),
    )
    if process_number() == 0:
        _tell_how_to_go_on(outcome, output, settings.trainer.max_hours)
    if outcome.reason == "signal":
        raise typer.Exit(128 + outcome.signal_number)


def _tell_how_to_go_on(outcome: Outcome, output: Path, max_hours: float) -> None:
    """Of a run that was cut short."""
    from defocusfix.cli import output as talk

    again = f"go on with: defocusfix train -o {output} --resume"
    if outcome.reason == "signal":
        talk.say(f"saved; {again}")
    if outcome.reason == "time":
        hours = outcome.seconds / 3600
        if outcome.new_steps == 0:
            talk.warn(
                f"nothing was trained: the run has taken {hours:.2g} h, earlier commands included, "
                f"and its limit is {max_hours:g} h in all"
            )
        more = _rounded_up(hours + max_hours)
        talk.say(f"saved; {again} --max-hours {more:g}  (in all; 0 for no limit)")


def _rounded_up(hours: float) -> float:
    """To two digits."""
    digit: float = 10.0 ** (math.floor(math.log10(hours)) - 1)
    return math.ceil(hours / digit) * digit
