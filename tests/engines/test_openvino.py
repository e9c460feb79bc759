from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest

openvino = pytest.importorskip("openvino")

from defocusfix.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402
from defocusfix.engines.openvino import OpenVinoEngine  # noqa: E402
from defocusfix.errors import DeviceError, DeviceMemoryError, ModelError  # noqa: E402
from tests.engines import tight_memory  # noqa: E402
from tests.restoration import small_networks  # noqa: E402

# Opens an engine here, lets another thread throw it away, and sends itself a Ctrl-C.
DROPPED_ELSEWHERE = """
import faulthandler, gc, os, signal, sys, threading
from pathlib import Path
from defocusfix.engines.openvino import OpenVinoEngine

faulthandler.enable()  # as under pytest
engines = [OpenVinoEngine(Path(sys.argv[1]), threads=1)]

def drop():
    engines.clear()
    gc.collect()

thread = threading.Thread(target=drop)
thread.start()
thread.join()
signal.signal(signal.SIGINT, lambda *_: print("heard"))
os.kill(os.getpid(), signal.SIGINT)
"""
CAPABILITIES = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
SIZES = ((32, 32), (48, 32), (16, 80), (32, 32))


def _inputs(height: int, width: int, batch: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng((height, width))
    return {
        "image": rng.random((batch, 3, height, width), dtype=np.float32),
        "coarse": rng.random((batch, 4, height // 2, width // 2), dtype=np.float32),
    }


@pytest.fixture
def path(tmp_path):
    small_networks.convolutions(tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_in_fp32_it_gives_what_onnx_runtime_gives_at_every_size(path):
    engine = OpenVinoEngine(path, precision="fp32", threads=1)
    assert (engine.device, engine.precision) == ("cpu", "fp32")
    assert engine.name == f"openvino {openvino.__version__.partition('-')[0]}"
    other = OnnxRuntimeEngine(path, threads=1)
    for batch, (height, width) in enumerate(SIZES, start=1):
        inputs = _inputs(height, width, batch)
        found, expected = engine.run(inputs), other.run(inputs)
        assert found.keys() == expected.keys()
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


@pytest.mark.skipif("BF16" not in CAPABILITIES, reason="this processor has no bf16")
def test_in_bf16_it_says_so_and_differs_a_little(path):
    engine = OpenVinoEngine(path, precision="bf16", threads=1)
    assert engine.precision == "bf16"
    inputs = _inputs(64, 64)
    difference = np.abs(
        engine.run(inputs)["restored"] - OnnxRuntimeEngine(path, threads=1).run(inputs)["restored"]
    )
    assert 0 < difference.max() < 0.02


def test_a_precision_that_the_processor_lacks_is_refused(path, monkeypatch):
    class Plain(openvino.Core):
        def get_property(self, device, name):
            return ["FP32"]

    monkeypatch.setattr("defocusfix.engines.openvino._core", Plain)
    with pytest.raises(DeviceError, match="--precision bf16 was asked for") as refusal:
        OpenVinoEngine(path, precision="bf16")
    assert "fp32" in refusal.value.fix


def test_a_result_stays_as_it_is_when_the_next_tile_is_computed(path):
    engine = OpenVinoEngine(path, threads=1)
    first = engine.run(_inputs(32, 32))
    kept = {name: array.copy() for name, array in first.items()}
    engine.run({name: array * 0 for name, array in _inputs(32, 32).items()})
    assert all(np.array_equal(first[name], kept[name]) for name in first)


def test_arrays_that_are_views_of_larger_ones_are_taken(path):
    engine = OpenVinoEngine(path, threads=1)
    inputs = _inputs(64, 64)
    views = {
        "image": inputs["image"][:, :, 16:48, :32],
        "coarse": inputs["coarse"][:, :, 8:24, :16],
    }
    copies = {name: view.copy() for name, view in views.items()}
    assert np.array_equal(engine.run(views)["restored"], engine.run(copies)["restored"])


def test_a_network_that_lacks_what_it_promises_is_refused(tmp_path):
    path = tmp_path / "net.onnx"
    spec = small_networks.image_to_restored(path)
    model = onnx.load(path)
    facts = {"defocusfix.outputs": "restored radius_px"}
    onnx.helper.set_model_props(model, spec.to_metadata() | facts)
    onnx.save(model, path)
    with pytest.raises(ModelError, match="its own description"):
        OpenVinoEngine(path)
    onnx.helper.set_model_props(model, spec.to_metadata())
    model.graph.node[0].op_type = "Unheard"
    onnx.save(model, path)
    with pytest.raises(ModelError, match="cannot be loaded"):
        OpenVinoEngine(path)


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_a_signal_is_survived_after_another_thread_let_an_engine_go(path):
    command = [sys.executable, "-c", DROPPED_ELSEWHERE, str(path)]
    process = subprocess.run(command, capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (0, "heard\n")


def test_nothing_is_told_about_its_use_and_the_home_folder_stays_empty(path, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    program = """
import sys
from pathlib import Path
from defocusfix.engines.openvino import OpenVinoEngine

OpenVinoEngine(Path(sys.argv[1]), threads=1)
print(*(name for name, module in sys.modules.items() if "telemetry" in name and module))
"""
    process = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env=os.environ | {"HOME": str(home), "USERPROFILE": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    # OpenVINO's own stand-in for the package, which does nothing, may be there.
    assert "openvino_telemetry" not in process.stdout
    assert list(home.iterdir()) == []


@tight_memory.needed
def test_a_tile_that_is_too_large_for_the_memory_says_so_and_a_smaller_one_still_works(tmp_path):
    small_networks.convolutions(tmp_path / "net.onnx", levels=1)
    told, works_again = tight_memory.large_tile_then_small(tmp_path / "net.onnx", "openvino")
    assert isinstance(told, DeviceMemoryError)
    assert works_again
