"""`defocusfix train`: train a network by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")],
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="Training method.")] = "supervised",
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
        typer.Option(min=0.0, help="Hours after which the run saves and stops. [default: none]"),
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

    if preset is not None and config is not None:
        raise UsageError("--preset and --config contradict each other", fix="give one of them")
    table = {}
    if preset is not None:
        table = read_preset(recipe, preset)
    elif config is not None:
        table = read_config(config)
    elif resume:
        table = read_config(output / "config.toml")
    limit = [] if max_hours is None else [f"trainer.max_hours={max_hours}"]
    outcome = train_run(
        resolve_config(recipe, table, [*(changes or ()), *limit]),
        output,
        is_resumed=resume,
        talks=not talk.is_quiet(),
        moves=not talk.is_plain(),
    )
    if outcome.reason == "signal":
        talk.say(f"saved; go on with: defocusfix train --recipe {recipe} -o {output} --resume")
        raise typer.Exit(128 + outcome.signal_number)
