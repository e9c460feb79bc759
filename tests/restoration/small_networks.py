"""Networks of a few nodes, made as ONNX files, that keep to the contract of `network_spec`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from defocusfix.network_spec import NetworkSpec

HALO = 16  # three 3x3 convolutions at half size see 6 px, and up to 1 px more by the phase


def convolutions(path: Path, *, levels: int = 3, seed: int = 0, **facts: object) -> NetworkSpec:
    """Three convolutions at half size, as deep as the border effects and phases of a real one.

    Restored differs from the image by up to about 0.2, and all inputs matter.
    """
    rng = np.random.default_rng(seed)
    n_inputs = 12 if levels == 1 else 16
    channels = (n_inputs, 16, 16, 16)
    weights = []
    nodes = [helper.make_node("SpaceToDepth", ["image"], ["folded"], blocksize=2)]
    current = "folded"
    if levels > 1:
        nodes.append(helper.make_node("Concat", ["folded", "coarse"], ["features0"], axis=1))
        current = "features0"
    for number, (n_in, n_out) in enumerate(pairwise(channels), start=1):
        kernel = rng.normal(0, 0.35 / np.sqrt(n_in), (n_out, n_in, 3, 3)).astype(np.float32)
        bias = rng.normal(0, 0.2, n_out).astype(np.float32)
        weights += [
            numpy_helper.from_array(kernel, f"kernel{number}"),
            numpy_helper.from_array(bias, f"bias{number}"),
        ]
        nodes += [
            helper.make_node(
                "Conv",
                [current, f"kernel{number}", f"bias{number}"],
                [f"convolved{number}"],
                pads=[1, 1, 1, 1],
            ),
            helper.make_node("Tanh", [f"convolved{number}"], [f"features{number}"]),
        ]
        current = f"features{number}"
    weights += [
        numpy_helper.from_array(np.array([3, 1], np.int64), "sizes"),
        numpy_helper.from_array(np.array(0.2, np.float32), "little"),
        numpy_helper.from_array(np.array(5, np.float32), "pixels"),
    ]
    nodes += [
        helper.make_node("DepthToSpace", [current], ["unfolded"], blocksize=2),
        helper.make_node("Split", ["unfolded", "sizes"], ["colours", "blur"], axis=1),
        helper.make_node("Mul", ["colours", "little"], ["change"]),
        helper.make_node("Add", ["image", "change"], ["restored"]),
        helper.make_node("Abs", ["blur"], ["magnitude"]),
        helper.make_node("Mul", ["magnitude", "pixels"], ["radius_px"]),
    ]
    return _save(path, nodes, weights, levels=levels, halo=HALO, facts=facts)


def addition(
    path: Path, amount: float = 0.0, *, radius_px: float = 3.0, **facts: object
) -> NetworkSpec:
    """Restored is the image plus `amount`; the radius is the same everywhere."""
    weights = [
        numpy_helper.from_array(np.array(amount, np.float32), "amount"),
        numpy_helper.from_array(np.array(0, np.float32), "nothing"),
        numpy_helper.from_array(np.array(radius_px, np.float32), "radius"),
        numpy_helper.from_array(np.array([1, 2], np.int64), "sizes"),
    ]
    nodes = [
        helper.make_node("Add", ["image", "amount"], ["restored"]),
        helper.make_node("Split", ["image", "sizes"], ["red", "rest"], axis=1),
        helper.make_node("Mul", ["red", "nothing"], ["black"]),
        helper.make_node("Add", ["black", "radius"], ["radius_px"]),
    ]
    return _save(path, nodes, weights, levels=1, halo=0, facts=facts)


def image_to_restored(path: Path, **facts: object) -> NetworkSpec:
    """The simplest network there can be: one input, one output, no map; 1 minus the image."""
    weights = [numpy_helper.from_array(np.array(1, np.float32), "white")]
    nodes = [helper.make_node("Sub", ["white", "image"], ["restored"])]
    return _save(path, nodes, weights, levels=1, halo=0, facts={"outputs": ("restored",), **facts})


def of_two_views(path: Path, **facts: object) -> NetworkSpec:
    """The image plus 0.3 of what the right view has more than the left one, 3x3 px averaged.

    In that way, every input matters, and which of the views is which.
    """
    mean = np.zeros((3, 3, 3, 3), np.float32)
    mean[range(3), range(3)] = 0.3 / 9
    nodes = [
        helper.make_node("Sub", ["right", "left"], ["difference"]),
        helper.make_node("Conv", ["difference", "mean"], ["change"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["image", "change"], ["restored"]),
    ]
    facts = {"outputs": ("restored",), "views": ("right", "left"), **facts}
    weights = [numpy_helper.from_array(mean, "mean")]
    return _save(path, nodes, weights, levels=1, halo=1, facts=facts)


def of_a_stranger(
    path: Path,
    *,
    height: int | str = "height",
    width: int | str = "width",
    batch: int | str = 1,
    channels: int = 3,
    element_type: int = TensorProto.FLOAT,
    names: tuple[str, str] = ("lq", "output.1"),
) -> NetworkSpec:
    """Two 3x3 convolutions added to the image, by other names and without a description.

    Gives what would be written beside it.
    """
    kind = np.float16 if element_type == TensorProto.FLOAT16 else np.float32
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array((rng.normal(0, 0.1, (4, channels, 3, 3))).astype(kind), "first"),
        numpy_helper.from_array((rng.normal(0, 0.1, (channels, 4, 3, 3))).astype(kind), "second"),
    ]
    nodes = [
        helper.make_node("Conv", [names[0], "first"], ["features"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["features"], ["rectified"]),
        helper.make_node("Conv", ["rectified", "second"], ["change"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", [names[0], "change"], [names[1]]),
    ]
    shape = (batch, channels, height, width)
    ports = [helper.make_tensor_value_info(name, element_type, shape) for name in names]
    graph = helper.make_graph(nodes, "strange", ports[:1], ports[1:], weights)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return NetworkSpec(
        name="strange",
        architecture="other",
        size_multiple=16,
        halo=16,
        levels=1,
        outputs=("restored",),
    )


def division_by_zero(path: Path) -> NetworkSpec:
    """A network whose output is not a number wherever the image is black."""
    weights = [numpy_helper.from_array(np.array(0, np.float32), "nothing")]
    nodes = [
        helper.make_node("Mul", ["image", "nothing"], ["black"]),
        helper.make_node("Div", ["image", "black"], ["restored"]),
    ]
    return _save(path, nodes, weights, levels=1, halo=0, facts={"outputs": ("restored",)})


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: list[onnx.TensorProto],
    *,
    levels: int,
    halo: int,
    facts: dict[str, object],
) -> NetworkSpec:
    spec = NetworkSpec(
        **{
            "name": "small",
            "architecture": "test",
            "size_multiple": 16,
            "halo": halo,
            "levels": levels,
            **facts,
        }
    )
    sizes = {"image": (3, "H", "W"), "coarse": (4, "h", "w")}
    sizes |= {"right": (3, "H", "W"), "left": (3, "H", "W")}
    sizes |= {"restored": (3, "H", "W"), "radius_px": (1, "H", "W")}

    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ("B", *sizes[name]))

    graph = helper.make_graph(
        nodes,
        "small",
        [value(name) for name in spec.inputs],
        [value(name) for name in spec.outputs],
        weights,
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    helper.set_model_props(model, spec.to_metadata())
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return spec
