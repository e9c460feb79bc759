"""One ONNX file from trained weights, with its facts inside and its agreement with torch proven.

The graph computes in float32. Weights are stored as float16, half the size, and widened when the
file is loaded (a Cast that engines fold away); `half=False` stores them as they are.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.export import Dim

from defocusfix.errors import InputError, ModelError, OutputError
from defocusfix.network_spec import RADIUS_UNKNOWN, NetworkSpec
from defocusfix.networks.build import BUILDERS, build_network
from defocusfix.training.weights import read_weights, weights_sha256

OPSET = 20
PARITY_LIMIT = 1e-4
PARITY_SIZES = ((1, 4, 6), (2, 7, 3), (1, 12, 10))  # batch, height, width; in size multiples
PARITY_LARGEST_RADIUS = 12.0  # px, of the radius maps that the check feeds in

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Parity:
    """Largest absolute differences at one size of input."""

    shape: tuple[int, int, int]
    """Batch, height and width in px."""
    engine: float
    """ONNX Runtime on the written file against torch with the same (rounded) weights."""
    rounding: float
    """ONNX Runtime on the written file against torch with the weights as trained."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    path: Path
    spec: NetworkSpec
    size: int
    """Of the file, in bytes."""
    parities: tuple[Parity, ...]


def find_weights(source: Path) -> Path:
    """The .safetensors file itself, or of a run folder the best one, or else the last.

    Raises InputError if there is none.
    """
    names = ("best.safetensors", "weights.safetensors")
    candidates = [source / name for name in names] if source.is_dir() else [source]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise InputError(
            f"there are no weights at {source}",
            why=f"{candidates[-1]} is not a file",
            fix="give a run folder",
        )
    return found


def load_network(path: Path) -> tuple[nn.Module, NetworkSpec]:
    """The network of a .safetensors file, in eval mode, and its facts.

    Raises ModelError where the file or its architecture is unknown, or they do not fit.
    """
    weights, spec = read_weights(path)
    if spec.architecture not in BUILDERS:
        raise ModelError(
            f"the architecture {spec.architecture!r} of {path} is unknown",
            why=f"known: {', '.join(sorted(BUILDERS))}",
        )
    network = build_network(spec.architecture).eval()
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"the weights {path} do not fit", why=str(error)) from error
    return network, spec


def load_mean(paths: Sequence[Path]) -> tuple[nn.Module, NetworkSpec]:
    """A network whose weights are the mean over files that began from the same ones.

    A file may be named several times and then counts as often. The facts are those of the first,
    with the largest halo. Raises ModelError as `load_network`, or where architectures differ.
    Source: Wortsman et al., Model soups (2022), the uniform soup.
    """
    loaded = [load_network(path) for path in paths]
    network, spec = loaded[0]
    if len(loaded) == 1:
        return network, spec
    for path, (_, other) in zip(paths, loaded, strict=True):
        if other.architecture != spec.architecture:
            raise ModelError(
                f"{path} cannot be averaged with {paths[0]}",
                why=f"one is {other.architecture}, the other {spec.architecture}",
            )
    states = [other.state_dict() for other, _ in loaded]
    weights = {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }
    network.load_state_dict(weights)
    halo = max(other.halo for _, other in loaded)
    return network, replace(spec, halo=halo, weights_sha256=weights_sha256(weights))


def export_onnx(
    network: nn.Module, spec: NetworkSpec, path: Path, *, half: bool = True, overwrite: bool = False
) -> Exported:
    """Write `network` to `path`, once ONNX Runtime has been shown to agree with torch.

    half: store weights as float16.
    Raises OutputError where `path` exists or cannot be written, ModelError where an output differs
    by more than PARITY_LIMIT or a weight does not fit into float16.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already", fix="another name, or --overwrite")
    model = traced(network, spec, half=half)
    if half:
        store_as_half(model, set(network.state_dict()))
    helper.set_model_props(model, spec.to_metadata())
    onnx.checker.check_model(model, full_check=True)
    parities = tuple(_parities(model, network, spec, half=half))
    worst = max(parity.engine for parity in parities)
    if not worst <= PARITY_LIMIT:
        raise ModelError(
            f"the exported network differs from the trained one by {worst:.2e}",
            why=f"more than {PARITY_LIMIT:.0e} is not accepted; nothing was written",
        )
    write_model(model, path)
    return Exported(path, spec, path.stat().st_size, parities)


def write_model(model: onnx.ModelProto, path: Path) -> None:
    """Write a file whole or not at all. Raises OutputError."""
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_bytes(model.SerializeToString())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}", why=str(error)) from error


def traced(network: nn.Module, spec: NetworkSpec, *, half: bool) -> onnx.ModelProto:
    """The float32 graph with free batch, height and width; its weights rounded to float16 if so.

    Raises ModelError where torch cannot export it, or it has other outputs than its facts say.
    """
    with _rounded_weights(network, half=half):  # the exporter computes ahead what it can
        return _traced(network, spec)


def _traced(network: nn.Module, spec: NetworkSpec) -> onnx.ModelProto:
    inputs = _inputs(spec, 2, 3, 4)
    batch, height, width = (Dim(name, min=2) for name in ("batch", "height", "width"))
    axes = {name: _free(batch, height, width, spec.size_multiple) for name in inputs}
    if "coarse" in inputs:
        axes["coarse"] = _free(batch, height, width, spec.size_multiple // 2)
    with _quiet_exporter():
        program = torch.onnx.export(
            network,
            tuple(torch.from_numpy(array) for array in inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(spec.outputs),
            dynamic_shapes=tuple(axes[name] for name in inputs),
            verbose=False,
        )
    if program is None:
        raise ModelError(f"torch {torch.__version__} could not export the network")
    model = program.model_proto
    if (found := len(model.graph.output)) != len(spec.outputs):
        raise ModelError(
            f"the network gives {found} outputs", why=f"its facts name {', '.join(spec.outputs)}"
        )
    for value in (*model.graph.node, model.graph):
        value.ClearField("metadata_props")  # traces of where in the source a node came from
    return model


def _free(batch: Dim, height: Dim, width: Dim, step: int) -> dict[int, Dim]:
    return {
        0: batch,
        2: height if step == 1 else step * height,
        3: width if step == 1 else step * width,
    }


def store_as_half(model: onnx.ModelProto, weights: set[str]) -> None:
    """Store the named initialisers as float16, each with a Cast to the float32 the graph uses.

    Raises ModelError for a weight that does not fit.
    """
    casts = []
    for tensor in model.graph.initializer:
        if tensor.name not in weights or tensor.data_type != TensorProto.FLOAT:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        if np.abs(values).max(initial=0) > np.finfo(np.float16).max:
            raise ModelError(f"the weight {name} is too large for float16", fix="--no-half")
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)


def _parities(
    model: onnx.ModelProto, network: nn.Module, spec: NetworkSpec, *, half: bool
) -> Iterator[Parity]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for batch, rows, columns in PARITY_SIZES:
        inputs = _inputs(spec, batch, rows, columns)
        found = session.run(list(spec.outputs), inputs)
        with _rounded_weights(network, half=half):
            engine = _largest_difference(found, _run(network, inputs))
        rounding = _largest_difference(found, _run(network, inputs))
        height, width = inputs["image"].shape[2:]
        yield Parity((batch, height, width), engine, rounding)


@contextlib.contextmanager
def _rounded_weights(network: nn.Module, *, half: bool) -> Iterator[None]:
    """Meanwhile `network` has the weights that are stored: rounded, if as float16."""
    trained = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    try:
        if half:
            network.load_state_dict({name: _rounded(t) for name, t in trained.items()})
        yield
    finally:
        network.load_state_dict(trained)


def _rounded(tensor: Tensor) -> Tensor:
    return tensor.half().to(tensor.dtype) if tensor.is_floating_point() else tensor


def _run(network: nn.Module, inputs: Mapping[str, NDArray[np.float32]]) -> list[np.ndarray]:
    with torch.no_grad():
        found = network(*(torch.from_numpy(array) for array in inputs.values()))
    return [output.numpy() for output in (found if isinstance(found, tuple) else (found,))]


def _largest_difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Infinite where the outputs are not of the same number and shapes."""
    if [a.shape for a in ours] != [b.shape for b in theirs]:
        return float("inf")
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))


def _inputs(spec: NetworkSpec, batch: int, rows: int, columns: int) -> Arrays:
    """Noise as pictures and, for a network with levels, what a coarser level might have said.

    rows, columns: size in multiples of spec.size_multiple. The first half of the coarse radius
    map, by its columns, is unknown.
    """
    rng = np.random.default_rng((batch, rows, columns))
    black, white = spec.value_range
    height, width = rows * spec.size_multiple, columns * spec.size_multiple
    inputs = {}
    for name, shape in spec.input_shapes(batch, height, width).items():
        if name != "coarse":
            inputs[name] = rng.uniform(black, white, shape).astype(np.float32)
            continue
        small = inputs["image"].reshape(batch, 3, height // 2, 2, width // 2, 2).mean((3, 5))
        radius = rng.uniform(0, PARITY_LARGEST_RADIUS, (batch, 1, *small.shape[2:]))
        radius[..., : small.shape[3] // 2] = RADIUS_UNKNOWN
        inputs[name] = np.concatenate([small, radius], axis=1).astype(np.float32)
    return inputs


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter warns of its own insides and of packages that we do not use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
