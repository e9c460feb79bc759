from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from defocusfix.engines import onnxruntime as our_onnxruntime
from defocusfix.engines import select
from defocusfix.engines.onnxruntime import OnnxRuntimeEngine
from defocusfix.errors import DeviceError, DeviceMemoryError, ModelError
from tests.engines import tight_memory
from tests.restoration import small_networks


def _batch(channels: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).random((1, channels, side, side), dtype=np.float32)


def test_an_engine_knows_its_network_and_its_device(tmp_path):
    spec = small_networks.convolutions(tmp_path / "net.onnx")
    engine = OnnxRuntimeEngine(tmp_path / "net.onnx", threads=1)
    assert engine.spec == spec
    assert (engine.device, engine.precision) == ("cpu", "fp32")
    assert engine.name == f"onnxruntime {onnxruntime.__version__}"


def test_one_batch_gives_the_outputs_that_the_spec_names(tmp_path):
    small_networks.convolutions(tmp_path / "net.onnx")
    engine = OnnxRuntimeEngine(tmp_path / "net.onnx", threads=1)
    outputs = engine.run({"image": _batch(3, 32), "coarse": _batch(4, 16)})
    assert {name: array.shape for name, array in outputs.items()} == {
        "restored": (1, 3, 32, 32),
        "radius_px": (1, 1, 32, 32),
    }


@pytest.mark.parametrize("device", ["tensorrt", "coreml", "directml"])
def test_a_device_that_this_build_has_no_part_for_is_refused(tmp_path, monkeypatch, device):
    small_networks.convolutions(tmp_path / "net.onnx")
    monkeypatch.setattr(
        our_onnxruntime.onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"]
    )
    with pytest.raises(DeviceError, match=f"--device {device} was asked for") as refusal:
        OnnxRuntimeEngine(tmp_path / "net.onnx", device=device)
    assert "this build has no" in refusal.value.why
    assert "auto" in refusal.value.fix or "cuda" in refusal.value.fix


@pytest.mark.skipif(select.has_nvidia_driver(), reason="CUDA may really work here")
def test_a_session_that_quietly_fell_back_to_the_cpu_is_refused(tmp_path, capfd):
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this build of ONNX Runtime does not even try CUDA")
    small_networks.convolutions(tmp_path / "net.onnx")
    with pytest.raises(DeviceError, match="is not usable here") as refusal:
        OnnxRuntimeEngine(tmp_path / "net.onnx", device="cuda", threads=1)
    assert refusal.value.exit_code == 6
    assert capfd.readouterr().out == ""


def test_a_graph_that_is_damaged_or_lacks_what_it_promises_is_refused(tmp_path):
    path = tmp_path / "net.onnx"
    spec = small_networks.image_to_restored(path)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, spec.to_metadata() | {"defocusfix.levels": "3"})
    for facts, words in (
        ({"defocusfix.outputs": "restored radius_px"}, "its own description"),
        ({"defocusfix.outputs": "restored radius_px", "defocusfix.levels": "3"}, "description"),
    ):
        onnx.helper.set_model_props(model, spec.to_metadata() | facts)
        onnx.save(model, path)
        with pytest.raises(ModelError, match=words):
            OnnxRuntimeEngine(path, threads=1)
    onnx.helper.set_model_props(model, spec.to_metadata())
    model.graph.node[0].op_type = "Unheard"
    onnx.save(model, path)
    with pytest.raises(ModelError, match="cannot be loaded"):
        OnnxRuntimeEngine(path, threads=1)


@tight_memory.needed
def test_a_tile_that_is_too_large_for_the_memory_says_so_and_a_smaller_one_still_works(tmp_path):
    small_networks.convolutions(tmp_path / "net.onnx", levels=1)
    told, works_again = tight_memory.large_tile_then_small(tmp_path / "net.onnx", "onnxruntime")
    assert isinstance(told, DeviceMemoryError)
    assert told.exit_code == 6
    assert "llocate" in told.why
    assert works_again
