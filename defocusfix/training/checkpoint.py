"""Checkpoints: everything that resuming needs, written whole or not at all.

Random state is not among it: data and dropout are functions of (seed, step).
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from defocusfix.errors import ModelError, OutputError

FORMAT = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a run between two steps."""

    recipe: str
    stage: int
    """Number of the stage, from 0."""
    step: int
    """Steps of that stage already done."""
    total_steps: int
    """Steps done in all stages together."""
    samples: int
    """Training samples seen in all stages together."""
    elapsed_seconds: float
    """Time the run has taken up to here, summed over its commands."""
    modules: dict[str, dict[str, Tensor]]
    optimisers: dict[str, list[dict[str, Any]]]
    average: dict[str, Tensor]
    average_updates: int


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write under a temporary name, flush to the disk, rename. Raises OutputError."""
    temporary = path.with_name(path.name + ".part")
    content = {"format": FORMAT} | {
        name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__
    }
    try:
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch tells of a full disk by a RuntimeError
        temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write the checkpoint {path}", why=str(error)) from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote, onto the CPU. Raises ModelError for anything else."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path} is not a readable checkpoint", why=str(error)) from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise ModelError(f"{path} was written by another version of defocusfix")
    try:
        return Checkpoint(**content)
    except TypeError as error:
        raise ModelError(f"{path} does not hold what a run needs", why=str(error)) from error
