"""What the user asked for, and the settings of the run that follow from it.

The recipe is `reblur-guided`; what stands here are its settings for few pairs and trained weights.
Each can be changed with `--set`, and all of them stand in the run's config.toml.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from defocusfix.errors import UsageError
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks.build import BUILDERS, FOCUSNETS
from defocusfix.pairs.find import Matching
from defocusfix.training.config import RunConfig, resolve_config
from defocusfix.training.finetuning.data import DataFacts

RECIPE = "reblur-guided"
LEARNING_RATE = 5e-5  # a twentieth of what the bundled weights were trained with
REBLUR_RATE = 1e-3  # of the reblurring module, which starts from nothing
FEW_PAIRS = 50  # with fewer, a large backbone stays as it is and its fusion learns
FOCUSNET_TRUNK = ("head", "body", "tail")  # its map knows the blur better than young kernels do
SEEDED_FUSION = ("estimator", "fusion")
LOOKS = 10  # at the held-out photos, in a run, beside the one at its start
PATIENCE = 5
STEPS_PER_PAIR, FEWEST_STEPS, MOST_STEPS = 16, 300, 3000
SHARE_FOR_REBLURRING = 0.1  # of the run, in which only the reblurring module learns
SHARE_TO_END, LEAST_SECONDS_TO_END = 0.07, 60.0  # kept for the last look and the export
LEAST_SHARE_OF_TIME = 0.5  # of the whole that training gets, however long the check took
FEWEST_SHARE, MOST_SHARE = 0.01, 0.5  # of the scenes that may be held out


@dataclass(frozen=True, slots=True)
class FinetuneSettings:
    """What the user asked for. Raises UsageError for what cannot be done."""

    blurry: Path
    sharp: Path
    base: Path
    """Weights to start from (.safetensors)."""
    matching: Matching = "auto"
    max_hours: float = 0.5
    """Of the whole command, check and export included."""
    steps: int | None = None
    """Length of the run in steps; None for a length that suits the number of pairs."""
    learning_rate: float = LEARNING_RATE
    held_out: float | None = None
    """Share of the scenes to judge by; None for a share that suits their number."""
    folds: int | None = None
    """Parts that the scenes are divided into, each judged by a network that learnt from the others;
    0 for one part that is held out; None for what suits the number of scenes."""
    device: str = "auto"
    precision: Literal["bf16", "fp32"] = "fp32"
    seed: int = 0
    changes: tuple[str, ...] = ()
    """Settings of trainer and recipe, as "key=value"."""

    def __post_init__(self) -> None:
        if not self.max_hours > 0:
            raise UsageError("--max-hours must be above 0")
        if not self.learning_rate > 0:
            raise UsageError("--learning-rate must be above 0")
        if self.held_out is not None and not FEWEST_SHARE <= self.held_out <= MOST_SHARE:
            raise UsageError(
                f"--held-out {self.held_out:g} is not a share of the scenes",
                why=f"it must lie between {FEWEST_SHARE} and {MOST_SHARE}",
            )
        if self.folds is not None and (self.folds < 0 or self.folds == 1):
            raise UsageError("--folds must be 2 or more, or 0 for one held-out part")
        if self.folds and self.held_out is not None:
            raise UsageError(
                "--folds and --held-out exclude each other",
                why="with folds, every scene is held out once",
            )


def run_config(
    settings: FinetuneSettings,
    data: DataFacts,
    spec: NetworkSpec,
    *,
    cache: Path,
    has_gpu: bool,
    seconds_gone: float,
) -> RunConfig:
    """The settings of the run.

    spec: of the base model. cache: folder for decoded photos. has_gpu: whether it trains on one.
    seconds_gone: since the command began. Raises UsageError where `--set` does not fit.
    """
    seconds = 3600 * settings.max_hours
    steps = settings.steps or usual_steps(len(data.learnt))
    to_end = max(SHARE_TO_END * seconds, LEAST_SECONDS_TO_END)
    training = max(seconds - seconds_gone - to_end, LEAST_SHARE_OF_TIME * seconds)
    trainer: dict[str, Any] = {
        "seed": settings.seed,
        "device": settings.device,
        "precision": settings.precision,
        "max_hours": training / 3600,
        "schedule_by": "either",
        "log_steps": 20,
        "save_minutes": 2.0,
        "validate_steps": max(1, steps // LOOKS),
        "validate_minutes": training / 60 / LOOKS,
        "validates_first": True,
        "patience": PATIENCE,
        "prefetch_threads": 4 if has_gpu else 1,
    }
    network = trainable(spec.architecture)
    recipe: dict[str, Any] = {
        "blurry": str(settings.blurry),
        "sharp": str(settings.sharp),
        "matching": settings.matching,
        "held_out": list(data.held_out),
        "left_out": list(data.left_out),
        "network": network,
        "start_from": str(settings.base),
        "licence": spec.licence,
        "training_data": _training_data(settings, data, spec),
        "trains": list(_learning_parts(network, len(data.learnt))),
        "data": {
            "crop_px": data.crop_px,
            "scale": "auto",
            "alignment": "local",
            "cache": str(cache),
        },
        "reblur": {"width": 64 if has_gpu else 16},
        "reblur_rate": REBLUR_RATE / settings.learning_rate,
        "reblur_epochs": SHARE_FOR_REBLURRING,
        "warm_up_epochs": 0.0,
        "full_epochs": 1 - SHARE_FOR_REBLURRING,
        "batch_size": 8 if has_gpu else 4,
        "learning_rate": settings.learning_rate,
        "seed": settings.seed,
    }
    if network in FOCUSNETS:
        recipe["map_weight"] = 0.0
    config = resolve_config(RECIPE, {"trainer": trainer, "recipe": recipe}, settings.changes)
    samples = config.recipe.batch_size * steps  # one epoch is the whole run
    return replace(config, recipe=replace(config.recipe, samples_per_epoch=samples))


def usual_steps(pairs: int) -> int:
    """Length of a run on so many pairs: the more there are, the longer there is to learn."""
    return min(max(STEPS_PER_PAIR * pairs, FEWEST_STEPS), MOST_STEPS)


def trainable(architecture: str) -> str:
    """The network that the recipe trains from weights of this one: itself, or its seeded form."""
    seeded = f"seeded-{architecture}"
    return seeded if seeded in BUILDERS and architecture not in FOCUSNETS else architecture


def _learning_parts(network: str, pairs: int) -> tuple[str, ...]:
    """Which parts of the network learn; empty for all."""
    if network in FOCUSNETS:
        return FOCUSNET_TRUNK
    return SEEDED_FUSION if pairs < FEW_PAIRS else ()


def _training_data(settings: FinetuneSettings, data: DataFacts, spec: NetworkSpec) -> str:
    own = (
        f"fine-tuned on {len(data.learnt)} pairs of the user's own photos "
        f"({settings.blurry.name}, {settings.sharp.name})"
    )
    return f"{spec.training_data}; {own}" if spec.training_data else own
