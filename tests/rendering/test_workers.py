"""Samples drawn ahead by other processes."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from defocusfix.errors import InputError, TrainingError
from defocusfix.rendering.photos import PhotoLibrary, dead_leaves
from defocusfix.rendering.sample import Sample
from defocusfix.rendering.workers import SampleWorkers, draw

ROOT = Path(__file__).parents[2]


def workers(library=None, processes=1) -> SampleWorkers[Sample]:
    return SampleWorkers(library, draw, seed=4, size=32, processes=processes)


@pytest.fixture
def library(tmp_path):
    cv2.imwrite(str(tmp_path / "sharp.png"), dead_leaves(np.random.default_rng(0), 128))
    return PhotoLibrary([tmp_path])


@pytest.mark.parametrize("processes", [0, 1])
def test_a_sample_is_a_function_of_seed_and_number(library, processes):
    drawn = workers(library, processes)
    drawn.expect(range(2, 6))
    for number, taken in zip((5, 2, 9), drawn.take((5, 2, 9)), strict=True):
        assert pickle.dumps(taken) == pickle.dumps(draw(library, 4, 32, number))


def test_what_a_process_cannot_read_is_said_where_samples_are_taken(library):
    library.files[0].write_bytes(b"no photo")
    with pytest.raises(InputError, match="cannot be read as a photo"):
        workers(library).take(range(40))


def test_a_killed_process_is_reported():
    drawn = workers()
    drawn.take([0])
    for process in drawn._pool._processes.values():
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(TrainingError, match="was ended"):
        drawn.take(range(1, 100))


def test_processes_survive_ctrl_c_which_the_trainer_answers():
    drawn = workers()
    drawn.take([0])
    for process in drawn._pool._processes.values():
        os.kill(process.pid, signal.SIGINT)
    assert len(drawn.take([1, 2])) == 2


PROGRAM = """
import os, signal
from defocusfix.rendering.workers import SampleWorkers, draw
def main():
    drawn = SampleWorkers(None, draw, seed=0, size=32, processes=1)
    drawn.take([0])
    drawn.expect(range(1, 50))
    {}
if __name__ == "__main__":
    main()
"""


def ended(folder, last_words: str) -> subprocess.CompletedProcess[str]:
    """A program with workers that has ended: its output ends with the last of its processes."""
    program = folder / "program.py"
    program.write_text(PROGRAM.format(last_words))
    return subprocess.run(
        [sys.executable, program], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_processes_end_with_a_killed_trainer(tmp_path):
    assert ended(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)").returncode == -signal.SIGKILL


@pytest.mark.parametrize("last_words", ["pass", "globals().update(kept=drawn)"])
def test_a_program_ends_quietly_with_samples_left(tmp_path, last_words):
    finished = ended(tmp_path, last_words)
    assert (finished.returncode, finished.stderr) == (0, "")
