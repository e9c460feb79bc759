from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from defocusfix.engines import pytorch
from defocusfix.engines.pytorch import PyTorchEngine
from defocusfix.engines.select import open_engine
from defocusfix.errors import DeviceError, ModelError
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks import build
from defocusfix.training.weights import weights_sha256, write_weights
from tests.restoration import small_networks


class Small(nn.Module):
    """Two outputs of two inputs, with one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        radius = nn.functional.interpolate(coarse[:, 3:], scale_factor=2.0)
        return image + self.layer(image) / 64, radius


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setitem(build.BUILDERS, "small", Small)
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    yield Small()
    torch.set_num_threads(threads)


@pytest.fixture
def spec():
    return NetworkSpec(name="small", architecture="small", size_multiple=2, halo=1, levels=3)


def _inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = {"image": (2, 3, 8, 12), "coarse": (2, 4, 4, 6)}
    return {name: rng.random(size, dtype=np.float32) for name, size in sizes.items()}


@pytest.mark.parametrize("half", [False, True])
def test_it_gives_what_the_network_gives_also_of_weights_in_16_bits(tmp_path, network, spec, half):
    path = tmp_path / "model.safetensors"
    write_weights(path, network.state_dict(), spec, half=half)
    if half:
        network.load_state_dict({k: v.half().float() for k, v in network.state_dict().items()})
    engine = PyTorchEngine(path, threads=1)
    assert (engine.device, engine.precision) == ("cpu", "fp32")
    assert engine.name == f"torch {torch.__version__}"
    inputs = _inputs()
    with torch.no_grad():
        expected = network(torch.from_numpy(inputs["image"]), torch.from_numpy(inputs["coarse"]))
    found = engine.run(inputs)
    assert list(found) == ["restored", "radius_px"]
    for array, tensor in zip(found.values(), expected, strict=True):
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, tensor.numpy(), atol=1e-6)


def test_in_bf16_the_photo_itself_is_not_rounded(tmp_path, network, spec):
    nn.init.zeros_(network.layer.weight)
    nn.init.zeros_(network.layer.bias)
    write_weights(tmp_path / "model.safetensors", network.state_dict(), spec)
    engine = PyTorchEngine(tmp_path / "model.safetensors", precision="bf16", threads=1)
    assert engine.precision == "bf16"
    inputs = _inputs()
    assert np.array_equal(engine.run(inputs)["restored"], inputs["image"])


def test_the_weights_beside_an_onnx_file_are_found_when_torch_is_demanded(tmp_path, network, spec):
    digest = weights_sha256(network.state_dict())
    small_networks.convolutions(tmp_path / "model.onnx", weights_sha256=digest)
    write_weights(tmp_path / "model.safetensors", network.state_dict(), spec)
    engine = open_engine(tmp_path / "model.onnx", engine="torch", device="cpu", precision="fp32")
    assert engine.name.startswith("torch ")
    alone = tmp_path / "alone.safetensors"
    write_weights(alone, network.state_dict(), spec)
    assert open_engine(alone, device="cpu", threads=1).name.startswith("torch ")


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA works here")
def test_a_device_that_torch_cannot_use_is_refused(tmp_path, network, spec):
    write_weights(tmp_path / "model.safetensors", network.state_dict(), spec)
    for device in ("cuda", "mps"):
        if device == "mps" and torch.backends.mps.is_available():
            continue
        with pytest.raises(DeviceError, match=f"--device {device} was asked for") as refusal:
            PyTorchEngine(tmp_path / "model.safetensors", device=device)
        assert refusal.value.fix


def test_weights_that_do_not_fit_or_are_of_a_stranger_are_refused(tmp_path, network, spec):
    path = tmp_path / "model.safetensors"
    write_weights(path, {"other": torch.zeros(1)}, spec)
    with pytest.raises(ModelError, match="do not fit"):
        PyTorchEngine(path)
    write_weights(path, network.state_dict(), spec)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelError, match="do not fit"):
        PyTorchEngine(path)
    del build.BUILDERS["small"]
    with pytest.raises(ModelError, match="architecture 'small'"):
        PyTorchEngine(path)
    build.BUILDERS["small"] = Small


def test_memory_that_runs_out_while_the_weights_are_loaded_is_said(
    tmp_path, network, spec, monkeypatch
):
    write_weights(tmp_path / "model.safetensors", network.state_dict(), spec)

    def full(path):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")

    monkeypatch.setattr(pytorch, "load_file", full)
    with pytest.raises(DeviceError, match="memory ran out"):
        PyTorchEngine(tmp_path / "model.safetensors")
