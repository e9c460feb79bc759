from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from defocusfix.engines.select import Way, absence
from tests.restoration import small_networks

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    small_networks.convolutions(tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def small_bench(*words: object) -> subprocess.CompletedProcess[str]:
    """What the command says and how it ends, in a process of its own."""
    command = [sys.executable, "-m", "tests.cli.small_bench", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


SMALL = ("--megapixels", "0.01", "--threads", "1")


def test_the_table_compares_the_engines_and_the_pictures(path):
    told = small_bench("--model", path, *SMALL)
    assert told.returncode == 0, told.stderr
    for words in ("matrix product, onnxruntime on cpu in fp32", "MP/s", "of peak", "1 thread;"):
        assert words in told.stdout
    for picture in ("sharp", "slightly soft", "wholly misfocused"):
        assert any(picture in line and "%" in line for line in told.stdout.splitlines())
    assert "torch" not in told.stdout


@pytest.mark.slow
def test_json_of_what_was_measured_in_children(defocusfix, path):
    told = defocusfix("bench", "--json", "--model", path, *SMALL)
    found = json.loads(told.stdout)
    assert len(found["rows"]) >= 3
    assert all(row["megapixels_per_second"] > 0 for row in found["rows"])
    assert all(row["peak_mb"] is None or row["peak_mb"] > 10 for row in found["rows"])
    assert found["matrix_tflops"][0]["tflops"] > 0


@pytest.mark.skipif(absence(Way("torch", "cpu", "fp32")) is not None, reason="no torch")
def test_torch_cannot_be_compared_without_its_weights(path):
    told = small_bench("--compare", "--model", path, *SMALL)
    assert told.returncode == 6
    assert "--compare was asked for" in told.stderr
