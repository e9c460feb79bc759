"""The one loop that plays every recipe: steps, validation, saving, stopping, time."""

from __future__ import annotations

import itertools
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Literal

import numpy as np
import torch

from defocusfix.errors import ModelError, TrainingError
from defocusfix.training.average import WeightAverage
from defocusfix.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from defocusfix.training.config import TrainerConfig
from defocusfix.training.console import RunConsole, duration, listed
from defocusfix.training.distributed import Processes, from_first
from defocusfix.training.meter import Meter
from defocusfix.training.optimiser import ModuleOptimiser
from defocusfix.training.prefetch import prefetched
from defocusfix.training.recipe import OptimiserConfig, Progress, Recipe, Stage, Tensors
from defocusfix.training.revision import code_revision
from defocusfix.training.run_folder import RunFolder
from defocusfix.training.step import NotFiniteError, train_step
from defocusfix.training.tensorboard_rows import TensorBoardRows
from defocusfix.training.weights import write_weights

GRACE = 0.1  # of a stage's time, by which steps may be late before time drives the schedules
TRAINING_PER_LOOK = 4  # times what a validation took, before the next one by time

StopReason = Literal["time", "patience", "signal"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Why a run ended, and where."""

    reason: Literal["finished", "time", "patience", "signal"]
    total_steps: int
    signal_number: int = 0
    """The signal that came while it ran, 0 for none; too late a one did not cut it short."""
    new_steps: int = field(default=0, compare=False)
    """How many of the steps this command made."""
    seconds: float = field(default=0.0, compare=False)
    """What the run took up to now, earlier commands included."""


class Trainer:
    """A recipe in progress. Make one, `resume` it if it has a past, `run` it."""

    def __init__(
        self,
        recipe: Recipe,
        config: TrainerConfig,
        folder: RunFolder,
        *,
        device: torch.device,
        processes: Processes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """clock: seconds since any fixed moment. The recipe's modules are moved to `device`."""
        self.recipe = recipe
        self.config = config
        self.folder = folder
        self.device = device
        self.processes = processes or Processes()
        for module in recipe.modules.values():
            module.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.optimisers = {
            name: ModuleOptimiser(module, recipe.optimisers.get(name, OptimiserConfig()))
            for name, module in recipe.modules.items()
        }
        self.average = WeightAverage(recipe.modules[recipe.inference], config.ema_decay)
        if config.compile:
            # The parts, not the whole: recipes also call a part alone.
            for part in recipe.modules[recipe.inference].children():
                part.compile()
        self._autocast = torch.autocast(
            device.type, torch.bfloat16, enabled=config.precision == "bf16"
        )
        self._tensorboard = TensorBoardRows(folder.tensorboard)
        self._spec = replace(recipe.spec, revision=recipe.spec.revision or code_revision())
        self._clock = clock
        self._began = clock()
        self._earlier_seconds = 0.0
        self._stage_number = 0
        self._step = 0
        self._total_steps = 0
        self._samples = 0
        self._look_seconds = 0.0  # that the last validation took
        self._scores: dict[int, float] = {}  # of the validations, by step
        self._signal = 0

    def resume(self) -> None:
        """Take up the run where the folder's checkpoint stands. Raises ModelError."""
        checkpoint = read_checkpoint(self.folder.checkpoint)
        self._restore(checkpoint)
        self._earlier_seconds = checkpoint.elapsed_seconds
        if self.processes.leads:
            self.folder.resume(checkpoint.total_steps)
            self._scores = {row["step"]: row["score"] for row in self.folder.validations()}

    def run(self, console: RunConsole) -> Outcome:
        """Train until the stages are over, the time is up, or a signal comes; then save.

        Raises TrainingError where a loss is not finite: the folder then holds the last good state.
        """
        self._began = self._clock()
        earlier_steps = self._total_steps
        stopped: StopReason | None = None
        with ExitStack() as ending:
            ending.enter_context(_signals_noted(self._note_signal))
            ending.enter_context(console)
            if self.processes.leads:
                ending.enter_context(self._tensorboard.opened(earlier_steps))
            console.say(self._described())
            if not self.folder.checkpoint.exists():
                self._save()  # what a run that fails at once goes back to
            if self.config.validates_first and self._total_steps == 0:
                self._validate(console)
            while stopped is None and self._stage_number < len(self.recipe.stages):
                stopped = self._play(self.recipe.stages[self._stage_number], console)
                if stopped is None:
                    self._stage_number += 1
                    self._step = 0
            self._save()
            if stopped != "signal":
                self._validate(console)
            reason = stopped or "finished"
            console.say(
                f"ended ({reason}) after {self._total_steps} steps, {self._samples} samples, "
                f"{duration(self._elapsed())}"
            )
        return Outcome(
            reason,
            self._total_steps,
            self._signal,
            new_steps=self._total_steps - earlier_steps,
            seconds=self._elapsed(),
        )

    def _play(self, stage: Stage, console: RunConsole) -> StopReason | None:
        """Play a stage from the present step on; returns what cut it short, None at its end."""
        last = sys.maxsize if self.config.schedule_by == "time" else stage.steps
        saved = validated = self._elapsed()
        meter = Meter(stage, saved)
        has_news = self._moves_what_is_looked_at(stage)

        def batch(step: int) -> Tensors:
            tensors = stage.batch(step, self.processes.rank, self.processes.world)
            return _pinned(tensors) if self.device.type == "cuda" else tensors

        with prefetched(
            batch,
            range(self._step, last),
            depth=self.config.prefetch,
            threads=self.config.prefetch_threads,
        ) as batches:
            while self._step < last:
                # Clocks and signals differ between processes; all do what the first one sees.
                elapsed, number, stale = from_first(
                    [self._elapsed(), self._signal, self._stale()], self.device
                )
                if 0 < self.config.patience <= stale:
                    return "patience"
                if number:
                    self._signal = int(number)
                    return "signal"
                fraction = self._fraction(stage, elapsed)
                if fraction is not None and fraction >= 1:
                    return None
                if fraction is None and 0 < self.config.max_hours * 3600 <= elapsed:
                    return "time"
                progress = Progress(stage.name, self._step, stage.steps, fraction)
                meter.add(*self._advance(stage, next(batches), progress))
                if self._step % self.config.log_steps == 0 or self._step == last:
                    self._log(stage, progress, meter, console)
                if elapsed - saved >= self.config.save_minutes * 60:
                    self._save()
                    saved = elapsed
                if has_news and self._validation_is_due(elapsed - validated):
                    self._validate(console)
                    validated = self._elapsed()
        return None

    def _moves_what_is_looked_at(self, stage: Stage) -> bool:
        """Whether a stage changes what is validated, or a part of it."""
        looked_at = self.recipe.looked_at or (self.recipe.inference,)
        shown = {p for name in looked_at for p in self.recipe.modules[name].parameters()}
        names = {name for turn in stage.turns for name in turn.trains}
        return any(shown & set(self.recipe.modules[name].parameters()) for name in names)

    def _advance(
        self, stage: Stage, batch: Tensors, progress: Progress
    ) -> tuple[int, dict[str, float]]:
        """One step; returns the number of samples in the joint batch, and the terms."""
        position = (self.config.seed, self._stage_number, self._step, self.processes.rank)
        torch.manual_seed(int(np.random.SeedSequence(position).generate_state(1)[0]))
        batch = {name: t.to(self.device, non_blocking=True) for name, t in batch.items()}
        samples = next(iter(batch.values())).shape[0] * self.processes.world
        try:
            terms = train_step(self.recipe, stage, batch, progress, self.optimisers, self._autocast)
        except NotFiniteError as error:
            raise self._gone_back(stage, error) from error
        self.average.update()
        self._step += 1
        self._total_steps += 1
        self._samples += samples
        return samples, terms

    def _gone_back(self, stage: Stage, found: NotFiniteError) -> TrainingError:
        """Take the last checkpoint's state; the error that says what happened."""
        bad_step = self._step
        self._restore(read_checkpoint(self.folder.checkpoint))
        if self.processes.leads:
            self._write_weights(self.folder.weights)
            self.folder.add_log(f"not finite at step {bad_step} of {stage.name}: {found}")
        return TrainingError(
            f"a loss or gradient of batch {bad_step} in stage {stage.name!r} is not finite",
            why=str(found),
            fix=f"last.ckpt is the last good state, {self._total_steps} steps into the run;\n"
            "go on from it with --resume and a lower learning rate or gradient clip (--set)",
        )

    def _elapsed(self) -> float:
        return self._earlier_seconds + self._clock() - self._began

    def _fraction(self, stage: Stage, elapsed: float) -> float | None:
        """Share of the stage that is over, where time has a part in it."""
        if self.config.schedule_by == "steps":
            return None
        by_time = self._fraction_by_time(elapsed)
        if self.config.schedule_by == "time":
            return by_time
        # Late by a little is not late: else no two runs would have the same rates.
        return max(self._step / stage.steps, (by_time - GRACE) / (1 - GRACE))

    def _fraction_by_time(self, elapsed: float) -> float:
        """Share of the present stage's time that is over; stages share max_hours by their steps."""
        before, length, total = self._stage_lengths()
        seconds_per_step = self.config.max_hours * 3600 / total
        return min(1.0, max(0.0, (elapsed / seconds_per_step - before) / length))

    def _run_fraction(self, progress: Progress) -> float:
        before, length, total = self._stage_lengths()
        return (before + progress.fraction * length) / total

    def _stage_lengths(self) -> tuple[int, int, int]:
        """Steps of the stages before the present one, of it, and of all."""
        lengths = [stage.steps for stage in self.recipe.stages]
        return sum(lengths[: self._stage_number]), lengths[self._stage_number], sum(lengths)

    def _validation_is_due(self, seconds: float) -> bool:
        steps, minutes = self.config.validate_steps, self.config.validate_minutes
        by_steps = steps > 0 and self._total_steps % steps == 0
        # However long a look takes, most of the time is for training.
        rest = max(minutes * 60, TRAINING_PER_LOOK * self._look_seconds)
        return by_steps or (minutes > 0 and seconds >= rest)

    def _validate(self, console: RunConsole) -> None:
        """Look at the average, unless that was done at this very step."""
        if self.recipe.validate is None or not self.processes.leads:
            return
        if self._total_steps in self._scores:
            return
        began = self._clock()
        with torch.no_grad():
            found = self.recipe.validate(self.average.module)
        self._look_seconds = self._clock() - began
        row = {"kind": "validation", "step": self._total_steps, "seconds": self._elapsed()}
        each = {"each": found.each} if found.each else {}
        is_best = found.score > max(self._scores.values(), default=-math.inf)
        if is_best:
            self._write_weights(self.folder.best_weights)
        # The row comes after the weights: a run killed in between looks again when it is resumed.
        self._add_row(row | found.metrics | {"score": found.score} | each)
        self.folder.add_pictures(self._total_steps, found.pictures)
        self._scores[self._total_steps] = found.score
        told = found.told or listed(found.metrics)
        best = "  best" if is_best and found.told else ""
        console.say(f"validation at step {self._total_steps}  {told}{best}")

    def _stale(self) -> int:
        """Validations since the best one whose score was no higher than that of the one before."""
        scores = list(self._scores.values())
        since = scores[scores.index(max(scores)) :] if scores else []
        return sum(after <= before for before, after in itertools.pairwise(since))

    def _log(self, stage: Stage, progress: Progress, meter: Meter, console: RunConsole) -> None:
        elapsed = self._elapsed()
        rate = stage.learning_rate(progress)
        speed = meter.samples_per_second(elapsed)
        if self.processes.leads:
            self._add_row(
                {
                    "kind": "train",
                    "stage": stage.name,
                    "step": self._total_steps,
                    "stage_step": self._step,
                    "samples": self._samples,
                    "seconds": elapsed,
                    "samples_per_second": speed,
                    "learning_rate": rate,
                    "loss": meter.loss,
                }
                | meter.terms()
                | {f"{name}.weighted": value for name, value in meter.weighted().items()}
            )
        status = f"loss {meter.loss:.4f}  {listed(meter.terms())}  rate {rate:.2e}  {speed:.0f}/s"
        limit = self.config.max_hours * 3600 or math.inf
        done = self._run_fraction(progress)
        console.show(stage.name, self._step, done, elapsed, status, most_left=limit - elapsed)
        meter.clear(elapsed)

    def _add_row(self, row: Mapping[str, object]) -> None:
        self.folder.add_row(row)
        self._tensorboard.add(row)

    def _save(self) -> None:
        if not self.processes.leads:
            return
        write_checkpoint(
            self.folder.checkpoint,
            Checkpoint(
                recipe=self.recipe.name,
                stage=self._stage_number,
                step=self._step,
                total_steps=self._total_steps,
                samples=self._samples,
                elapsed_seconds=self._elapsed(),
                modules={n: dict(m.state_dict()) for n, m in self.recipe.modules.items()},
                optimisers={n: o.state_dict() for n, o in self.optimisers.items()},
                average=dict(self.average.module.state_dict()),
                average_updates=self.average.updates,
            ),
        )
        self._write_weights(self.folder.weights)

    def _write_weights(self, path: Path) -> None:
        write_weights(path, self.average.module.state_dict(), self._spec)

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Take the state of `checkpoint`. Raises ModelError if it belongs to another recipe."""
        if checkpoint.recipe != self.recipe.name:
            raise ModelError(
                f"{self.folder.checkpoint} belongs to the recipe {checkpoint.recipe!r}",
                why=f"this run plays {self.recipe.name!r}",
            )
        try:
            for name, module in self.recipe.modules.items():
                module.load_state_dict(checkpoint.modules[name])
                self.optimisers[name].load_state_dict(checkpoint.optimisers[name])
            self.average.module.load_state_dict(checkpoint.average)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ModelError(
                f"{self.folder.checkpoint} does not fit the recipe's networks", why=str(error)
            ) from error
        self.average.updates = checkpoint.average_updates
        self._stage_number = checkpoint.stage
        self._step = checkpoint.step
        self._total_steps = checkpoint.total_steps
        self._samples = checkpoint.samples

    def _described(self) -> str:
        inference = self.recipe.modules[self.recipe.inference]
        millions = sum(p.numel() for p in inference.parameters()) / 1e6
        return (
            f"{self.recipe.name}: {self.recipe.inference} with {millions:.2f} M parameters, "
            f"{self.device}, {self.config.precision}, {self.processes.world} process(es), "
            f"from step {self._total_steps}"
        )

    def _note_signal(self, number: int) -> None:
        self._signal = number


def _pinned(batch: Tensors) -> Tensors:
    """Copies in memory that a GPU can read while the processor goes on; what is there stays."""
    return {name: t if t.is_cuda else t.pin_memory() for name, t in batch.items()}


@contextmanager
def _signals_noted(note: Callable[[int], None]) -> Iterator[None]:
    """Note SIGINT and SIGTERM instead of dying at once; a second one of a kind ends the program."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python hands signals to the main thread only
        return
    earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _: FrameType | None) -> None:
        signal.signal(number, earlier[signal.Signals(number)])
        note(number)

    for number in earlier:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
