"""Is the tuned network better than the one it started from? An answer that can be "no".

The unit is the scene, not the photo: two photos of one scene say the same thing twice. The network
is looked at several times in a run and the best look is kept, so the scores of the kept weights
flatter them: the best of ten equal networks looks better than it is. Two guards against that:

- each scene is given the gain of that look which the *other* scenes would have kept, and the mean
  of these gains must exceed 0 by more than the scenes differ from each other (Student's t, 95 %);
- had training no effect, every scene's gains might as well have the opposite sign. The best mean
  of the run must be rare among those of all such reversals, the choice of the look included; looks
  at which the network was worse in the mean are no choice and stay out.
  Source: Westfall and Young, Resampling-Based Multiple Testing (1993), the maximum statistic.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST_SCENES = 3  # below, scenes cannot be said to agree
LARGEST_CHANCE = 0.05  # or, of fewer than five scenes, that of one reversal among all
ALL_REVERSALS = 12  # scenes, up to which every reversal is tried; of more, some drawn by lot
DRAWN_REVERSALS = 4096
LEAST_GAIN_DB = 0.05  # a smaller one is not worth another file, however sure it is
NORMAL_975 = 1.959964  # 97.5 % of the standard normal distribution lie below it


@dataclass(frozen=True, slots=True)
class Look:
    """How close the network came to the held-out targets at one moment of the run."""

    step: int
    """0 is the base model."""
    psnr_db: Mapping[str, float]
    """By pair."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the held-out scenes say."""

    gains_db: Mapping[str, float]
    """Over the base model, by scene; of weights in whose choice the scene had no part."""
    mean_db: float
    low_db: float
    """Lower end of the 95 % interval of the mean; minus infinity for a single scene."""
    high_db: float
    chance: float
    """Share of the reversals whose best look scores as high, 0 to 1."""
    over_input_db: float
    """Mean gain over the untouched photos; of the same weights."""
    kept_step: int
    """Step of the look that scored highest over all scenes; 0 for the base model."""

    @property
    def better(self) -> int:
        """Scenes with a gain above 0."""
        return sum(gain > 0 for gain in self.gains_db.values())

    @property
    def is_reliable(self) -> bool:
        """Whether the tuned network is worth using."""
        return not self.doubts

    @property
    def doubts(self) -> tuple[str, ...]:
        """What speaks against the tuned network, in words; nothing where it is worth using."""
        found = []
        if self.kept_step == 0:
            found.append("at no time was the network better than the base model")
        elif self.mean_db < LEAST_GAIN_DB:
            found.append(f"the gain is below {LEAST_GAIN_DB:g} dB, which nobody sees")
        if len(self.gains_db) < FEWEST_SCENES:
            found.append(
                f"{_counted(len(self.gains_db), 'held-out scene')} cannot show whether "
                f"scenes agree; it takes {FEWEST_SCENES} or more"
            )
        elif self.kept_step > 0 and not self._is_no_chance:
            found.append("the scenes differ more than the gain is large: it may be chance")
        if self.kept_step > 0 and self.over_input_db <= 0:
            found.append("the photos left as they are come closer to their targets still")
        return tuple(found)

    @property
    def _is_no_chance(self) -> bool:
        bearable = max(LARGEST_CHANCE, 0.5 ** len(self.gains_db))
        return self.low_db > 0 and self.chance <= bearable

    def in_words(self, hints: Sequence[str] = ()) -> str:
        """The verdict in one or two sentences; `hints` may tell why there is no gain."""
        found = self._found()
        if self.is_reliable:
            return f"Better on {self.better} of {found}."
        why = "; ".join([*self.doubts, *hints])
        return f"No reliable gain, keep the base model: {self.better} of {found}. Why: {why}."

    def _found(self) -> str:
        scenes = _counted(len(self.gains_db), "held-out scene")
        better = "" if self.is_reliable else " better"
        interval = ""
        if len(self.gains_db) > 1:
            least, most = min(self.gains_db.values()), max(self.gains_db.values())
            interval = (
                f" (95 % interval {self.low_db:+.2f} to {self.high_db:+.2f}, "
                f"scenes {least:+.2f} to {most:+.2f})"
            )
        return f"{scenes}{better}, {self.mean_db:+.2f} dB on average{interval}"


def judge(
    looks: Sequence[Look], untouched_db: Mapping[str, float], scenes: Mapping[str, str]
) -> Verdict:
    """The verdict over a run.

    looks: the base model first. untouched_db: PSNR of the untouched photos, by pair. scenes: scene
    of every pair; pairs without figures do not count. Raises ValueError without any figure.
    """
    pairs = [pair for pair in scenes if pair in untouched_db]
    if not looks or not pairs:
        raise ValueError("a verdict needs a look at one pair at least")
    names = sorted({scenes[pair] for pair in pairs})
    table = np.array([_by_scene(look.psnr_db, pairs, names, scenes) for look in looks])
    untouched = _by_scene(untouched_db, pairs, names, scenes)
    gains = table - table[0]  # (looks, scenes)
    choices = [_choice_without(gains, number) for number in range(len(names))]
    chosen = np.array([gains[choice, number] for number, choice in enumerate(choices)])
    over_input = chosen + table[0] - untouched
    low, high = interval(chosen)
    return Verdict(
        gains_db=dict(zip(names, map(float, chosen), strict=True)),
        mean_db=float(chosen.mean()),
        low_db=low,
        high_db=high,
        chance=_chance(gains),
        over_input_db=float(over_input.mean()),
        kept_step=looks[int(gains.mean(axis=1).argmax())].step,
    )


def interval(values: NDArray[np.floating]) -> tuple[float, float]:
    """The 95 % confidence interval of the mean of `values` (N,), infinite for a single one."""
    if len(values) < 2:
        return -math.inf, math.inf
    reach = student_975(len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - reach, float(values.mean()) + reach


def student_975(freedom: int) -> float:
    """97.5 % of Student's t with this many degrees of freedom lie below it; to 1 % from 2 on.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5. With one degree the
    series is too short and 12.706 is returned.
    """
    if freedom == 1:
        return 12.706
    z = NORMAL_975
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def _by_scene(
    values: Mapping[str, float],
    pairs: Sequence[str],
    names: Sequence[str],
    scenes: Mapping[str, str],
) -> NDArray[np.float64]:
    """(scenes,): the mean over the pairs of each scene."""
    means = [np.mean([values[pair] for pair in pairs if scenes[pair] == name]) for name in names]
    return np.array(means, np.float64)


def _choice_without(gains: NDArray[np.float64], scene: int) -> int:
    """The look that scores highest on all scenes but this one; on it, where it is alone."""
    others = np.delete(gains, scene, axis=1) if gains.shape[1] > 1 else gains
    return int(others.mean(axis=1).argmax())


def _chance(gains: NDArray[np.float64]) -> float:
    """Share of the reversals of scenes whose best look is as good as that of `gains`."""
    count = gains.shape[1]
    gains = gains[gains.mean(axis=1) >= 0]  # the base model's are 0
    if count <= ALL_REVERSALS:
        signs = np.array(list(itertools.product((1, -1), repeat=count)))
    else:
        drawn = np.random.default_rng(0).choice((1, -1), (DRAWN_REVERSALS - 1, count))
        signs = np.vstack([np.ones(count, np.int64), drawn])
    best = (gains @ signs.T).max(axis=0)  # (reversals,); the first of them reverses nothing
    return float((best >= best[0] - 1e-9).mean())


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
