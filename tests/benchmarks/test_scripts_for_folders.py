"""The scripts that try whole folders, run on very small ones as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.restoration import small_networks

ROOT = Path(__file__).parents[2]
LONGEST = 300  # seconds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="they look into /proc"),
]


def answer(script: str, *words: str) -> dict[str, object]:
    """The JSON object that a script writes."""
    done = subprocess.run(
        [sys.executable, f"benchmarks/{script}", *words, "--json"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        timeout=LONGEST,
        check=False,  # what is wrong stands in the answer
    )
    return json.loads(done.stdout)


def test_a_run_that_is_killed_twice_ends_with_every_photo_done_once(tmp_path):
    small_networks.addition(tmp_path / "net.onnx", 0.1)
    words = ("--count", "60", "--damaged", "0.1", "--kills", "2", "--seed", "3", "--jobs", "2")
    told = answer("soak.py", *words, "--model", str(tmp_path / "net.onnx"))
    assert told["troubles"] == []
    assert told["damaged"] == 6
    assert [run["exit_code"] for run in told["runs"]] == [-9, -9, 3]


def test_the_rate_of_a_folder_is_told_beside_that_of_the_engine():
    words = ("--sizes", "64x64", "--count", "12", "--jobs", "1", "--rounds", "1")
    told = answer("folder_rate.py", *words, "--engine", "onnxruntime", "--batches", "2")
    (rate,) = told["rates"]
    assert rate["bare"] > 0
    assert rate["folder"] > 0
    assert told["batches"][0]["bare"] > 0
