"""Graphs of a few nodes that measure, or fail to measure, how far two images are apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto, helper

IMAGE = ("B", 3, "H", "W")


def mean_square(path: Path, *, size: tuple[object, ...] = IMAGE) -> None:
    """Mean squared difference in the graph's own range, four times that of [0, 1]."""
    nodes = [
        helper.make_node("Sub", ["first", "second"], ["difference"]),
        helper.make_node("Mul", ["difference", "difference"], ["square"]),
        helper.make_node("ReduceMean", ["square"], ["distance"], keepdims=1),
    ]
    save(path, nodes, ["first", "second"], ["distance"], size)


def difference(path: Path) -> None:
    """A whole image comes out instead of one number."""
    nodes = [helper.make_node("Sub", ["first", "second"], ["distance"])]
    save(path, nodes, ["first", "second"], ["distance"])


def product(path: Path) -> None:
    """One number, but not 0 for equal images."""
    nodes = [
        helper.make_node("Mul", ["first", "second"], ["products"]),
        helper.make_node("ReduceMean", ["products"], ["distance"], keepdims=0),
    ]
    save(path, nodes, ["first", "second"], ["distance"])


def first_with_itself(path: Path) -> None:
    """What an export makes of a distance that was traced with one tensor in both places."""
    nodes = [
        helper.make_node("Sub", ["first", "first"], ["difference"]),
        helper.make_node("ReduceMean", ["difference"], ["distance"], keepdims=0),
    ]
    save(path, nodes, ["first", "second"], ["distance"])


def brightness(path: Path) -> None:
    """Of one image only."""
    nodes = [helper.make_node("ReduceMean", ["first"], ["distance"], keepdims=0)]
    save(path, nodes, ["first"], ["distance"])


def save(
    path: Path,
    nodes: Sequence[NodeProto],
    inputs: Sequence[str],
    outputs: Sequence[str],
    size: tuple[object, ...] = IMAGE,
) -> None:
    images = [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name in inputs]
    numbers = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "distance", images, numbers)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, path)
