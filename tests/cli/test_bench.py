from __future__ import annotations

import json

import pytest

from defocusfix.engines.select import Way, absence
from tests.restoration import small_networks


@pytest.fixture
def path(tmp_path):
    small_networks.convolutions(tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture
def in_this_process(monkeypatch):
    """Measures without children and with a small product, which is quick."""
    monkeypatch.setattr(
        "defocusfix.benchmarking.suite.in_child", lambda function, *words: function(*words)
    )
    monkeypatch.setattr("defocusfix.engines.matrix.SIDE_ON_CPU", 64)
    monkeypatch.setattr("defocusfix.benchmarking.measure.LEAST_SECONDS", 0.0)
    monkeypatch.setattr("defocusfix.benchmarking.photos.SCENE_SIDE", 128)
    monkeypatch.setattr("defocusfix.benchmarking.photos.N_LEAVES", 100)


SMALL = ("--megapixels", "0.01", "--threads", "1")


def test_the_table_compares_the_engines_and_the_pictures(defocusfix, path, in_this_process):
    told = defocusfix("bench", "--model", path, *SMALL)
    assert told.exit_code == 0
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
def test_torch_cannot_be_compared_without_its_weights(defocusfix, path, in_this_process):
    told = defocusfix("bench", "--compare", "--model", path, *SMALL)
    assert told.exit_code == 6
    assert "--compare was asked for" in told.stderr
