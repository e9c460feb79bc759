"""What fine-tuning tells: before the first step, at the end, and in the model card."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from defocusfix.evaluation.pairs import ALIGNMENTS
from defocusfix.evaluation.report import Row as TableRow
from defocusfix.network_spec import NetworkSpec
from defocusfix.training.config import RunConfig
from defocusfix.training.console import duration
from defocusfix.training.finetuning.data import FEW_TO_LEARN_FROM, DataFacts
from defocusfix.training.finetuning.held_out import Row, mean_figures
from defocusfix.training.finetuning.verdict import FEWEST_SCENES, Look, Verdict, judge

INPUT, BASE, TUNED = "input", "base", "tuned"
NOTICEABLE = 0.05  # share of detail, that is missed


@dataclass(frozen=True, slots=True)
class Gains:
    """Everything that the held-out photos said."""

    rows: Mapping[str, Sequence[Row]]
    """Figures of every held-out photo: input, base, tuned."""
    verdict: Verdict
    hints: tuple[str, ...]
    """Why there may be no gain."""

    @property
    def in_words(self) -> str:
        """The verdict, and what PSNR does not tell."""
        words = self.verdict.in_words(self.hints)
        if self.verdict.kept_step == 0 or self.less_detail < NOTICEABLE:
            return words
        return (
            f"{words} But it is softer: {self.less_detail:.0%} less detail than the base model; "
            "compare the pictures in samples."
        )

    @property
    def less_detail(self) -> float:
        """Share of the base model's detail that the tuned network lacks; below 0 it has more."""
        found = {str(row["network"]): row for row in self.means()}
        if "detail" not in found[BASE]:
            return 0.0
        return 1 - float(found[TUNED]["detail"]) / float(found[BASE]["detail"])

    def means(self) -> list[TableRow]:
        """One row each for the untouched photos, the base model and the tuned network."""
        table: list[TableRow] = []
        for name, rows in self.rows.items():
            scenes = {str(row["pair"]): str(row["scene"]) for row in rows}
            found = mean_figures(rows, scenes)
            figures = {
                f"{alignment}_db": found[f"psnr_{alignment}"]
                for alignment in ALIGNMENTS
                if f"psnr_{alignment}" in found
            }
            others = {key: value for key, value in found.items() if key in ("ssim", "detail")}
            table.append({"network": name, **figures, **others})
        return table

    def each(self) -> list[TableRow]:
        """One row for every photo and network, all with the same columns."""
        columns = dict.fromkeys(key for rows in self.rows.values() for row in rows for key in row)
        return [
            {"network": name, **{column: row.get(column, "") for column in columns}}
            for name, rows in self.rows.items()
            for row in rows
        ]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "is_reliable": self.verdict.is_reliable,
            "verdict": self.in_words,
            "gain_db": self.verdict.mean_db,
            "interval_db": [self.verdict.low_db, self.verdict.high_db],
            "gain_over_input_db": self.verdict.over_input_db,
            "less_detail": self.less_detail,
            "scenes": dict(self.verdict.gains_db),
            "kept_step": self.verdict.kept_step,
            "means": self.means(),
        }


def gains_of(
    validations: Sequence[Mapping[str, Any]],
    untouched: Sequence[Row],
    judging: str,
    hints: tuple[str, ...],
) -> Gains:
    """What the validations of a run, the base model's first, say by the alignment `judging`."""
    key = f"psnr_{judging}"

    def figures(rows: Sequence[Row]) -> dict[str, float]:
        return {str(row["pair"]): float(row[key]) for row in rows if key in row}

    looks = [Look(int(row["step"]), figures(row["each"])) for row in validations]
    scenes = {str(row["pair"]): str(row["scene"]) for row in untouched}
    verdict = judge(looks, figures(untouched), scenes)
    kept = next(row for row in validations if row["step"] == verdict.kept_step)
    rows = {INPUT: untouched, BASE: validations[0]["each"], TUNED: kept["each"]}
    return Gains(rows, verdict, hints)


def start_card(
    config: RunConfig, data: DataFacts, base: NetworkSpec, *, device: str, megapixels: float
) -> list[str]:
    """What is about to happen, line by line. megapixels: of one look at the held-out photos."""
    trainer, recipe = config.trainer, config.recipe
    usable = data.found - data.rejected
    judges = {data.scenes[name] for name in (*data.held_out, *itertools.chain(*data.folds))}
    learnt = {data.scenes[name] for name in data.learnt}
    scales = ", ".join(f"1/{scale}: {count}" for scale, count in data.scales.items())
    parts = ", ".join(recipe.trains)
    lines = [
        f"pairs     {data.found} found, {usable} usable, {data.rejected} rejected; the reasons are "
        "in data-report.html",
        f"          median shift {data.shift_px:.1f} px, blur radius {data.radius_px:.1f} px, "
        f"trained at {scales}",
        f"learns    {len(data.learnt)} pairs of {_scenes(len(learnt))}",
        f"judges    {_judges(data)}, {megapixels:.1f} megapixels a look",
        f"base      {base.name}, {base.licence or 'licence not stated'}",
        f"weights   {f'only {parts}' if parts else 'all'} learn, at a rate of "
        f"{recipe.learning_rate:.0e}",
        f"device    {device}, {trainer.precision}, {recipe.batch_size} crops of "
        f"{recipe.data.crop_px} px a step",
        f"length    {'' if not data.folds else f'{len(data.folds) + 1} times '}{_steps(config)} "
        f"steps, or what fits into {duration(3600 * trainer.max_hours)}",
    ]
    if len(data.learnt) < FEW_TO_LEARN_FROM:
        lines.append(
            f"note      {len(data.learnt)} pairs are few: {FEW_TO_LEARN_FROM} or more teach better"
        )
    if len(judges) < FEWEST_SCENES:
        lines.append(
            f"note      {_scenes(len(judges))} held out cannot tell a gain from chance; "
            f"{FEWEST_SCENES} would do"
        )
    return lines + [f"note      {remark}" for remark in data.remarks]


def model_card(
    name: str, config: RunConfig, data: DataFacts, base: NetworkSpec, gains: Gains, steps: int
) -> str:
    """The card that goes with the tuned weights, in Markdown."""
    verdict, recipe = gains.verdict, config.recipe
    scenes = "\n".join(f"| {scene} | {gain:+.2f} |" for scene, gain in verdict.gains_db.items())
    heading = list(gains.means()[0])
    means = "\n".join(
        "| " + " | ".join(_cell(row[key]) for key in heading) + " |" for row in gains.means()
    )
    names = ", ".join(data.learnt)
    return f"""# {name}

{gains.in_words}

| | |
|---|---|
| base model | {base.name}, weights sha256 {base.weights_sha256[:12]} |
| licence | {base.licence or "not stated"}, inherited from the base model; your photos are yours |
| architecture | {recipe.network} |
| files | `model.onnx` (what `restore -m` loads), `best.safetensors` (for training on) |
| kept | {_kept(data, verdict, steps)} |

## Data

{data.found} pairs from `{recipe.blurry.name}` (blurred) and `{recipe.sharp.name}` (sharp), of which
{data.rejected} were rejected. {len(data.learnt)} pairs were learnt from: {names}.
{_told_of_judges(data)}
The base model: {base.training_data or "its training data are not stated"}.

## Gain on held-out photos

PSNR in dB, means over scenes, against the same targets for all: as they were taken (raw), and laid
over the untouched photos, parallax and uneven light taken out; these as they are but for one shift,
turn and zoom (global), after shifts of tiles, and after optical flow. Detail is a share of the
target's: PSNR is kind to what is soft.

| {" | ".join(key.replace("_", " ") for key in heading)} |
|{"---|" * len(heading)}
{means}

Gain over the base model by scene, in dB; each by weights in which the scene had no part:

| scene | gain |
|---|---|
{scenes}

Mean {verdict.mean_db:+.2f} dB, 95 % interval {verdict.low_db:+.2f} to {verdict.high_db:+.2f}.

Training: recipe `{config.recipe_name}`, every setting in config.toml.
"""


def _judges(data: DataFacts) -> str:
    if data.folds:
        scenes = _scenes(len(set(data.scenes.values())))
        return f"all {scenes} in {len(data.folds)} turns, each while the others are learnt from"
    scenes = _scenes(len({data.scenes[name] for name in data.held_out}))
    return f"{len(data.held_out)} pairs of {scenes} held out"


def _told_of_judges(data: DataFacts) -> str:
    if not data.folds:
        return f"{len(data.held_out)} pairs were held out: {', '.join(data.held_out)}."
    turns = "; ".join(", ".join(names) for names in data.folds)
    return (
        f"For the figures below {len(data.folds)} further networks were trained, each without one "
        f"part of the pairs,\nwhich it was judged by: {turns}."
    )


def _kept(data: DataFacts, verdict: Verdict, steps: int) -> str:
    if not data.folds:
        return f"step {verdict.kept_step} of {steps}, by the score on held-out photos"
    return f"the last of {steps} steps on all pairs" if verdict.kept_step else "the base model"


def _steps(config: RunConfig) -> int:
    recipe = config.recipe
    return round(recipe.total_epochs * recipe.samples_per_epoch / recipe.batch_size)


def _scenes(count: int) -> str:
    return f"{count} scene" if count == 1 else f"{count} scenes"


def _cell(value: str | float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else value
