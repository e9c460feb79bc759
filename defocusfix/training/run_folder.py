"""The folder of a run: what lies where, and how metrics are written.

config.toml          every setting, resolved
environment.json     versions, machine, command
last.ckpt            everything that resuming needs
weights.safetensors  the averaged inference module at the last save, with its NetworkSpec
best.safetensors     the same as it was when validation scored it highest
metrics.jsonl        one object per row: {"kind": "train" | "validation", ...}; a validation may
                     say under "each" what it found for each photo
metrics.csv          the train rows as a table
validation.csv       the validation rows as a table
samples/             validation pictures, step-000500-<name>.png
tensorboard/         the rows as TensorBoard reads them, where that package is installed
log.txt              what was said on the way

Fine-tuning adds finetune.json (what the run belongs to), data-report.json and .html, held-out.csv,
MODEL_CARD.md, model.onnx, as long as it lasts a cache of decoded photos, and where scenes are held
out in turn, under folds/, what was measured in each turn.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from defocusfix.errors import InputError, OutputError
from defocusfix.training.revision import code_revision
from defocusfix.version import __version__

OF_A_RUN = (
    *("config.toml", "environment.json", "last.ckpt", "weights.safetensors", "best.safetensors"),
    *("metrics.jsonl", "metrics.csv", "validation.csv", "samples", "tensorboard", "log.txt"),
    # and of fine-tuning:
    *("finetune.json", "data-report.json", "data-report.html", "held-out.csv", "model.onnx"),
    *("MODEL_CARD.md", "cache", "folds"),
)


class RunFolder:
    """One run on disk. Paths are attributes; rows are appended and flushed at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.environment = path / "environment.json"
        self.checkpoint = path / "last.ckpt"
        self.weights = path / "weights.safetensors"
        self.best_weights = path / "best.safetensors"
        self.samples = path / "samples"
        self.tensorboard = path / "tensorboard"
        self.metrics = path / "metrics.jsonl"
        self.log = path / "log.txt"

    def begin(self, config: str) -> None:
        """Make the folder for a new run. Raises OutputError if a run lies there already."""
        if self.checkpoint.exists() or self.metrics.exists():
            raise OutputError(
                f"{self.path} holds a run already",
                fix="go on with it: --resume; or choose another folder with -o",
            )
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {self.path}", why=str(error)) from error
        self.describe(config)

    def resume(self, total_steps: int) -> None:
        """Drop the rows of steps after `total_steps`, which the resumed run makes again.

        Raises InputError if there are no rows.
        """
        if not self.metrics.is_file():
            raise InputError(f"{self.path} holds no run to resume", why="it has no metrics.jsonl")
        kept = [row for row in self._rows() if row["step"] <= total_steps]
        self.metrics.write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")
        for kind, table in (("train", "metrics.csv"), ("validation", "validation.csv")):
            (self.path / table).unlink(missing_ok=True)
            for row in kept:
                if row["kind"] == kind:
                    self._append_csv(table, row)

    def validations(self) -> list[dict[str, Any]]:
        """The rows of all validations up to now, in order."""
        if not self.metrics.is_file():
            return []
        return [row for row in self._rows() if row["kind"] == "validation"]

    def clear(self) -> None:
        """Take away everything of a run that lies here; what is not of a run stays."""
        for name in OF_A_RUN:
            path = self.path / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def describe(self, config: str) -> None:
        """Write the resolved configuration and what it runs on."""
        self.config.write_text(config, "utf-8")
        facts = {
            "command": sys.argv,
            "defocusfix": __version__,
            "revision": code_revision(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "machine": platform.machine(),
            "system": platform.platform(),
            "processors": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
            "gpus": [
                torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())
            ],
        }
        self.environment.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")

    def add_row(self, row: Mapping[str, object]) -> None:
        """Append a row, which has `kind` and `step` (over all stages), to JSONL and CSV."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._append_csv("metrics.csv" if row["kind"] == "train" else "validation.csv", row)

    def add_pictures(self, step: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Write (H, W, 3) RGB pictures as PNG files under `samples`."""
        for name, picture in pictures.items():
            path = self.samples / f"step-{step:06d}-{name}.png"
            encoded, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
            if not encoded:
                raise ValueError(f"picture {name!r} cannot be encoded: shape {picture.shape}")
            path.write_bytes(data.tobytes())

    def add_log(self, line: str) -> None:
        """Append a line to the log."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _rows(self) -> list[dict[str, Any]]:
        lines = self.metrics.read_text("utf-8").splitlines()
        # A crash may have cut off the last line.
        return [json.loads(line) for line in lines if line.endswith("}")]

    def _append_csv(self, name: str, row: Mapping[str, object]) -> None:
        """Append to a table; where a stage brings new columns, the table is written anew."""
        path = self.path / name
        rows: list[Mapping[str, object]] = []
        columns: list[str] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                columns = next(csv.reader(file), [])
        new = [key for key in row if key not in columns and key not in ("kind", "each")]
        if new and columns:
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        columns += new
        with path.open("w" if new else "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerows([*rows, row])
