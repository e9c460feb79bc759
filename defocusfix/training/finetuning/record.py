"""What a fine-tuning run belongs to: so that the same command goes on with it, and no other."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from defocusfix.errors import InputError, UsageError
from defocusfix.training.finetuning.data import DataFacts
from defocusfix.training.finetuning.settings import FinetuneSettings


@dataclass(frozen=True, slots=True)
class Record:
    """What was asked for, of which model and of which photos."""

    settings: dict[str, Any]
    """Plain values, by name."""
    base_sha256: str
    """Of the weights that the run starts from."""
    data: DataFacts
    seconds_gone: float
    """From the begin of the command until training could begin."""

    def write(self, path: Path) -> None:
        """Keep it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")


def read_record(path: Path) -> Record:
    """Read what `Record.write` wrote. Raises InputError for anything else."""
    try:
        content = json.loads(path.read_text("utf-8"))
        data = content.pop("data")
        for name in ("held_out", "left_out", "remarks"):
            data[name] = tuple(data[name])
        data["folds"] = tuple(tuple(names) for names in data["folds"])
        return Record(data=DataFacts(**data), **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} does not say which run lies there",
            why=str(error),
            fix="begin anew: --fresh; or another folder with -o",
        ) from error


def plain(settings: FinetuneSettings) -> dict[str, Any]:
    """Settings as JSON gives them back."""
    content: dict[str, Any] = json.loads(json.dumps(asdict(settings), default=str))
    return content


def require_same(
    record: Record, settings: FinetuneSettings, base_sha256: str, fingerprint: str
) -> None:
    """Raise UsageError, naming what is different, unless the run of `record` can go on."""
    now = plain(settings)
    differences = [
        f"{name}: {record.settings.get(name)} then, {value} now"
        for name, value in now.items()
        if record.settings.get(name) != value
    ]
    if record.base_sha256 != base_sha256:
        differences.append("the weights of the base model are others")
    if record.data.fingerprint != fingerprint:
        differences.append("photos came, went or changed")
    if differences:
        raise UsageError(
            "the folder holds a run that was begun otherwise",
            why="\n".join(differences),
            fix="the same command as then; or --fresh to begin anew; or another folder with -o",
        )
