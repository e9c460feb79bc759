from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from defocusfix.benchmarking import measure as measuring
from defocusfix.benchmarking.measure import Task, Watched, in_child, measure, peak_memory_mb
from defocusfix.engines.onnxruntime import OnnxRuntimeEngine
from defocusfix.engines.select import Way
from defocusfix.errors import DeviceError, DeviceMemoryError
from tests.restoration import small_networks

ORT_CPU = Way("onnxruntime", "cpu", "fp32")


def refuse() -> None:
    raise DeviceError("no such device", why="looked", fix="look again")


def be_killed() -> None:
    os._exit(9)


def fill_memory(size: int) -> float:
    before = peak_memory_mb()
    assert before is not None
    np.ones(size, np.uint8)
    after = peak_memory_mb()
    assert after is not None
    return after - before


@pytest.fixture
def path(tmp_path):
    small_networks.convolutions(tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_errors_come_out_of_the_child_as_they_are():
    with pytest.raises(DeviceError, match="no such device") as refusal:
        in_child(refuse)
    assert (refusal.value.why, refusal.value.fix) == ("looked", "look again")


def test_a_child_that_is_killed_is_taken_for_a_lack_of_memory():
    with pytest.raises(DeviceMemoryError, match="was killed"):
        in_child(be_killed)


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not say")
def test_the_largest_memory_is_that_of_the_child_alone():
    np.ones(200_000_000, np.uint8)  # of this process, which must not count
    assert in_child(fill_memory, 80_000_000) == pytest.approx(80, abs=10)


def test_a_watched_engine_gives_the_same_and_counts(path):
    engine = OnnxRuntimeEngine(path, threads=1)
    watched = Watched(engine)
    inputs = {
        "image": np.full((2, 3, 32, 48), 0.5, np.float32),
        "coarse": np.full((2, 4, 16, 24), 0.5, np.float32),
    }
    outputs = watched.run(inputs)
    assert all(np.array_equal(outputs[n], a) for n, a in engine.run(inputs).items())
    assert watched.pixels == 2 * 32 * 48
    assert watched.seconds > 0
    assert (watched.spec, watched.name, watched.device, watched.precision) == (
        engine.spec,
        engine.name,
        "cpu",
        "fp32",
    )


def test_one_photo_is_restored_and_what_it_cost_is_told(path):
    task = Task(path, ORT_CPU, "slightly soft", 1.5, megapixels=0.02, tile=128, threads=1)
    found = measure(task)
    assert found.name.startswith("onnxruntime ")
    assert (found.device, found.precision) == ("cpu", "fp32")
    assert found.megapixels == pytest.approx(0.02, rel=0.05)
    assert 0 < found.seconds_in_engine <= found.seconds
    assert found.computed_megapixels > 0
    assert found.peak_mb is None or found.peak_mb > 0


def test_a_network_that_takes_views_is_measured_with_some(tmp_path):
    small_networks.of_two_views(tmp_path / "views.onnx")
    task = Task(tmp_path / "views.onnx", ORT_CPU, "soft", 1.5, megapixels=0.02, tile=64, threads=1)
    assert measure(task).computed_megapixels > 0.02


def test_an_engine_that_is_not_there_cannot_be_measured(path, monkeypatch):
    refusal = DeviceError("no such engine")
    monkeypatch.setattr("defocusfix.engines.select.absence", lambda way: refusal)
    with pytest.raises(DeviceError, match="no such engine"):
        measure(Task(path, ORT_CPU, "sharp", 0.0, megapixels=0.01))


def test_a_matrix_peak_is_a_speed(monkeypatch):
    monkeypatch.setattr("defocusfix.engines.matrix.SIDE_ON_CPU", 64)
    monkeypatch.setattr(measuring, "LEAST_SECONDS", 0.0)
    assert 0 < measuring.measure_peak(ORT_CPU, 1) < 1000
