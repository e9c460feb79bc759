"""A whole run, from its configuration to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from defocusfix.training.config import RunConfig
from defocusfix.training.console import RunConsole
from defocusfix.training.device import training_device
from defocusfix.training.distributed import joined_processes, local_rank
from defocusfix.training.recipe import Recipe
from defocusfix.training.run_folder import RunFolder
from defocusfix.training.trainer import Outcome, Trainer


def train_run(
    config: RunConfig,
    output: Path,
    *,
    is_resumed: bool = False,
    talks: bool = True,
    moves: bool = True,
    changed: Callable[[Recipe], Recipe] | None = None,
) -> Outcome:
    """Train in the folder `output`, alone or as one of the processes that torchrun started.

    is_resumed: go on from the folder's checkpoint; otherwise the folder must not hold a run.
    talks, moves: as for RunConsole. changed: what the caller makes of the recipe first.
    Raises OutputError, ModelError, DeviceError or TrainingError.
    """
    device = training_device(config.trainer.device, local_rank())
    with joined_processes(device.type) as processes:
        torch.manual_seed(config.trainer.seed)
        recipe = config.build()
        if changed is not None:
            recipe = changed(recipe)
        folder = RunFolder(output)
        if processes.leads and not is_resumed:
            folder.begin(config.to_toml())
        trainer = Trainer(recipe, config.trainer, folder, device=device, processes=processes)
        if is_resumed:
            trainer.resume()
            if processes.leads:
                folder.describe(config.to_toml())
        leads = processes.leads
        return trainer.run(RunConsole(folder, writes_log=leads, talks=leads and talks, moves=moves))
