"""A graph whose larger residual blocks multiply in 8 bits, for processors that sum such products.

Both 3x3 convolutions of a block x + conv(relu(conv(x))) take and give unsigned 8-bit numbers and
have signed 8-bit weights; the sum of a block, everything narrower, and the map stay in float32, so
that errors do not pile up and the map is the same. One step holds for all channels of a tensor, but
channels differ tenfold in range: each is first divided by its own largest value, which costs
nothing, since the convolution on either side takes the factor into its weights. Ranges come from
rendered scenes; values beyond `SHARE_OF_RANGE` of the largest are cut off, which costs the rare
ones less than finer steps bring the others.

Source: static quantisation, Jacob et al., arXiv 1712.05877; factors between channels that the
weights take over, Nagel et al., Data-Free Quantization, ICCV 2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

from defocusfix.errors import ModelError, OutputError
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks.focusnet import FocusNet
from defocusfix.networks.pyramid import restore_levels
from defocusfix.rendering.pair import rendered_pair
from defocusfix.training.export import store_as_half, traced, write_model

FEWEST_CHANNELS = 128  # with 64 it would be faster, but roundings would show where tiles meet
LEFT_ALONE = "map."  # the branch whose radii decide on everything
SHARE_OF_RANGE = 0.8
LEAST_RANGE = 1e-3
SCENES, TRIED, SCENE_PX, SEED = 48, 16, 256, 8
DIFFERENCE_LIMIT = 0.1
CENTRE = 128  # what 8 bits call zero, where values have both signs

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Inputs = dict[str, Floats]


@dataclass(frozen=True, slots=True)
class Range:
    """Of every channel of a tensor, (C,)."""

    least: Floats
    largest: Floats

    @property
    def magnitude(self) -> Floats:
        """Largest distance from zero that is kept, never nothing."""
        seen = np.maximum(-self.least, self.largest)
        return np.maximum(seen * np.float32(SHARE_OF_RANGE), np.float32(LEAST_RANGE))

    def with_also(self, other: Range) -> Range:
        """What holds both."""
        return Range(np.minimum(self.least, other.least), np.maximum(self.largest, other.largest))


@dataclass(frozen=True, slots=True)
class Block:
    """Nodes of a residual block."""

    name: str
    expand: onnx.NodeProto
    relu: onnx.NodeProto
    project: onnx.NodeProto

    @property
    def tensors(self) -> tuple[str, str, str]:
        """Names of what enters, of what lies between the convolutions, and of what is added."""
        return self.expand.input[0], self.relu.output[0], self.project.output[0]


@dataclass(frozen=True, slots=True)
class InEightBits:
    """What was written."""

    path: Path
    size: int
    """Of the file, in bytes."""
    blocks: int
    """How many blocks compute in 8 bits."""
    difference: float
    """From the float32 graph on scenes not used for the ranges, as a share of what that changes in
    them; root mean square."""


def export_int8(
    network: nn.Module, spec: NetworkSpec, path: Path, *, overwrite: bool = False
) -> InEightBits:
    """Write `network` to `path` in 8 bits, once it has been shown to restore nearly the same.

    That needs a processor whose sums of 8-bit products do not overflow.
    Raises OutputError where `path` exists or cannot be written, ModelError where the network has no
    blocks wide enough or is no FocusNet, or the results differ by more than DIFFERENCE_LIMIT.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already", fix="another name, or --overwrite")
    model = traced(network, spec, half=True)
    blocks = list(residual_blocks(model)) if isinstance(network, FocusNet) else []
    if not blocks:
        raise ModelError(
            f"{spec.name} gains nothing from 8 bits",
            why=f"it is no FocusNet with residual blocks of {FEWEST_CHANNELS} or more channels",
            fix="leave --int8 out",
        )
    calls = rendered_calls(network, spec, SCENES + TRIED)
    n_known = len(calls) * SCENES // (SCENES + TRIED)
    small = quantised(model, blocks, ranges(model, blocks, calls[:n_known]))
    store_as_half(small, set(network.state_dict()))
    helper.set_model_props(small, replace(spec, arithmetic="int8").to_metadata())
    onnx.checker.check_model(small, full_check=True)
    difference = _difference(model, small, calls[n_known:])
    if not difference <= DIFFERENCE_LIMIT:
        raise ModelError(
            f"in 8 bits the results differ by {difference:.1%} of what the network changes",
            why=f"more than {DIFFERENCE_LIMIT:.0%} is not accepted; nothing was written",
            fix="leave --int8 out",
        )
    write_model(small, path)
    return InEightBits(path, path.stat().st_size, len(blocks), difference)


@torch.no_grad()
def rendered_calls(network: nn.Module, spec: NetworkSpec, scenes: int) -> list[Inputs]:
    """The inputs of every call that restoring rendered scenes of random textures takes."""
    calls: list[Inputs] = []

    def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        calls.append({name: t.numpy().copy() for name, t in zip(spec.inputs, given, strict=True)})

    hook = network.register_forward_pre_hook(note)
    try:
        for number in range(scenes):
            pixels = torch.from_numpy(rendered_pair(None, SEED, SCENE_PX, number).blurred)
            photo = pixels.permute(2, 0, 1)[None].float() / 255
            if spec.levels > 1:
                restore_levels(network, photo, spec.levels)
            else:
                network(*[photo] * len(spec.inputs))
    finally:
        hook.remove()
    return calls


def residual_blocks(model: onnx.ModelProto) -> Iterator[Block]:
    """Blocks x + conv(relu(conv(x))) of 3x3 convolutions that are wide enough to gain."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    takers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            takers.setdefault(name, []).append(node)

    def only_taker(name: str, kind: str) -> onnx.NodeProto | None:
        found = takers.get(name, [])
        return found[0] if len(found) == 1 and found[0].op_type == kind else None

    for node in model.graph.node:
        if not _is_wide(node, shapes) or node.input[1].startswith(LEFT_ALONE):
            continue
        relu = only_taker(node.output[0], "Relu")
        project = None if relu is None else only_taker(relu.output[0], "Conv")
        if relu is None or project is None or shapes[project.input[1]][2:] != (3, 3):
            continue
        total = only_taker(project.output[0], "Add")
        if total is not None and node.input[0] in total.input:
            yield Block(node.input[1].removesuffix(".expand.weight"), node, relu, project)


def ranges(
    model: onnx.ModelProto, blocks: Sequence[Block], calls: Sequence[Inputs]
) -> dict[str, Range]:
    """What the tensors of blocks range over in these calls."""
    names = list(dict.fromkeys(name for block in blocks for name in block.tensors))
    told = onnx.ModelProto()
    told.CopyFrom(model)
    told.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = _session(told)
    found: dict[str, Range] = {}
    for call in calls:
        for name, values in zip(names, session.run(names, call), strict=True):
            seen = Range(values.min(axis=(0, 2, 3)), values.max(axis=(0, 2, 3)))
            found[name] = seen.with_also(found[name]) if name in found else seen
    return found


def quantised(
    model: onnx.ModelProto, blocks: Sequence[Block], found: Mapping[str, Range]
) -> onnx.ModelProto:
    """A copy of `model` in which `blocks` compute in 8 bits. found: ranges of their tensors."""
    small = onnx.ModelProto()
    small.CopyFrom(model)
    weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    instead: dict[str, list[onnx.NodeProto]] = {}
    for block in blocks:
        nodes, constants = _in_eight_bits(block, weights, found)
        instead |= {block.expand.output[0]: nodes, block.relu.output[0]: []}
        instead[block.project.output[0]] = []
        small.graph.initializer.extend(constants)
    kept = [new for old in model.graph.node for new in instead.get(old.output[0], [old])]
    used = {name for node in kept for name in node.input}
    initialisers = [t for t in small.graph.initializer if t.name in used]
    small.graph.ClearField("node")
    small.graph.ClearField("initializer")
    small.graph.node.extend(kept)
    small.graph.initializer.extend(initialisers)
    small.graph.ClearField("value_info")  # tells of tensors that are gone
    return small


def _in_eight_bits(
    block: Block, weights: Mapping[str, Floats], found: Mapping[str, Range]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes of a block and their constants."""
    entering, between, added = (found[name].magnitude for name in block.tensors)
    added_step = np.float32(added.max() / 127)
    expand, expand_bias = _weights_of(block.expand, weights)
    project, project_bias = _weights_of(block.project, weights)
    # Every channel that enters has its own step, `entering / 127`, and every channel between the
    # convolutions ranges to 1 in steps of 1 / 255.
    expand = expand * (entering / 127)[None, :, None, None] / between[:, None, None, None]
    project = project * between[None, :, None, None]
    expand_8, expand_steps = _in_steps(expand)
    project_8, project_steps = _in_steps(project)
    fine = np.float32(1 / 255)
    constants = {
        "in.step": (entering / 127).astype(np.float32),
        "in.zero": np.full(len(entering), CENTRE, np.uint8),
        "one": np.float32(1),
        "centre": np.uint8(CENTRE),
        "zero": np.uint8(0),
        "expand.weight": expand_8,
        "expand.step": expand_steps,
        "expand.zero": np.zeros(len(expand_steps), np.int8),
        "expand.bias": _whole(expand_bias / between / expand_steps),
        "between.step": fine,
        "project.weight": project_8,
        "project.step": project_steps,
        "project.zero": np.zeros(len(project_steps), np.int8),
        "project.bias": _whole(project_bias / (project_steps * fine)),
        "out.step": added_step,
    }
    names = {key: f"{block.name}.int8.{key}" for key in (*constants, "in", "between", "out")}

    def node(kind: str, inputs: str, output: str, **facts: Any) -> onnx.NodeProto:
        return helper.make_node(kind, [names.get(i, i) for i in inputs.split()], [output], **facts)

    x, _, result = block.tensors
    padded = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    nodes = [
        node("QuantizeLinear", f"{x} in.step in.zero", names["in"], axis=1),
        node(
            "QLinearConv",
            "in one centre expand.weight expand.step expand.zero between.step zero expand.bias",
            names["between"],  # whose zero is the least it can hold: the ReLU
            **padded,
        ),
        node(
            "QLinearConv",
            "between between.step zero project.weight project.step project.zero out.step centre "
            "project.bias",
            names["out"],
            **padded,
        ),
        node("DequantizeLinear", "out out.step centre", result),
    ]
    tensors = [numpy_helper.from_array(np.asarray(v), names[key]) for key, v in constants.items()]
    return nodes, tensors


def _is_wide(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    if node.op_type != "Conv" or node.input[1] not in shapes:
        return False
    _, channels, *kernel = shapes[node.input[1]]
    return kernel == [3, 3] and channels >= FEWEST_CHANNELS


def _weights_of(node: onnx.NodeProto, weights: Mapping[str, Floats]) -> tuple[Doubles, Doubles]:
    """Weight and bias of a convolution; the exporter leaves a bias of zeros out."""
    weight = weights[node.input[1]].astype(np.float64)
    has_bias = len(node.input) > 2
    bias = weights[node.input[2]].astype(np.float64) if has_bias else np.zeros(len(weight))
    return weight, bias


def _in_steps(weight: Doubles) -> tuple[NDArray[np.int8], Floats]:
    """8-bit weights (out, in, 3, 3) and the step of each output channel."""
    steps = np.maximum(np.abs(weight).max(axis=(1, 2, 3)), 1e-9) / 127
    whole = np.rint(weight / steps[:, None, None, None])
    return whole.astype(np.int8), steps.astype(np.float32)


def _whole(values: Doubles) -> NDArray[np.int32]:
    limits = np.iinfo(np.int32)
    return np.rint(values).clip(limits.min, limits.max).astype(np.int32)


def _difference(exact: onnx.ModelProto, small: onnx.ModelProto, calls: Sequence[Inputs]) -> float:
    sessions = _session(exact), _session(small)
    error = change = 0.0
    for call in calls:
        wanted, found = (session.run(["restored"], call)[0] for session in sessions)
        error += float(np.square(found - wanted).sum())
        change += float(np.square(wanted - call["image"]).sum())
    return float(np.sqrt(error / max(change, 1e-12)))


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
