from __future__ import annotations

import pytest

from defocusfix.engines import chip, probe
from defocusfix.engines.probe import Finding, advice, choice, examine, machine, reason
from defocusfix.engines.select import WAYS, Way, open_engine
from tests.restoration import small_networks

ORT_CPU = Way("onnxruntime", "cpu", "fp32")
OPENVINO_BF16 = Way("openvino", "cpu", "bf16")


def found(*working: Way) -> list[Finding]:
    return [
        Finding(way, f"{way.engine} 1.0") if way in working else Finding(way, "", "no", "get it")
        for way in WAYS
    ]


@pytest.fixture
def fast_bf16(monkeypatch, tmp_path):
    monkeypatch.setattr(chip, "CPU_FILE", tmp_path / "cpuinfo")
    chip.CPU_FILE.write_text("model name : A\nflags : avx512f avx512_bf16\n")
    monkeypatch.setattr(probe, "_nvidia_gpus", tuple)


def test_what_is_said_to_be_the_choice_is_what_is_opened(tmp_path):
    path = tmp_path / "net.onnx"
    small_networks.convolutions(path)
    findings = list(examine(path))
    assert [finding.way for finding in findings] == list(WAYS)
    for bits in (8, 16):
        chosen = choice(findings, bits)
        engine = open_engine(path, output_bits=bits, threads=1)
        assert (engine.name, engine.precision) == (chosen.name, chosen.way.precision)
        assert engine.device.startswith(chosen.way.device)
        assert reason(chosen.way, bits)
    assert all(finding.works or finding.why for finding in findings)


def test_openvino_is_advised_where_it_would_be_faster(fast_bf16):
    (said,) = advice(found(ORT_CPU))
    assert said.startswith("pip install 'defocusfix[openvino]'")
    chip.CPU_FILE.write_text("flags : avx512_bf16 amx_bf16\n")
    assert advice(found(ORT_CPU)) == [said]
    assert advice(found(ORT_CPU, OPENVINO_BF16)) == []
    chip.CPU_FILE.write_text("flags : avx2\n")
    assert advice(found(ORT_CPU)) == []


def test_a_gpu_that_is_there_but_not_reached_is_told(fast_bf16, monkeypatch):
    monkeypatch.setattr(probe, "_nvidia_gpus", lambda: ("Some GPU, 8 GiB, 600.1",))
    assert any("does not reach the GPU: no; get it" in said for said in advice(found(ORT_CPU)))
    cuda = Way("onnxruntime", "cuda", "fp32")
    assert advice(found(cuda, OPENVINO_BF16)) == []


def test_two_builds_of_onnx_runtime_are_told_to_break_each_other(fast_bf16, monkeypatch):
    monkeypatch.setattr(probe, "_version", lambda package: "1.31.1")
    assert any("both installed" in said for said in advice(found(ORT_CPU, OPENVINO_BF16)))


def test_nothing_is_chosen_where_nothing_works():
    assert choice(found(), 8) is None


def test_a_machine_is_described_as_far_as_it_can_be(monkeypatch):
    monkeypatch.setattr(probe.shutil, "which", lambda name: None)
    here = machine()
    assert here.cores >= 1
    assert here.processor
    assert here.gpus == ()


def test_a_gpu_is_named_by_the_tool_of_its_maker(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Some GPU, 8192 MiB, 600.1'\n")
    tool.chmod(0o755)
    monkeypatch.setattr(probe.shutil, "which", lambda name: str(tool))
    assert machine().gpus == ("Some GPU, 8192 MiB, 600.1",)
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert machine().gpus == ()
