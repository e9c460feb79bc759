"""What is read of an ONNX file without a library, against what the onnx package says."""

from __future__ import annotations

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from defocusfix.bundled import bundled_models_folder
from defocusfix.engines import protobuf
from defocusfix.engines.onnx_graph import Graph, Port, read_graph
from tests.restoration import small_networks


def _saved(path, graph: onnx.GraphProto, **more: object):
    model = helper.make_model(graph, **more)
    path.write_bytes(model.SerializeToString())
    return path


def _elsewhere(location: str, name: str = "weight") -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def _ports(values) -> list[Port]:
    return [
        Port(
            value.name,
            value.type.tensor_type.elem_type,
            tuple(d.dim_value or None for d in value.type.tensor_type.shape.dim),
        )
        for value in values
    ]


@pytest.mark.parametrize("name", ["bundled", "convolutions", "stranger", "fixed"])
def test_inputs_and_outputs_are_those_that_the_onnx_package_reads(tmp_path, name):
    path = tmp_path / "net.onnx"
    if name == "bundled":
        path = bundled_models_folder() / "focusnet-s" / "model.onnx"
    elif name == "convolutions":
        small_networks.convolutions(path)
    else:
        small_networks.of_a_stranger(path, height=64 if name == "fixed" else "rows")
    model = onnx.load(path)
    found = read_graph(path)
    assert found.inputs == _ports(model.graph.input)
    assert found.outputs == _ports(model.graph.output)
    assert found.operators >= {node.op_type for node in model.graph.node}
    assert found.data_files == set()


def test_weights_that_older_files_list_as_inputs_are_none(tmp_path):
    path = tmp_path / "net.onnx"
    small_networks.of_a_stranger(path)
    model = onnx.load(path)
    for weight in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
        )
    onnx.save(model, path)
    assert [port.name for port in read_graph(path).inputs] == ["lq"]


def _graph(nodes=(), weights=(), name="net") -> onnx.GraphProto:
    value = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, None, None))
    return helper.make_graph(list(nodes), name, [value], [value], list(weights))


def _branch(weight: TensorProto) -> onnx.NodeProto:
    return helper.make_node("If", ["image"], ["image2"], then_branch=_graph(weights=[weight]))


def _sparse(weight: TensorProto) -> onnx.GraphProto:
    graph = _graph()
    indices = numpy_helper.from_array(np.arange(4), "indices")
    graph.sparse_initializer.append(helper.make_sparse_tensor(weight, indices, [8]))
    return graph


HIDING_PLACES = {
    "a weight": lambda weight: _graph(weights=[weight]),
    "a constant": lambda weight: _graph([helper.make_node("Constant", [], ["c"], value=weight)]),
    "a branch": lambda weight: _graph([_branch(weight)]),
    "a branch of a branch": lambda weight: _graph(
        [helper.make_node("If", ["image"], ["i"], else_branch=_graph([_branch(weight)]))]
    ),
    "a sparse weight": _sparse,
}


@pytest.mark.parametrize("place", sorted(HIDING_PLACES))
def test_files_that_weights_lie_in_are_found_wherever_they_are_named(tmp_path, place):
    graph = HIDING_PLACES[place](_elsewhere("../secret"))
    assert read_graph(_saved(tmp_path / "net.onnx", graph)).data_files == {"../secret"}


def test_files_named_in_a_function_or_in_training_parts_are_found(tmp_path):
    constant = helper.make_node("Constant", [], ["c"], value=_elsewhere("/etc/passwd"))
    function = helper.make_function(
        "ours", "F", [], ["c"], [constant], [helper.make_opsetid("", 18)]
    )
    assert read_graph(
        _saved(tmp_path / "function.onnx", _graph(), functions=[function])
    ).data_files == {"/etc/passwd"}
    model = helper.make_model(_graph())
    model.training_info.add().algorithm.CopyFrom(_graph(weights=[_elsewhere("there")]))
    (tmp_path / "training.onnx").write_bytes(model.SerializeToString())
    assert read_graph(tmp_path / "training.onnx").data_files == {"there"}


def test_a_file_in_two_parts_that_a_library_would_join_is_read_as_joined(tmp_path):
    # Protocol buffers add a message that comes twice; a reader that took the last would miss one.
    first = helper.make_model(_graph(weights=[_elsewhere("first")])).SerializeToString()
    second = helper.make_model(_graph(weights=[_elsewhere("second")])).SerializeToString()
    (tmp_path / "net.onnx").write_bytes(first + second)
    joined = onnx.load(tmp_path / "net.onnx", load_external_data=False)
    assert len(joined.graph.initializer) == 2
    assert read_graph(tmp_path / "net.onnx").data_files == {"first", "second"}


def test_weights_elsewhere_without_a_place_are_told(tmp_path):
    weight = _elsewhere("x")
    weight.ClearField("external_data")
    assert read_graph(_saved(tmp_path / "net.onnx", _graph(weights=[weight]))).data_files == {""}


def test_parts_nested_without_end_are_refused(tmp_path):
    inner = b""
    for _ in range(400):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # graph of an attribute of a node
            inner = tag + protobuf_length(len(inner)) + inner
    (tmp_path / "net.onnx").write_bytes(b"\x3a" + protobuf_length(len(inner)) + inner)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_graph(tmp_path / "net.onnx")


def test_a_file_of_nothing_but_tiny_parts_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(protobuf, "MOST_FIELDS", 1000)
    (tmp_path / "net.onnx").write_bytes(b"\x08\x01" * 5000)
    with pytest.raises(ValueError, match="too many parts"):
        read_graph(tmp_path / "net.onnx")


@given(data=st.data())
def test_whatever_is_in_a_file_it_is_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    small_networks.of_a_stranger(folder / "sound.onnx")
    content = bytearray((folder / "sound.onnx").read_bytes())
    del content[data.draw(st.integers(0, len(content))) :]
    for position in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=6)):
        if content:
            content[position] = data.draw(st.integers(0, 255))
    (folder / "damaged.onnx").write_bytes(content)
    with contextlib.suppress(ValueError):
        assert isinstance(read_graph(folder / "damaged.onnx"), Graph)


def protobuf_length(length: int) -> bytes:
    digits = []
    while length > 0x7F:
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*digits, length])
