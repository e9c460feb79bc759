"""Means over the steps between two rows of the metrics."""

from __future__ import annotations

from collections import defaultdict

from defocusfix.training.recipe import Stage


class Meter:
    """Collects the terms of a stage's steps; a row is read out and the count starts again."""

    def __init__(self, stage: Stage, seconds: float) -> None:
        """seconds: the run's time at which counting starts."""
        self._weights = {n: w for turn in stage.turns for n, w in turn.weights.items()}
        self.clear(seconds)

    def clear(self, seconds: float) -> None:
        """Start counting again at that time."""
        self._since = seconds
        self._steps = 0
        self._samples = 0
        self._sums: dict[str, float] = defaultdict(float)

    def add(self, samples: int, terms: dict[str, float]) -> None:
        """Count one step: samples in its joint batch, and its unweighted terms."""
        self._steps += 1
        self._samples += samples
        for name, value in terms.items():
            self._sums[name] += value

    @property
    def loss(self) -> float:
        """Mean weighted sum of the terms since the last clearing."""
        return sum(self.weighted().values())

    def samples_per_second(self, seconds: float) -> float:
        """Training samples per second up to that time."""
        return self._samples / max(seconds - self._since, 1e-9)

    def terms(self) -> dict[str, float]:
        """Mean of every term, unweighted."""
        return {name: self._sums[name] / max(self._steps, 1) for name in self._weights}

    def weighted(self) -> dict[str, float]:
        """Mean of every term times its weight."""
        return {name: value * self._weights[name] for name, value in self.terms().items()}
