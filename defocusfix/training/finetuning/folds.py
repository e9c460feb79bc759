"""Every scene judges once: parts of few scenes are held out in turn.

Of five scenes two can be spared to judge, and two cannot tell a gain from chance. So the scenes are
divided into folds. Each fold is judged by a network that learnt from the others, with the weights
of its last step: no look is chosen, so nothing flatters the scores. The weights that are kept learn
from all pairs, for as long as each of those networks did.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from defocusfix.training.config import RunConfig
from defocusfix.training.finetuning.data import DataFacts
from defocusfix.training.run_folder import RunFolder
from defocusfix.training.trainer import Outcome

FOLDS_FOLDER = "folds"
FINISHED = "finished.json"
LEAST_SHARE = 0.1  # of the time, for those that come last

Play = Callable[[RunConfig, RunFolder, Sequence[str]], Outcome]
"""Train in a folder with some pairs held out, or go on there."""


@dataclass(frozen=True, slots=True)
class Turns:
    """What the folds said."""

    outcome: Outcome
    """Of the last one that was played; its reason is "signal" where one came."""
    looks: list[dict[str, Any]]
    """Two rows as of validations, of all pairs: the base model, and each fold's last step."""
    seconds: float
    """That they took."""


def judged_in_turn(
    config: RunConfig, data: DataFacts, run: Path, play: Play, say: Callable[[str], None]
) -> Turns:
    """Play every fold that is not finished, in folders under `run`, and put together what was seen.

    config: of the whole run, whose time the folds share with the run on all pairs.
    Raises what `play` raises.
    """
    spent, outcome = 0.0, Outcome("finished", 0)
    looks: list[list[dict[str, Any]]] = []
    for number, names in enumerate(data.folds, start=1):
        folder = RunFolder(run / FOLDS_FOLDER / f"{number}")
        finished = folder.path / FINISHED
        if finished.is_file():
            outcome = Outcome("finished", json.loads(finished.read_text("utf-8"))["steps"])
        else:
            say(f"fold {number} of {len(data.folds)}: judged by {', '.join(names)}")
            hours = share_of_time(config, spent, len(data.folds) - number + 1)
            outcome = play(fold_config(config, names, hours), folder, names)
            if outcome.reason == "signal":
                return Turns(outcome, [], spent)
            finished.write_text(json.dumps({"steps": outcome.total_steps}) + "\n", "utf-8")
            for path in (folder.checkpoint, folder.weights, folder.best_weights):
                path.unlink(missing_ok=True)
        looks.append(folder.validations())
        spent += looks[-1][-1]["seconds"]
    joined = [
        {"step": step, "each": [row for found in looks for row in found[place]["each"]]}
        for step, place in ((0, 0), (max(1, outcome.total_steps), -1))
    ]
    return Turns(outcome, joined, spent)


def fold_config(config: RunConfig, held_out: Sequence[str], hours: float) -> RunConfig:
    """The settings of one fold, or with nothing held out of the run on all pairs."""
    trainer = replace(
        config.trainer,
        max_hours=hours,
        validate_steps=0,
        validate_minutes=0.0,
        validates_first=bool(held_out),
        patience=0,
    )
    recipe = replace(config.recipe, held_out=tuple(held_out))
    return replace(config, trainer=trainer, recipe=recipe)


def share_of_time(config: RunConfig, spent: float, folds_left: int) -> float:
    """Hours for the next of the folds that are left and of the run on all pairs.

    spent: seconds that the earlier folds took, looks included; however many, a little is left.
    """
    hours = config.trainer.max_hours
    return max(hours - spent / 3600, LEAST_SHARE * hours) / (folds_left + 1)
