from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from defocusfix.benchmarking import report, suite
from defocusfix.benchmarking.measure import Measurement, Task
from defocusfix.benchmarking.photos import BLURS_PX
from defocusfix.benchmarking.suite import Conditions, Row, Wanted, rows, tasks
from defocusfix.engines.probe import Finding
from defocusfix.engines.select import Way
from defocusfix.errors import DeviceError, DeviceMemoryError

MODEL = Path("net.onnx")
ORT_CPU = Way("onnxruntime", "cpu", "fp32")
OPENVINO = Way("openvino", "cpu", "fp32")
OPENVINO_BF16 = Way("openvino", "cpu", "bf16")
TORCH = Way("torch", "cpu", "fp32")
SAID = Conditions(
    date="2026-01-02",
    processor="Some Xeon",
    abilities=("avx512f",),
    cores=2,
    threads=2,
    system="Linux",
    python="3.12",
    model="small",
    gmac_per_mp=50.0,
)
MEASURED = Measurement("onnxruntime 1.0", "cpu", "fp32", 4.0, 0.3, 8.0, 7.0, 6.0, 512.0)


def finds(monkeypatch, *ways: Way, best: Way) -> None:
    monkeypatch.setattr(suite, "in_child", lambda function, model: [Finding(w, "1") for w in ways])
    monkeypatch.setattr(suite, "ways", lambda **demands: [best])


def test_torch_is_compared_only_where_it_is_wanted(monkeypatch):
    finds(monkeypatch, ORT_CPU, OPENVINO, TORCH, best=ORT_CPU)
    assert suite.measured_ways(Wanted(MODEL)) == [ORT_CPU, OPENVINO]
    assert suite.measured_ways(Wanted(MODEL, with_torch=True)) == [ORT_CPU, OPENVINO, TORCH]
    finds(monkeypatch, ORT_CPU, best=ORT_CPU)
    with pytest.raises(DeviceError, match="--compare") as refusal:
        suite.measured_ways(Wanted(MODEL, with_torch=True))
    assert "pip install" in refusal.value.fix


def test_what_restoring_takes_by_itself_comes_first(monkeypatch):
    finds(monkeypatch, OPENVINO_BF16, ORT_CPU, OPENVINO, best=ORT_CPU)
    assert suite.measured_ways(Wanted(MODEL)) == [ORT_CPU, OPENVINO_BF16, OPENVINO]


def test_every_engine_restores_one_photo_and_the_best_one_all_pictures():
    chosen = tasks(Wanted(MODEL, threads=2), [OPENVINO_BF16, ORT_CPU])
    assert [t.way for t in chosen] == [OPENVINO_BF16, ORT_CPU, *[OPENVINO_BF16] * len(BLURS_PX)]
    pictures = {t.picture: t for t in chosen[2:]}
    assert set(pictures) == set(BLURS_PX)
    assert {t.megapixels for t in pictures.values()} == {24.0}
    assert all(t.radius_px == BLURS_PX[t.picture] and t.threads == 2 for t in chosen)


def test_the_full_suite_adds_tiles_and_sizes_and_does_nothing_twice():
    chosen = tasks(Wanted(MODEL, is_full=True), [OPENVINO_BF16, ORT_CPU])
    assert len(set(chosen)) == len(chosen)
    for way in (OPENVINO_BF16, ORT_CPU):
        assert {t.tile for t in chosen if t.way == way} == {None, *suite.TILES}
    assert {t.megapixels for t in chosen} >= {24.0, *suite.SIZES}


def test_a_size_that_is_asked_for_holds_for_every_photo():
    chosen = tasks(Wanted(MODEL, megapixels=0.5), [ORT_CPU])
    assert {t.megapixels for t in chosen} == {0.5}
    assert len(chosen) == len(BLURS_PX)  # the photo of the comparison is one of the pictures


def test_a_measurement_that_fails_does_not_end_the_others():
    fine = Task(MODEL, ORT_CPU, "sharp", 0.0, 4.0)
    large = replace(fine, megapixels=1000.0)

    def run(task: Task) -> Measurement:
        if task is large:
            raise DeviceMemoryError("memory ran out")
        return MEASURED

    found = list(rows([large, fine], run))
    assert (found[0].measurement, found[0].failure) == (None, "memory ran out")
    assert (found[1].measurement, found[1].failure) == (MEASURED, "")


def test_the_share_of_the_peak_is_that_of_the_best_product_alike():
    row = Row(Task(MODEL, ORT_CPU, "sharp", 0.0, 4.0), MEASURED)
    peaks = {ORT_CPU: 0.1, OPENVINO: 0.15, OPENVINO_BF16: 9.0}
    # 6 MP at 50 GMAC, two operations each, in 8 s: 0.075 TFLOP/s.
    assert report.share_of_peak(row, peaks, 50.0) == pytest.approx(0.5)
    assert report.share_of_peak(row, {OPENVINO_BF16: 9.0}, 50.0) is None
    assert report.share_of_peak(Row(row.task, None, "failed"), peaks, 50.0) is None


def test_the_table_shows_the_conditions_and_a_line_for_each_measurement():
    done = Row(Task(MODEL, ORT_CPU, "slightly soft", 1.5, 4.0, 512), MEASURED)
    failed = Row(Task(MODEL, OPENVINO, "sharp", 0.0, 100.0), None, "memory ran out")
    no_memory = Row(done.task, replace(MEASURED, peak_mb=None))
    text = report.as_table(SAID, {ORT_CPU: 0.15}, [done, failed, no_memory])
    lines = text.splitlines()
    for words in ("small, 50.0 GMAC", "2026-01-02", "Some Xeon", "2 cores", "onnxruntime 1.0"):
        assert words in text
    (line,) = [line for line in lines if line.endswith(" 50%") and " - " not in line]
    assert line.split()[:4] == ["onnxruntime", "cpu", "fp32", "512"]
    assert line.split()[-5:] == ["4.0", "8.00", "0.50", "512", "50%"]
    assert "openvino on cpu in fp32: memory ran out" in lines
    assert max(map(len, lines)) <= 90


def test_json_holds_everything_unrounded():
    done = Row(Task(MODEL, ORT_CPU, "slightly soft", 1.5, 4.0), MEASURED)
    failed = Row(done.task, None, "memory ran out")
    found = json.loads(json.dumps(report.as_json(SAID, {ORT_CPU: 0.15}, [done, failed])))
    assert found["schema"] == report.SCHEMA
    assert found["conditions"]["processor"] == "Some Xeon"
    assert found["matrix_tflops"][0]["tflops"] == 0.15
    first, second = found["rows"]
    assert first["megapixels_per_second"] == 0.5
    assert (first["engine"], first["picture"], first["tile"]) == (
        "onnxruntime",
        "slightly soft",
        None,
    )
    assert second["failure"] == "memory ran out"
