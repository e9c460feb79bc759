"""What TensorBoard is given to show of a run."""

from __future__ import annotations

import csv
import itertools
import sys
from types import ModuleType

import pytest

from defocusfix.training.trainer import Outcome
from tests.training import toy
from tests.training.runs import play, trainer


def run(path, *, seconds: int = 0, resume: bool = False) -> Outcome:
    """Six steps, or what fits into so many looks at the clock."""
    made = trainer(
        path,
        lambda: toy.build(toy.Config(steps=6)),
        resume=resume,
        clock=itertools.count().__next__,
        validate_steps=2,
        max_hours=seconds / 3600,
    )
    return play(made)


class Writer:
    """Stands in for torch's; keeps what it is given."""

    made: list[Writer]

    def __init__(self, folder: str, purge_step: int | None = None) -> None:
        self.folder, self.purge_step = folder, purge_step
        self.scalars: dict[tuple[str, int], float] = {}
        self.unflushed = 0
        self.is_open = True
        self.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars[name, step] = value
        self.unflushed += 1

    def flush(self) -> None:
        self.unflushed = 0

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def writers(monkeypatch) -> list[Writer]:
    """All that are made while the test runs."""
    stand_in = ModuleType("torch.utils.tensorboard")
    stand_in.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.setattr(Writer, "made", [], raising=False)
    return Writer.made


def test_every_number_of_every_row_is_shown_at_its_step(writers, tmp_path):
    run(tmp_path / "run")
    (writer,) = writers
    assert writer.folder == str(tmp_path / "run" / "tensorboard")
    losses = [step for name, step in writer.scalars if name == "train/loss"]
    scores = [step for name, step in writer.scalars if name == "validation/score"]
    assert (losses, scores) == ([1, 2, 3, 4, 5, 6], [2, 4, 6])
    names = {name for name, _ in writer.scalars}
    assert {"train/pixel", "train/learning_rate", "validation/error"} <= names
    assert not {"train/step", "train/stage", "train/kind"} & names
    assert (writer.unflushed, writer.is_open) == (0, False)


def test_a_resumed_run_takes_back_what_lies_beyond_its_first_step(writers, tmp_path):
    done = run(tmp_path / "run", seconds=12).total_steps
    run(tmp_path / "run", resume=True)
    assert 0 < done < 6
    assert [writer.purge_step for writer in writers] == [None, done + 1]
    assert min(step for _, step in writers[1].scalars) == done + 1


def test_without_the_package_a_run_is_as_ever(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run(tmp_path / "run")
    assert (tmp_path / "run" / "metrics.csv").is_file()
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_tensorboard_reads_a_run_that_was_killed_and_resumed(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    shown = folder / "tensorboard"

    def number_files(number: int) -> None:
        # Names tell the order by the second, and the commands of this test may share one.
        for file in shown.glob("events.*"):
            file.rename(shown / f"{number}.tfevents")

    run(folder, seconds=12)
    number_files(1)
    checkpoint = (folder / "last.ckpt").read_bytes()
    run(folder, resume=True)
    number_files(2)
    (folder / "last.ckpt").write_bytes(checkpoint)  # as if killed before it was saved
    run(folder, resume=True)
    number_files(3)
    events = EventAccumulator(str(shown)).Reload()
    losses, scores = events.Scalars("train/loss"), events.Scalars("validation/score")
    assert [event.step for event in losses] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in scores][-2:] == [4, 6]
    with (folder / "metrics.csv").open() as file:
        rows = [float(row["loss"]) for row in csv.DictReader(file)]
    assert [event.value for event in losses] == pytest.approx(rows)
