from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.bundled import bundled_models_folder
from defocusfix.engines.model_file import INT8, in_folder, in_format, read_spec
from defocusfix.errors import ModelError
from defocusfix.network_spec import NetworkSpec
from tests.restoration import small_networks


def _safetensors(path: Path, spec: NetworkSpec) -> None:
    """A file with facts and one empty tensor."""
    tensor = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({"__metadata__": spec.to_metadata(), "weight": tensor}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)


@pytest.fixture(scope="module")
def onnx_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "net.onnx"
    small_networks.convolutions(path, weights_sha256="ab" * 32, licence="Käsekuchen 1.0")
    return path.read_bytes()


def test_an_onnx_file_is_read_as_the_onnx_package_reads_it(tmp_path, onnx_bytes):
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_bytes)
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert read_spec(path) == NetworkSpec.from_metadata(entries)
    assert read_spec(path).licence == "Käsekuchen 1.0"


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_both_kinds_of_bundled_weights_say_the_same_of_themselves(suffix):
    for folder in bundled_models_folder().glob("*/"):
        spec = read_spec(folder / f"model{suffix}")
        assert spec == read_spec(folder / "model.onnx")
        assert in_format(folder / "model.onnx", suffix) == folder / f"model{suffix}"


def test_bundled_weights_have_a_form_in_eight_bits():
    for folder in bundled_models_folder().glob("*/"):
        small = in_format(folder / "model.onnx", INT8)
        assert small == folder / "model.int8.onnx"
        assert in_format(small, ".onnx") == folder / "model.onnx"
        assert replace(read_spec(small), arithmetic="fp32") == read_spec(folder / "model.onnx")


def test_a_form_in_eight_bits_is_found_by_its_name_and_counts_if_its_weights_are_the_same(tmp_path):
    graph, small = tmp_path / "my.net.onnx", tmp_path / "my.net.int8.onnx"
    small_networks.convolutions(graph, weights_sha256="ab" * 32)
    assert in_format(graph, INT8) is None
    small_networks.convolutions(small, weights_sha256="cd" * 32)
    assert in_format(graph, INT8) is None
    small_networks.convolutions(small, weights_sha256="ab" * 32)
    assert in_format(graph, INT8) == small
    assert in_format(small, INT8) == small
    assert in_format(small, ".onnx") == graph
    graph.unlink()
    assert in_format(small, ".onnx") is None


@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_but_nothing_else(tmp_path_factory, onnx_bytes, data):
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    damaged = bytearray(onnx_bytes[: data.draw(st.integers(0, len(onnx_bytes)))])
    for position in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=4)):
        if damaged:
            damaged[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(damaged))
    with contextlib.suppress(ModelError):
        assert isinstance(read_spec(path), NetworkSpec)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 8, b"\xff" * 64, b"\x02\x00\x00\x00\x00\x00\x00\x00[]", b"\x10" + bytes(7)],
)
def test_a_file_that_is_no_safetensors_file_is_refused(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        read_spec(path)


def test_a_file_of_another_kind_or_none_at_all_is_refused(tmp_path):
    with pytest.raises(ModelError, match="there is no model file"):
        read_spec(tmp_path / "missing.onnx")
    (tmp_path / "weights.pt").write_bytes(b"pickle")
    with pytest.raises(ModelError, match="neither an ONNX nor a safetensors file"):
        read_spec(tmp_path / "weights.pt")
    (tmp_path / "text.onnx").write_bytes(b"this is no network")
    with pytest.raises(ModelError, match="cannot be loaded"):
        read_spec(tmp_path / "text.onnx")


def test_a_stranger_without_our_description_is_refused(tmp_path, onnx_bytes):
    model = onnx.load_from_string(onnx_bytes)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="lacks the entry"):
        read_spec(tmp_path / "net.onnx")


def test_the_file_beside_it_counts_only_with_the_same_weights(tmp_path):
    graph, weights = tmp_path / "model.onnx", tmp_path / "model.safetensors"
    spec = small_networks.convolutions(graph, weights_sha256="ab" * 32)
    assert in_format(graph, ".onnx") == graph
    assert in_format(graph, ".safetensors") is None
    _safetensors(weights, spec)
    assert in_format(graph, ".safetensors") == weights
    small_networks.convolutions(graph, weights_sha256="cd" * 32)
    assert in_format(graph, ".safetensors") is None
    small_networks.convolutions(graph)  # which does not say what weights it holds
    assert in_format(graph, ".safetensors") is None


def test_in_the_folder_of_a_run_an_export_goes_with_the_weights_it_was_made_of(tmp_path):
    small_networks.convolutions(tmp_path / "model.onnx", weights_sha256="best")
    export = read_spec(tmp_path / "model.onnx")
    _safetensors(tmp_path / "weights.safetensors", replace(export, weights_sha256="last"))
    assert in_format(tmp_path / "model.onnx", ".safetensors") is None
    _safetensors(tmp_path / "best.safetensors", export)
    assert in_format(tmp_path / "model.onnx", ".safetensors") == tmp_path / "best.safetensors"
    assert in_format(tmp_path / "best.safetensors", ".onnx") == tmp_path / "model.onnx"
    assert in_format(tmp_path / "weights.safetensors", ".onnx") is None


def test_a_run_is_taken_by_its_export_else_its_best_else_its_last_weights(tmp_path):
    with pytest.raises(ModelError, match="no weights in"):
        in_folder(tmp_path)
    for name in ("weights.safetensors", "best.safetensors", "model.onnx"):
        (tmp_path / name).touch()
        assert in_folder(tmp_path) == tmp_path / name
