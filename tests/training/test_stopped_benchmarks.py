"""Benchmarks of many trainings end when they are told to, and go on where they stood."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from defocusfix.training.trainer import Outcome
from tests.training import toy

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PARENT = """
import multiprocessing, os, sys, time
import stopping

if __name__ == "__main__":
    stopping.stop_when_terminated()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(os.getpid), flush=True)
        pool.map(time.sleep, [600])
"""


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def killing_at(step: int, recipe):
    """The recipe, whose batch of a step comes together with a signal to stop."""
    stage = recipe.stages[0]

    def batch(number: int, rank: int, world: int):
        if number == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return stage.batch(number, rank, world)

    return replace(recipe, stages=(replace(stage, batch=batch),))


@pytest.fixture
def misaligned(load, monkeypatch):
    """The benchmark of misaligned pairs, with toys in the place of its networks and pairs."""
    benchmark = load("misaligned_pairs")
    score = load("pair_figures").Figures(*[1.0] * 7)
    monkeypatch.setattr(benchmark, "write_pairs", lambda *_: None)
    monkeypatch.setattr(benchmark, "unlearnt", lambda path: path)
    monkeypatch.setattr(benchmark, "config", lambda *_: toy.Config(steps=4))
    monkeypatch.setattr(benchmark, "build", toy.build)
    monkeypatch.setattr(benchmark, "restorer", lambda network: network)
    monkeypatch.setattr(benchmark, "references", lambda work: [])
    monkeypatch.setattr(benchmark, "score", lambda *_: score)
    return benchmark


def played(benchmark, work: Path, monkeypatch) -> list[str]:
    """Run three methods of the benchmark; which have a row in the end."""
    methods = [word for name in list(benchmark.METHODS)[:3] for word in ("--method", name)]
    words = ["misaligned_pairs.py", str(work), "--movement", "0", *methods]
    monkeypatch.setattr(sys, "argv", words)
    try:
        benchmark.main()
    finally:
        rows = [json.loads(line) for line in (work / "runs.jsonl").read_text().splitlines()]
    return [row["method"] for row in rows]


def test_a_signal_ends_the_series_keeps_what_is_finished_and_a_rerun_goes_on(
    misaligned, tmp_path, monkeypatch, capsys
):
    begun = []

    def build(config: toy.Config):
        begun.append(config)
        recipe = toy.build(config)
        return killing_at(2, recipe) if len(begun) == 2 else recipe

    monkeypatch.setattr(misaligned, "build", build)
    with pytest.raises(SystemExit) as caught:
        played(misaligned, tmp_path, monkeypatch)
    assert caught.value.code == 128 + signal.SIGTERM
    assert "stopped by SIGTERM; what is finished is kept" in capsys.readouterr().err
    assert len(begun) == 2  # the third was not begun
    assert played(misaligned, tmp_path, monkeypatch) == list(misaligned.METHODS)[:3]
    assert len(begun) == 4  # the first was not done again


def test_a_part_of_the_renderer_whose_training_was_stopped_gets_no_score(
    load, tmp_path, monkeypatch
):
    benchmark = load("renderer_parts")
    outcomes = [Outcome("time", 5), Outcome("signal", 2, signal.SIGTERM), Outcome("time", 5)]
    monkeypatch.setattr(benchmark, "train_run", lambda *_, **__: outcomes.pop(0))
    monkeypatch.setattr(benchmark, "load_brackets", lambda _: [])
    monkeypatch.setattr(benchmark, "render_without", lambda *a: a[2].mkdir(parents=True))
    monkeypatch.setattr(
        benchmark, "scored", lambda name, seen, *_: benchmark.Score(name, seen, 1.0, 1.0, 1.0, 40.0)
    )
    words = ["renderer_parts.py", "--photos", "p", "--brackets", "b", "--start", "w"]
    monkeypatch.setattr(sys, "argv", [*words, "-o", str(tmp_path)])
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as caught:
            benchmark.main()
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert caught.value.code == 128 + signal.SIGTERM
    assert len(list(tmp_path.rglob("score.json"))) == 1
    assert len(outcomes) == 1


def test_a_way_to_a_map_whose_training_was_stopped_leaves_no_weights(load, tmp_path):
    methods = load("map_methods")
    with pytest.raises(SystemExit) as caught:
        methods.trained(killing_at(2, toy.build(toy.Config(steps=4))), tmp_path / "w.safetensors")
    assert caught.value.code == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
    network = methods.trained(toy.build(toy.Config(steps=4)), tmp_path / "w.safetensors")
    assert not network.training
    assert {path.name for path in tmp_path.iterdir()} == {"w.safetensors", "w.jsonl"}


def test_termination_takes_the_processes_that_render_with_it(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    paths = os.pathsep.join([str(BENCHMARKS), str(BENCHMARKS.parent)])
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    child = int(parent.stdout.readline())
    parent.terminate()
    _, told = parent.communicate(timeout=60)
    assert parent.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in told
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
