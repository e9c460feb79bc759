"""Graphs of others: what is checked before a library loads one, and how it is then called.

Our own exports go the same way; of them everything holds without being told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt

from defocusfix.engines.engine import FloatArray
from defocusfix.engines.facts import (
    BRING_AGAIN,
    Facts,
    check_unchanged,
    read_facts,
    write_facts_file,
)
from defocusfix.engines.model_file import MAKE_ONE, ONNX
from defocusfix.engines.onnx_graph import Graph, Port, read_graph
from defocusfix.errors import DeviceError, ModelError
from defocusfix.network_spec import VIEWS, NetworkSpec

ELEMENT_TYPES = {1: np.float32, 10: np.float16}  # as ONNX numbers them
CHANNELS = {"image": 3, "coarse": 4, **dict.fromkeys(VIEWS, 3), "restored": 3, "radius_px": 1}
# Nodes that stand for something prepared elsewhere, which a library reads from a path or takes as
# machine code.
OPAQUE_OPERATORS = frozenset({"EPContext"})


@dataclass(frozen=True, slots=True)
class Wiring:
    """How a graph is called in the words of a `NetworkSpec`."""

    inputs: dict[str, Port]
    """By the names in `spec.inputs`."""
    outputs: dict[str, str]
    """The graph's own names by those in `spec.outputs`."""

    @property
    def fixed_size(self) -> tuple[int | None, int | None]:
        """Height and width of the only image that the graph takes; None for those that are free."""
        shape = self.inputs["image"].shape
        return (None, None) if shape is None else (shape[2], shape[3])

    def fitted(self, spec: NetworkSpec) -> NetworkSpec:
        """`spec` with tiles of the size that the graph is made for, if it is made for one.

        What is smaller is mirrored up to that size, so it need not be a multiple of anything.
        """
        fixed = [side for side in self.fixed_size if side is not None]
        if not fixed:
            return spec
        takes_any = len(fixed) == 2 and spec.levels == 1
        return replace(spec, tile=min(fixed), size_multiple=1 if takes_any else spec.size_multiple)

    def feed(self, inputs: Mapping[str, FloatArray]) -> dict[str, npt.NDArray[Any]]:
        """Inputs by the graph's names and in its types.

        They are mirrored below and to the right up to the size that it is made for. Raises
        DeviceError if they are larger.
        """
        fed = {}
        for name, port in self.inputs.items():
            array: npt.NDArray[Any] = inputs[name]
            missing = _missing(array, port)
            if any(missing):
                array = np.pad(array, [(0, 0), (0, 0), *((0, n) for n in missing)], mode="reflect")
            fed[port.name] = array.astype(ELEMENT_TYPES[port.element_type or 1], copy=False)
        return fed

    def results(
        self, arrays: Mapping[str, npt.NDArray[Any]], inputs: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """Outputs by the names of the spec, float32 and of the size of the image that was given.

        Raises ModelError if they are no images of the size that was fed.
        """
        height, width = inputs["image"].shape[2:]
        rows, columns = (
            fixed or side for fixed, side in zip(self.fixed_size, (height, width), strict=True)
        )
        found = {}
        for name, theirs in self.outputs.items():
            array = arrays[theirs]
            if array.shape[1:] != (CHANNELS.get(name, 3), rows, columns):
                raise ModelError(
                    "the model gives something else than a restored picture",
                    why=f"its output {theirs!r} has the shape {array.shape}\n"
                    f"for a picture of {columns} x {rows} px",
                )
            found[name] = array[..., :height, :width].astype(np.float32, copy=False)
        return found


def checked_onnx(path: Path, spec: NetworkSpec, facts: Facts | None = None) -> Wiring:
    """Look through an ONNX file before any library loads it; gives how it is called.

    facts: what lies beside it, None if nothing does.
    Raises ModelError if the file is damaged, is not the one that its facts are about, has weights
    in files outside its folder, or lacks the inputs and outputs that `spec` names: by these names
    or those in its facts, or one of each.
    """
    check_unchanged(path, facts)
    graph = check_paths(path)
    told = (facts.graph_inputs, facts.graph_outputs) if facts else ((), ())
    try:
        inputs = _named("inputs", spec.inputs, graph.inputs, told[0])
        outputs = _named("outputs", spec.outputs, graph.outputs, told[1])
        for name, port in zip((*spec.inputs, *spec.outputs), (*inputs, *outputs), strict=True):
            _check_kind(name, port, may_be_untold=name in spec.outputs)
    except ValueError as error:
        if facts is not None:
            what, fix = f"{path.name} cannot be run as {spec.name}", BRING_AGAIN
        else:
            what = f"{path.name} does not keep to its own description"
            fix = "export it again with: defocusfix export RUN -o FILE.onnx"
        raise ModelError(what, why=str(error), fix=fix) from error
    return Wiring(
        inputs=dict(zip(spec.inputs, inputs, strict=True)),
        outputs=dict(zip(spec.outputs, (port.name for port in outputs), strict=True)),
    )


def open_wiring(path: Path, spec: NetworkSpec) -> Wiring:
    """`checked_onnx` with whatever facts lie beside the file."""
    return checked_onnx(path, spec, read_facts(path))


def check_paths(path: Path, *, fix: str = MAKE_ONE) -> Graph:
    """Look through any ONNX file; refuse one that leads a library out of its folder.

    fix: what to do about a file that is no graph.
    Raises ModelError if the file is damaged, names files outside its folder or files that are not
    there, or holds something that cannot be looked through.
    """
    try:
        graph = read_graph(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path.name} cannot be loaded", why=str(error), fix=fix) from error
    opaque = OPAQUE_OPERATORS & graph.operators
    if opaque:
        raise ModelError(
            f"{path.name} is not loaded",
            why=f"it holds {', '.join(sorted(opaque))}, whose content cannot be checked",
            fix="give the network as it was before it was compiled for a device",
        )
    for location in sorted(graph.data_files):
        refusal = _refusal(path.parent, location)
        if refusal:
            raise ModelError(
                f"{path.name} is not loaded",
                why=f"it has weights in the file {location!r}, {refusal}",
                fix="give the network as one file, or with its weights in the same folder",
            )
    return graph


def write_facts(path: Path, spec: NetworkSpec, sha256: str) -> Path:
    """Check a file of others and put its facts beside it, as `read_spec` finds them.

    sha256: that the file must have. Raises ModelError as `checked_onnx`, OutputError if the facts
    cannot be written.
    """
    facts = Facts(spec, sha256.lower())
    if path.suffix == ONNX:
        wiring = checked_onnx(path, spec, facts)
        inputs = tuple(port.name for port in wiring.inputs.values())
        facts = replace(facts, graph_inputs=inputs, graph_outputs=tuple(wiring.outputs.values()))
    else:
        check_unchanged(path, facts)
    return write_facts_file(path, facts)


def _missing(array: FloatArray, port: Port) -> tuple[int, int]:
    """Rows and columns by which an array is smaller than the size that a graph is made for."""
    if port.shape is None:
        return 0, 0
    (height, width), (rows, columns) = array.shape[2:], port.shape[2:]
    missing = (rows or height) - height, (columns or width) - width
    if min(missing) < 0:
        raise DeviceError(
            f"the model takes no tiles of {width} x {height} px",
            why=f"it is made for {columns or width} x {rows or height} px and no others",
            fix="leave --tile out",
        )
    return missing


def _named(
    kind: str, said: Sequence[str], found: Sequence[Port], told: Sequence[str]
) -> list[Port]:
    """The ports that the spec names `said`, in its order.

    told: the graph's names for them, if they are known. Raises ValueError if one is missing, or
    if an input is left over, which nobody would feed.
    """
    ports = {port.name: port for port in found}
    names = told or said
    if not told and len(said) == len(found) == 1:
        names = list(ports)
    is_whole = kind == "outputs" or len(names) == len(found)
    if len(names) != len(said) or not ports.keys() >= set(names) or not is_whole:
        raise ValueError(f"{kind} {', '.join(sorted(ports))} instead of {', '.join(names)}")
    return [ports[name] for name in names]


def _check_kind(name: str, port: Port, *, may_be_untold: bool) -> None:
    """Raise ValueError unless a port is a batch of images of the right kind."""
    channels = CHANNELS.get(name)
    if port.element_type not in ELEMENT_TYPES:
        raise ValueError(f"{port.name!r} is neither float32 nor float16")
    if port.shape is None and may_be_untold:
        return
    if port.shape is None or len(port.shape) != 4:
        raise ValueError(f"{port.name!r} is no batch of images: (batch, channels, height, width)")
    batch, found, *_ = port.shape
    if batch not in (None, 1):
        raise ValueError(f"{port.name!r} takes {batch} images at once, and only one will do")
    if None not in (channels, found) and channels != found:
        raise ValueError(f"{port.name!r} has {found} channels instead of {channels}")


def _refusal(folder: Path, location: str) -> str:
    """Why a graph may not have weights at `location`; empty if it may."""
    if not location:
        return "which it does not name"
    for flavour in (PurePosixPath(location), PureWindowsPath(location)):
        if flavour.anchor or ".." in flavour.parts:
            return "which is outside its folder"
    try:
        inside = folder.resolve(strict=True)
        file = (folder / location).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # ValueError: a NUL; RuntimeError: links in a ring
        return "which is not there"
    if not file.is_relative_to(inside):
        return "a link that leads out of its folder"
    return "" if file.is_file() else "which is no file"
