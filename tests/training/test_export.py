from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from defocusfix.errors import InputError, ModelError, OutputError
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks import build
from defocusfix.training import export
from defocusfix.training.export import export_onnx, find_weights, load_network
from defocusfix.training.weights import weights_sha256, write_weights

SPEC = NetworkSpec(
    name="small",
    architecture="small",
    size_multiple=4,
    halo=3,
    levels=2,
    licence="Apache-2.0",
    training_data="noise",
    revision="abc",
)


class Small(nn.Module):
    """The contract of a network with levels, in two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(16, 8, 3, padding=1)
        self.tail = nn.Conv2d(8, 13, 3, padding=1)

    def forward(self, image, coarse):
        views = F.pixel_unshuffle(image, 2)  # (B, 12, H/2, W/2)
        features = self.tail(F.relu(self.head(torch.cat([views, coarse], dim=1))))
        radius = F.interpolate(F.softplus(features[:, :1]), scale_factor=2.0, mode="bilinear")
        return image + F.pixel_shuffle(features[:, 1:], 2), radius


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    return export_onnx(network, SPEC, tmp_path_factory.mktemp("out") / "small.onnx")


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_the_file_agrees_with_torch_at_several_sizes(exported):
    assert len({parity.shape for parity in exported.parities}) == 3
    assert all(parity.engine <= 1e-4 for parity in exported.parities)
    assert all(0 < parity.rounding < 0.01 for parity in exported.parities)


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 8, 8), (3, 20, 12), (1, 4, 64)])
def test_any_batch_and_any_multiple_is_taken(exported, network, batch, height, width):
    image = np.random.default_rng(0).random((batch, 3, height, width), dtype=np.float32)
    coarse = np.ones((batch, 4, height // 2, width // 2), dtype=np.float32)
    found = session(exported.path).run(None, {"image": image, "coarse": coarse})
    with torch.no_grad():
        expected = network(torch.from_numpy(image), torch.from_numpy(coarse))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=0.01)


def test_the_file_says_what_it_is(exported):
    metadata = session(exported.path).get_modelmeta().custom_metadata_map
    assert NetworkSpec.from_metadata(metadata) == SPEC
    assert [output.name for output in session(exported.path).get_outputs()] == list(SPEC.outputs)


def test_weights_are_stored_in_16_bits_and_computed_with_in_32(exported):
    graph = onnx.load(exported.path).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    assert kinds["head.weight.half"] == onnx.TensorProto.FLOAT16
    assert "head.weight" not in kinds
    inputs = {value.type.tensor_type.elem_type for value in [*graph.input, *graph.output]}
    assert inputs == {onnx.TensorProto.FLOAT}


def test_unrounded_weights_cost_nothing(network, tmp_path):
    exported = export_onnx(network, SPEC, tmp_path / "full.onnx", half=False)
    assert all(parity.rounding == parity.engine <= 1e-4 for parity in exported.parities)


def test_the_network_keeps_its_weights(network, exported):
    torch.manual_seed(0)
    assert weights_sha256(network.state_dict()) == weights_sha256(Small().state_dict())


def test_a_file_that_disagrees_is_not_written(network, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "PARITY_LIMIT", 0.0)
    with pytest.raises(ModelError, match="differs from the trained one"):
        export_onnx(network, SPEC, tmp_path / "small.onnx")
    assert not list(tmp_path.iterdir())


def test_facts_that_name_other_outputs_are_refused(network, tmp_path):
    with pytest.raises(ModelError, match="gives 2 outputs"):
        export_onnx(
            network, replace(SPEC, outputs=(*SPEC.outputs, "mask")), tmp_path / "small.onnx"
        )


def test_a_file_that_is_there_is_kept(network, tmp_path):
    (tmp_path / "small.onnx").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        export_onnx(network, SPEC, tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").read_text() == "mine"


def test_saved_weights_become_the_network_again(network, tmp_path, monkeypatch):
    monkeypatch.setitem(build.BUILDERS, "small", Small)
    written = write_weights(tmp_path / "weights.safetensors", network.state_dict(), SPEC)
    loaded, spec = load_network(find_weights(tmp_path))
    assert spec == written == replace(SPEC, weights_sha256=weights_sha256(network.state_dict()))
    assert weights_sha256(loaded.state_dict()) == spec.weights_sha256


def test_the_weights_that_validation_scored_highest_are_those_of_a_run(tmp_path):
    for name in ("weights.safetensors", "best.safetensors"):
        (tmp_path / name).touch()
        assert find_weights(tmp_path) == tmp_path / name


def test_halved_weights_keep_the_hash_of_the_trained_ones(network, tmp_path):
    spec = write_weights(tmp_path / "half.safetensors", network.state_dict(), SPEC, half=True)
    assert spec.weights_sha256 == weights_sha256(network.state_dict())


def test_unknown_or_unfit_weights_are_refused(network, tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    write_weights(path, network.state_dict(), SPEC)
    with pytest.raises(ModelError, match=r"architecture 'small' .* is unknown"):
        load_network(path)
    monkeypatch.setitem(build.BUILDERS, "small", lambda: nn.Conv2d(3, 3, 1))
    with pytest.raises(ModelError, match="do not fit"):
        load_network(path)
    path.write_bytes(b"not safetensors")
    with pytest.raises(ModelError, match="not a readable"):
        load_network(path)
    with pytest.raises(InputError, match="no weights"):
        find_weights(tmp_path / "nowhere")
