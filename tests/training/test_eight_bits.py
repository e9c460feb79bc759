"""A network in 8 bits restores nearly what it restores in float32."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from defocusfix.engines.model_file import read_spec
from defocusfix.errors import ModelError, OutputError
from defocusfix.networks.described import described
from defocusfix.networks.focusnet import FocusNet, Shape
from defocusfix.training import eight_bits
from defocusfix.training.eight_bits import export_int8, rendered_calls, residual_blocks
from defocusfix.training.export import export_onnx, traced
from tests.abilities import needs_int8


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch):
    monkeypatch.setattr(eight_bits, "SCENES", 2)
    monkeypatch.setattr(eight_bits, "TRIED", 1)
    monkeypatch.setattr(eight_bits, "SCENE_PX", 64)


def wide(widest: int = 128) -> FocusNet:
    """With one block of `widest` channels in the trunk, of 64 in the branch; it changes a lot."""
    torch.manual_seed(0)
    network = FocusNet(
        Shape((8, widest), encoder_blocks=(1,), decoder_blocks=(1,), middle=1),
        Shape((64, 64), encoder_blocks=(1,), decoder_blocks=(1,), middle=1),
        levels=3,
    ).eval()
    with torch.no_grad():
        network.map.tail.bias.fill_(2.0)  # blurred throughout
    return network


@needs_int8
def test_both_files_agree_but_for_the_roundings_and_the_map_is_the_same(tmp_path):
    network = wide()
    spec = described(network, "focusnet-s2")
    export_onnx(network, spec, tmp_path / "net.onnx")
    found = export_int8(network, spec, tmp_path / "net.int8.onnx")
    assert found.blocks == 1
    assert 0 < found.difference < 0.05
    small = read_spec(found.path)
    assert (small.arithmetic, small.halo) == ("int8", spec.halo)
    results = []
    rng = np.random.default_rng(1)
    inputs = {
        "image": rng.random((1, 3, 64, 96), np.float32),
        "coarse": rng.random((1, 4, 32, 48), np.float32),
    }
    for name in ("net.onnx", "net.int8.onnx"):
        session = onnxruntime.InferenceSession(tmp_path / name, providers=["CPUExecutionProvider"])
        results.append(session.run(["restored", "radius_px"], inputs))
    (restored, radius), (restored_8, radius_8) = results
    np.testing.assert_allclose(radius_8, radius, rtol=1e-5, atol=1e-5)
    change = np.abs(restored - inputs["image"]).mean()
    assert 0 < np.abs(restored_8 - restored).mean() < 0.1 * change


def test_blocks_of_the_trunk_are_found_and_those_of_the_map_are_left_alone():
    network = wide()
    model = traced(network, described(network, "focusnet-s2"), half=False)
    (block,) = residual_blocks(model)
    assert block.name == "body.middle.0"
    assert [node.op_type for node in (block.expand, block.relu, block.project)] == [
        "Conv",
        "Relu",
        "Conv",
    ]


def test_ranges_come_from_every_level_of_rendered_scenes():
    network = wide(8)
    calls = rendered_calls(network, described(network, "focusnet-s2"), 2)
    sides = [call["image"].shape[-1] for call in calls]
    assert sides == [16, 32, 64] * 2  # the coarsest level goes first
    assert (calls[0]["coarse"][:, 3] == -1).all()
    assert not np.array_equal(calls[2]["image"], calls[5]["image"])


@needs_int8
def test_what_gains_nothing_or_differs_too_much_is_not_written(tmp_path, monkeypatch):
    narrow, path = wide(64), tmp_path / "net.int8.onnx"
    with pytest.raises(ModelError, match="gains nothing from 8 bits"):
        export_int8(narrow, described(narrow, "focusnet-s2"), path)
    network = wide()
    monkeypatch.setattr(eight_bits, "DIFFERENCE_LIMIT", 1e-6)
    with pytest.raises(ModelError, match="nothing was written") as refusal:
        export_int8(network, described(network, "focusnet-s2"), path)
    assert refusal.value.fix == "leave --int8 out"
    assert not list(tmp_path.iterdir())


def test_a_file_that_exists_is_kept(tmp_path):
    network, path = wide(), tmp_path / "net.int8.onnx"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        export_int8(network, described(network, "focusnet-s2"), path)
    assert path.read_bytes() == b"mine"
