"""What fine-tuning tells: before the first step, at the end, and in the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from defocusfix.evaluation.pairs import ALIGNMENTS
from defocusfix.evaluation.report import Row as TableRow
from defocusfix.network_spec import NetworkSpec
from defocusfix.training.config import RunConfig
from defocusfix.training.console import duration
from defocusfix.training.finetuning.data import FEW_TO_LEARN_FROM, DataFacts, scenes_for
from defocusfix.training.finetuning.held_out import Row, mean_figures
from defocusfix.training.finetuning.verdict import FEWEST_SCENES, Look, Verdict, judge

INPUT, BASE, TUNED = "input", "base", "tuned"


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
        """The verdict."""
        return self.verdict.in_words(self.hints)

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
            table.append({"network": name, **figures, "ssim": found["ssim"]})
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
    held_out = {data.scenes[name] for name in data.held_out}
    learnt = {data.scenes[name] for name in data.learnt}
    scales = ", ".join(f"1/{scale}: {count}" for scale, count in data.scales.items())
    parts = ", ".join(recipe.trains)
    lines = [
        f"pairs     {data.found} found, {usable} usable, {data.rejected} rejected; the reasons are "
        "in data-report.html",
        f"          median shift {data.shift_px:.1f} px, blur radius {data.radius_px:.1f} px, "
        f"trained at {scales}",
        f"learns    {len(data.learnt)} pairs of {_scenes(len(learnt))}",
        f"judges    {len(data.held_out)} pairs of {_scenes(len(held_out))} held out, "
        f"{megapixels:.1f} megapixels a look",
        f"base      {base.name}, {base.licence or 'licence not stated'}",
        f"weights   {f'only {parts}' if parts else 'all'} learn, at a rate of "
        f"{recipe.learning_rate:.0e}",
        f"device    {device}, {trainer.precision}, {recipe.batch_size} crops of "
        f"{recipe.data.crop_px} px a step",
        f"length    {_steps(config)} steps, or what fits into {duration(3600 * trainer.max_hours)}",
    ]
    if len(data.learnt) < FEW_TO_LEARN_FROM:
        lines.append(
            f"note      {len(data.learnt)} pairs are few: {FEW_TO_LEARN_FROM} or more teach better"
        )
    if len(held_out) < FEWEST_SCENES:
        lines.append(
            f"note      {_scenes(len(held_out))} held out cannot tell a gain from chance; "
            f"{scenes_for(FEWEST_SCENES)} scenes in all would do"
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
| kept | step {verdict.kept_step} of {steps}, by the score on held-out photos |

## Data

{data.found} pairs from `{recipe.blurry.name}` (blurred) and `{recipe.sharp.name}` (sharp), of which
{data.rejected} were rejected. {len(data.learnt)} pairs were learnt from: {names}.
{len(data.held_out)} pairs were held out: {", ".join(data.held_out)}.
The base model: {base.training_data or "its training data are not stated"}.

## Gain on held-out photos

PSNR in dB, means over scenes, against the same targets for all: as they were taken (raw), and after
one shift, turn and zoom (global), shifts of tiles, and optical flow.

| {" | ".join(key.replace("_", " ") for key in heading)} |
|{"---|" * len(heading)}
{means}

Gain over the base model by scene, in dB; each by the weights that the other scenes would have kept:

| scene | gain |
|---|---|
{scenes}

Mean {verdict.mean_db:+.2f} dB, 95 % interval {verdict.low_db:+.2f} to {verdict.high_db:+.2f}.

Training: recipe `{config.recipe_name}`, every setting in config.toml.
"""


def _steps(config: RunConfig) -> int:
    recipe = config.recipe
    return round(recipe.total_epochs * recipe.samples_per_epoch / recipe.batch_size)


def _scenes(count: int) -> str:
    return f"{count} scene" if count == 1 else f"{count} scenes"


def _cell(value: str | float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else value
