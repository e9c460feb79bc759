from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from defocusfix.engines import matrix
from defocusfix.engines.matrix import matrix_product, product_graph
from defocusfix.engines.onnxruntime import load_session
from defocusfix.engines.select import Way, absence
from defocusfix.engines.work import multiplications_per_pixel
from defocusfix.errors import DeviceError, ModelError
from defocusfix.network_spec import NetworkSpec
from defocusfix.training.export import export_onnx
from tests.restoration import small_networks


@pytest.mark.parametrize(("levels", "n_inputs"), [(3, 16), (1, 12)])
def test_multiplications_are_those_of_the_convolutions(tmp_path, levels, n_inputs):
    small_networks.convolutions(tmp_path / "net.onnx", levels=levels)
    # Three 3x3 layers at half size, a quarter of the places: from n_inputs, then 16, to 16.
    expected = (n_inputs + 16 + 16) * 16 * 9 / 4
    assert multiplications_per_pixel(tmp_path / "net.onnx") == expected


def test_those_of_a_transposed_convolution_with_fixed_weights_are_counted(tmp_path):
    network = nn.Sequential(nn.PixelUnshuffle(2), nn.ConvTranspose2d(12, 3, 2, stride=2))
    spec = NetworkSpec(
        name="net", architecture="none", size_multiple=2, halo=0, levels=1, outputs=("restored",)
    )
    export_onnx(network.eval(), spec, tmp_path / "net.onnx", half=False)
    assert multiplications_per_pixel(tmp_path / "net.onnx") == 12 * 3 * 4 / 4


def test_weights_without_a_graph_cannot_be_counted(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError):
        multiplications_per_pixel(tmp_path / "model.safetensors")


@pytest.mark.parametrize("times", [1, 3])
def test_the_graph_multiplies_as_numpy_does(times):
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, 200, 200), dtype=np.float32)
    (found,) = load_session(product_graph(right, times), threads=1).run(None, {"left": left})
    expected = left @ np.linalg.matrix_power(right.astype(np.float64), times)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize(
    "way",
    [
        Way("onnxruntime", "cpu", "fp32"),
        Way("openvino", "cpu", "fp32"),
        Way("torch", "cpu", "fp32"),
    ],
    ids=str,
)
def test_every_engine_has_a_product_to_be_timed(monkeypatch, way):
    if absence(way) is not None:
        pytest.skip(f"{way.engine} is not installed")
    monkeypatch.setattr(matrix, "SIDE_ON_CPU", 64)
    product = matrix_product(way, threads=1)
    product.run()
    assert product.operations == 2 * 64**3


@pytest.mark.skipif(absence(Way("onnxruntime", "cuda", "fp32")) is None, reason="has a driver")
def test_a_product_on_a_device_that_is_not_there_is_refused():
    with pytest.raises(DeviceError):
        matrix_product(Way("onnxruntime", "cuda", "fp32"))
