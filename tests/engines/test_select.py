from __future__ import annotations

import numpy as np
import pytest

from defocusfix.engines import select
from defocusfix.engines.select import WAYS, Way, likely_device, open_engine, ways
from defocusfix.errors import DeviceError, ModelError, UsageError
from tests.restoration import small_networks

ORT_CPU = Way("onnxruntime", "cpu", "fp32")
ORT_INT8 = Way("onnxruntime", "cpu", "int8")
OPENVINO_BF16 = Way("openvino", "cpu", "bf16")


@pytest.fixture
def path(tmp_path):
    small_networks.convolutions(tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture
def machine(monkeypatch):
    """Says which packages are installed, what the processor is fast in, and NVIDIA's driver."""

    def has(*packages, fast_bf16=False, int8=False, nvidia_driver=False, system="linux"):
        monkeypatch.setattr(select, "find_spec", lambda name: name if name in packages else None)
        monkeypatch.setattr(select, "has_fast_bf16", lambda: fast_bf16)
        monkeypatch.setattr(select, "has_exact_int8", lambda: int8)
        monkeypatch.setattr(select, "has_nvidia_driver", lambda: nvidia_driver)
        monkeypatch.setattr(select.sys, "platform", system)

    return has


def usable(**demands) -> list[Way]:
    return [way for way in ways(**demands) if select.absence(way) is None]


def test_a_bare_installation_computes_on_the_cpu_in_fp32(machine):
    machine("onnxruntime", fast_bf16=True)
    assert usable() == [ORT_CPU]


def test_openvino_is_taken_for_bf16_where_that_is_faster_and_does_not_show(machine):
    machine("onnxruntime", "openvino", "torch", fast_bf16=True)
    assert usable(output_bits=8)[0] == OPENVINO_BF16
    assert usable(output_bits=16)[0] == usable(output_bits=32)[0] == ORT_CPU
    assert all(way.precision == "fp32" for way in usable(output_bits=16))
    machine("onnxruntime", "openvino", "torch", fast_bf16=False)
    assert usable(output_bits=8)[0] == ORT_CPU
    assert all(way.precision == "fp32" for way in usable(output_bits=8))


def test_eight_bits_are_taken_where_they_are_exact_and_do_not_show_and_bf16_is_not_to_be_had(
    machine,
):
    machine("onnxruntime", "openvino", fast_bf16=True, int8=True)
    assert usable(output_bits=8)[:3] == [OPENVINO_BF16, ORT_INT8, ORT_CPU]
    assert ORT_INT8 not in usable(output_bits=16)
    machine("onnxruntime", "openvino", int8=True)
    assert usable(output_bits=8)[0] == ORT_INT8
    assert usable(precision="int8", output_bits=16) == [ORT_INT8]


def test_weights_without_a_file_in_eight_bits_are_computed_in_fp32(path, machine):
    machine("onnxruntime", int8=True)
    assert open_engine(path).precision == "fp32"
    with pytest.raises(ModelError, match="no form that computes in 8 bits") as refusal:
        open_engine(path, precision="int8")
    assert "net.int8.onnx" in refusal.value.why
    assert "--int8" in refusal.value.fix


def test_a_file_in_eight_bits_beside_the_weights_is_taken_and_says_what_it_is(tmp_path, machine):
    machine("onnxruntime", int8=True)
    path, small = tmp_path / "net.onnx", tmp_path / "net.int8.onnx"
    small_networks.convolutions(path, weights_sha256="ab" * 32)
    small_networks.convolutions(small, weights_sha256="ab" * 32, arithmetic="int8")
    assert open_engine(path).precision == "int8"
    assert open_engine(path, output_bits=16).precision == "fp32"
    assert open_engine(small, output_bits=16).precision == "fp32"
    path.unlink()
    assert open_engine(small).precision == "int8"
    machine("onnxruntime")
    with pytest.raises(DeviceError, match="int8") as refusal:
        open_engine(small, precision="int8")
    assert "avx512_vnni" in refusal.value.why


@pytest.mark.parametrize(("name", "arithmetic"), [("a.onnx", "int8"), ("a.int8.onnx", "fp32")])
def test_a_file_whose_name_says_another_arithmetic_is_refused(tmp_path, machine, name, arithmetic):
    machine("onnxruntime", int8=True)
    small_networks.convolutions(tmp_path / name, arithmetic=arithmetic)
    with pytest.raises(ModelError, match="does not compute in"):
        open_engine(tmp_path / name)


def test_a_gpu_comes_before_the_processor(machine):
    machine("onnxruntime", "openvino", fast_bf16=True, nvidia_driver=True)
    assert usable()[0] == Way("onnxruntime", "cuda", "fp32")
    machine("onnxruntime", system="win32")
    assert usable()[:2] == [Way("onnxruntime", "directml", "fp32"), ORT_CPU]
    machine("onnxruntime", "torch", system="darwin")
    assert usable()[:2] == [Way("torch", "mps", "fp32"), ORT_CPU]


def test_the_device_is_foreseen_without_opening_anything(machine):
    machine("onnxruntime", "torch")
    assert likely_device() == "cpu"
    machine("onnxruntime", "torch", nvidia_driver=True)
    assert likely_device() == "cuda"
    assert likely_device(device="cpu") == "cpu"
    machine("onnxruntime")
    assert likely_device(engine="openvino") == "cpu"  # which will be refused


def test_a_precision_that_is_demanded_is_taken_whatever_the_output(machine):
    machine("onnxruntime", "openvino", fast_bf16=False)
    assert usable(precision="bf16", output_bits=16) == [OPENVINO_BF16]
    assert usable(precision="fp32", output_bits=8)[0] == ORT_CPU


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_way_can_be_demanded(way):
    assert ways(engine=way.engine, device=way.device, precision=way.precision) == [way]


@pytest.mark.parametrize("demand", [{"device": "tpu"}, {"engine": "mlx"}, {"precision": "int4"}])
def test_an_unknown_name_is_a_mistake_in_the_command(path, demand):
    with pytest.raises(UsageError, match=next(iter(demand.values()))) as refusal:
        open_engine(path, **demand)
    assert "auto" in refusal.value.fix


def test_demands_that_no_way_meets_are_refused_with_what_there_is(path):
    with pytest.raises(DeviceError, match="--engine openvino --device cuda") as refusal:
        open_engine(path, engine="openvino", device="cuda")
    assert refusal.value.exit_code == 6
    assert "openvino on cpu in bf16" in refusal.value.why


def test_an_engine_that_is_not_installed_is_refused_with_what_to_install(path, machine):
    machine("onnxruntime", fast_bf16=True)
    with pytest.raises(DeviceError, match="openvino") as refusal:
        open_engine(path, engine="openvino")
    assert refusal.value.exit_code == 6
    assert refusal.value.fix == "pip install 'defocusfix[openvino]'"


def test_a_demand_for_cuda_without_a_driver_is_refused(path, machine):
    machine("onnxruntime", "torch")
    with pytest.raises(DeviceError, match="--device cuda was asked for") as refusal:
        open_engine(path, device="cuda")
    assert refusal.value.exit_code == 6
    assert "no NVIDIA driver" in refusal.value.why


def test_a_demand_for_bf16_that_nothing_meets_tells_of_every_engine_but_no_gpu(path, machine):
    machine("onnxruntime")
    path.with_suffix(".safetensors").write_bytes(b"")
    with pytest.raises(DeviceError, match="bf16") as refusal:
        open_engine(path, precision="bf16")
    assert "NVIDIA" not in str(refusal.value)
    assert "pip install 'defocusfix[openvino]'" in refusal.value.fix


@pytest.mark.parametrize("device", ["mps", "coreml", "directml"])
def test_a_device_of_another_system_is_refused(path, machine, device):
    machine("onnxruntime", "torch")
    with pytest.raises(DeviceError, match=f"--device {device}"):
        open_engine(path, device=device)


@pytest.mark.skipif(select.has_nvidia_driver(), reason="CUDA may really work here")
def test_auto_goes_on_to_the_cpu_where_cuda_does_not_work_after_all(path, monkeypatch, capfd):
    monkeypatch.setattr(select, "has_nvidia_driver", lambda: True)
    engine = open_engine(path, engine="onnxruntime", threads=1)
    assert (engine.device, engine.precision) == ("cpu", "fp32")
    assert capfd.readouterr().out == ""
    with pytest.raises(DeviceError, match="--device cuda was asked for"):
        open_engine(path, engine="onnxruntime", device="cuda", threads=1)


def test_an_engine_that_computes_nonsense_is_found_out(path):
    engine = open_engine(path, engine="onnxruntime", device="cpu", threads=1)
    select.try_out(engine)
    compute = engine.run
    engine.run = lambda inputs: {name: array * np.nan for name, array in compute(inputs).items()}
    with pytest.raises(DeviceError, match="computes wrongly"):
        select.try_out(engine)


def test_weights_that_the_demanded_engine_cannot_read_are_refused(path, tmp_path):
    with pytest.raises(ModelError, match="cannot be run by the engine") as refusal:
        open_engine(path, engine="torch")
    assert "safetensors" in refusal.value.why
    with pytest.raises(ModelError, match="there is no model file"):
        open_engine(tmp_path / "missing.onnx")
