"""Learning rates and ramps as functions of `Progress`: pure, so that resuming needs no state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from defocusfix.training.recipe import Progress

Schedule = Callable[[Progress], float]


def constant(value: float) -> Schedule:
    """The same value all through the stage."""
    return lambda _: value


def cosine(peak: float, *, warm_up: float = 0.02, final: float = 0.0) -> Schedule:
    """Linear rise to `peak`, then half a cosine down to `final` times `peak`.

    warm_up: share of the stage, in [0, 1), that the rise takes; 0 starts at the peak. The rate
    is above zero from the first step on.
    Source: Loshchilov and Hutter, SGDR (2017), one period.
    """
    if not 0 <= warm_up < 1:
        raise ValueError(f"warm_up is a share of the stage in [0, 1), got {warm_up}")

    def rate(progress: Progress) -> float:
        fraction = min(progress.fraction, 1.0)
        if fraction < warm_up:
            return peak * min(1.0, (fraction + 1 / progress.steps) / warm_up)
        fall = (fraction - warm_up) / (1 - warm_up)
        return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * fall)))

    return rate


def halving(value: float, every: float, length: float) -> Schedule:
    """`value`, halved whenever another `every` of the stage's `length` (in any unit) is over."""
    if not every > 0 or not length > 0:
        raise ValueError(f"halving needs lengths above 0, got {every} and {length}")
    # The small amount makes up for rounding: 70 of 200 epochs are 0.35 * 200.
    return lambda progress: value * 0.5 ** math.floor(progress.fraction * length / every + 1e-9)


def halved_at(value: float, fractions: Sequence[float]) -> Schedule:
    """`value`, halved once each of these shares of the stage, in (0, 1), is over."""
    if not all(0 < fraction < 1 for fraction in fractions):
        raise ValueError(f"fractions lie between 0 and 1, got {tuple(fractions)}")
    return lambda progress: value * 0.5 ** sum(progress.fraction >= part for part in fractions)


def part_of(schedule: Schedule, start: float, stop: float) -> Schedule:
    """What a stage sees of a whole run's schedule, of which it takes the share [start, stop].

    `schedule` then sees the fraction of the run as that of its stage.
    """
    if not 0 <= start < stop <= 1:
        raise ValueError(f"a part needs 0 <= start < stop <= 1, got {start} and {stop}")

    def value(progress: Progress) -> float:
        fraction = start + (stop - start) * progress.fraction
        return schedule(replace(progress, time_fraction=fraction))

    return value


def ramp(start: float, stop: float, *, low: float = 0.0, high: float = 1.0) -> Schedule:
    """`low` before the fraction `start`, `high` after `stop`, linear in between."""
    if not 0 <= start < stop <= 1:
        raise ValueError(f"a ramp needs 0 <= start < stop <= 1, got {start} and {stop}")

    def value(progress: Progress) -> float:
        share = min(1.0, max(0.0, (progress.fraction - start) / (stop - start)))
        return low + (high - low) * share

    return value
