"""Whole runs of a recipe, cut off and gone on with, and what they left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from defocusfix.training.checkpoint import read_checkpoint
from defocusfix.training.config import TrainerConfig
from defocusfix.training.console import RunConsole
from defocusfix.training.recipe import Recipe
from defocusfix.training.run_folder import RunFolder
from defocusfix.training.trainer import Outcome, Trainer


def trainer(
    path,
    build: Callable[[Any], Recipe],
    config: Any,
    *,
    resume: bool = False,
    seed: int = 0,
    clock=None,
    **settings,
):
    """A trainer of the recipe, in fp32 and with every step logged."""
    torch.manual_seed(seed)
    folder = RunFolder(path)
    if not resume:
        folder.begin("")
    made = Trainer(
        build(config),
        TrainerConfig(**({"precision": "fp32", "log_steps": 1} | settings)),
        folder,
        device=torch.device("cpu"),
        **({} if clock is None else {"clock": clock}),
    )
    if resume:
        made.resume()
    return made


def play(made: Trainer) -> Outcome:
    return made.run(RunConsole(made.folder, talks=False))


def state(run: Path) -> dict[str, torch.Tensor]:
    """Weights of all modules, the average and the optimisers' memories, as a run left them."""
    last = read_checkpoint(run / "last.ckpt")
    modules = {**last.modules, "average": last.average}
    found = {
        f"{name}.{key}": value for name, kept in modules.items() for key, value in kept.items()
    }
    for name, parts in last.optimisers.items():
        for part in parts:
            for number, memory in part["state"].items():
                found |= {f"{name} {number} {key}": value for key, value in memory.items()}
    return found


def losses(run: Path) -> list[dict[str, float]]:
    """Every term of every step."""
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [
        {name: row[name] for name in row if name not in ("seconds", "samples_per_second")}
        for row in rows
        if row["kind"] == "train"
    ]
