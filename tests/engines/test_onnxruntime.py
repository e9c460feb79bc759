from __future__ import annotations

import numpy as np
import onnx
import pytest

from defocusfix.engines import cores, select
from defocusfix.engines.select import open_engine
from defocusfix.errors import DeviceError, ModelError, UsageError
from tests.restoration import small_networks


def _batch(channels: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).random((1, channels, side, side), dtype=np.float32)


def test_an_engine_knows_its_network_and_its_device(tmp_path):
    spec = small_networks.convolutions(tmp_path / "net.onnx")
    engine = open_engine(tmp_path / "net.onnx", device="cpu", threads=1)
    assert engine.spec == spec
    assert engine.device == "cpu"
    assert engine.name.startswith("onnxruntime ")


def test_one_batch_gives_the_outputs_that_the_spec_names(tmp_path):
    small_networks.convolutions(tmp_path / "net.onnx")
    engine = open_engine(tmp_path / "net.onnx", device="cpu", threads=1)
    outputs = engine.run({"image": _batch(3, 32), "coarse": _batch(4, 16)})
    assert {name: array.shape for name, array in outputs.items()} == {
        "restored": (1, 3, 32, 32),
        "radius_px": (1, 1, 32, 32),
    }


def test_a_demand_for_cuda_without_a_driver_is_refused(tmp_path, monkeypatch):
    small_networks.convolutions(tmp_path / "net.onnx")
    monkeypatch.setattr(select, "has_nvidia_driver", lambda: False)
    with pytest.raises(DeviceError, match="--device cuda was asked for") as refusal:
        open_engine(tmp_path / "net.onnx", device="cuda")
    assert refusal.value.exit_code == 6


@pytest.mark.skipif(select.has_nvidia_driver(), reason="CUDA may really work here")
def test_a_session_that_quietly_fell_back_to_the_cpu_is_refused(tmp_path, monkeypatch, capfd):
    small_networks.convolutions(tmp_path / "net.onnx")
    monkeypatch.setattr(select, "has_nvidia_driver", lambda: True)
    with pytest.raises(DeviceError, match="no CUDA device is usable"):
        open_engine(tmp_path / "net.onnx", device="cuda", threads=1)
    assert open_engine(tmp_path / "net.onnx", device="auto", threads=1).device == "cpu"
    assert capfd.readouterr().out == ""


def test_an_unknown_device_is_a_mistake_in_the_command(tmp_path):
    small_networks.convolutions(tmp_path / "net.onnx")
    with pytest.raises(UsageError, match="tpu"):
        open_engine(tmp_path / "net.onnx", device="tpu")


def test_files_that_are_no_models_are_refused(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"this is no network")
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"")
    for path, words in (
        (tmp_path / "missing.onnx", "no model file"),
        (broken, "cannot be loaded"),
        (weights, "not an ONNX file"),
    ):
        with pytest.raises(ModelError, match=words):
            open_engine(path, device="cpu")


def test_a_stranger_without_our_description_is_refused(tmp_path):
    path = tmp_path / "net.onnx"
    small_networks.convolutions(path)
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(ModelError, match="lacks the entry"):
        open_engine(path, device="cpu", threads=1)


def test_a_network_that_lacks_what_it_promises_is_refused(tmp_path):
    path = tmp_path / "net.onnx"
    spec = small_networks.image_to_restored(path)
    model = onnx.load(path)
    metadata = spec.to_metadata() | {"defocusfix.outputs": "restored radius_px"}
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)
    with pytest.raises(ModelError, match="does not keep to its own description"):
        open_engine(path, device="cpu", threads=1)


def test_two_processors_of_one_core_count_once(tmp_path, monkeypatch):
    for processor, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        folder = tmp_path / f"cpu{processor}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings + "\n")
    monkeypatch.setattr(cores, "CPU_FOLDER", tmp_path)
    monkeypatch.setattr(cores, "QUOTA_FILE", tmp_path / "none")
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    assert cores.physical_cores() == 2
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: {1, 3}, raising=False)
    assert cores.physical_cores() == 1


def test_a_container_that_grants_less_time_lowers_the_number(tmp_path, monkeypatch):
    quota = tmp_path / "cpu.max"
    quota.write_text("150000 100000\n")
    monkeypatch.setattr(cores, "CPU_FOLDER", tmp_path)
    monkeypatch.setattr(cores, "QUOTA_FILE", quota)
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert cores.physical_cores() == 2
    quota.write_text("max 100000\n")
    assert cores.physical_cores() == 8
