"""What an ONNX file says of its graph, read without the libraries that run it.

Those follow paths into other files as soon as they load one, so a file of a stranger is looked
through first.

Source: the messages of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from defocusfix.engines.protobuf import Field, Reader

Message = Literal["model", "graph", "node", "attribute", "function", "training", "sparse", "tensor"]

# Where tensors and nodes can be: which fields of a message hold which messages.
PARTS: dict[Message, dict[int, Message]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "training": {1: "graph", 2: "graph"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
DEEPEST = 100  # messages inside each other, the limit of the libraries

METADATA_PROPS, KEY, VALUE = 14, 1, 2
INITIALISERS, INPUTS, OUTPUTS = 5, 11, 12  # of a graph
NODE_OPERATOR = 4
TENSOR_NAME, EXTERNAL_DATA, DATA_LOCATION = 8, 13, 14
PORT_NAME, PORT_TYPE, TENSOR_TYPE, ELEMENT_TYPE, SHAPE, DIMENSION, SIZE = 1, 2, 1, 1, 2, 1, 1


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph."""

    name: str
    element_type: int | None
    """As ONNX numbers them, 1 for float32, 10 for float16; None if it is no tensor."""
    shape: tuple[int | None, ...] | None
    """None for a length that is free, and for a shape that is not told."""


@dataclass(slots=True)
class Graph:
    """What matters of a graph to those who run it."""

    inputs: list[Port] = field(default_factory=list)
    """Of the outermost graph, without weights that older files list there."""
    outputs: list[Port] = field(default_factory=list)
    operators: set[str] = field(default_factory=set)
    """Of all nodes, wherever they are."""
    data_files: set[str] = field(default_factory=set)
    """Paths of the files in which tensors lie, as they stand there; "" if one is missing."""


def read_metadata(file: BinaryIO) -> dict[str, str]:
    """The entries of `metadata_props`; everything else, as the graph, is passed over unread.

    Raises ValueError for a file that is damaged or of another kind.
    """
    reader = Reader(file)
    whole = reader.fields(0, reader.size)
    return dict(_entry(reader, part) for part in whole if part.number == METADATA_PROPS)


def read_graph(path: Path) -> Graph:
    """Look through a whole file; weights are passed over unread.

    Raises ValueError for a file that is damaged or of another kind, OSError if it cannot be read.
    """
    found = Graph()
    with path.open("rb") as file:
        reader = Reader(file)
        whole = Field(0, True, 0, reader.size)
        weights = _look_through(reader, whole, "model", found, depth=0)
        for part in reader.inside(whole):
            if PARTS["model"].get(part.number) != "graph":
                continue
            for inner in reader.inside(part):
                if inner.number == INPUTS:
                    found.inputs.append(_port(reader, inner))
                elif inner.number == OUTPUTS:
                    found.outputs.append(_port(reader, inner))
    found.inputs = [port for port in found.inputs if port.name not in weights]
    return found


def _look_through(
    reader: Reader, message: Field, kind: Message, found: Graph, depth: int
) -> set[str]:
    """Note operators and data files of a message and all in it; gives the names of its tensors."""
    if depth > DEEPEST:
        raise ValueError("its parts are nested too deeply")
    if kind == "tensor":
        return {_tensor(reader, message, found)}
    names: set[str] = set()
    for part in reader.inside(message):
        if kind == "node" and part.number == NODE_OPERATOR:
            found.operators.add(reader.text(part))
        inner = PARTS[kind].get(part.number)
        if inner is not None:
            of_part = _look_through(reader, part, inner, found, depth + 1)
            if inner in ("tensor", "sparse") or (kind, inner) == ("model", "graph"):
                names |= of_part
    return names


def _tensor(reader: Reader, message: Field, found: Graph) -> str:
    name, is_elsewhere, locations = "", False, []
    for part in reader.inside(message):
        if part.number == TENSOR_NAME:
            name = reader.text(part)
        elif part.number == DATA_LOCATION:
            is_elsewhere = is_elsewhere or part.has_length or part.value != 0
        elif part.number == EXTERNAL_DATA:
            key, value = _entry(reader, part)
            is_elsewhere = True
            if key == "location":
                locations.append(value)
    if is_elsewhere:
        found.data_files.update(locations or [""])
    return name


def _entry(reader: Reader, message: Field) -> tuple[str, str]:
    texts = {part.number: reader.text(part) for part in reader.inside(message)}
    return texts.get(KEY, ""), texts.get(VALUE, "")


def _port(reader: Reader, message: Field) -> Port:
    name, element_type, shape = "", None, None
    for part in reader.inside(message):
        if part.number == PORT_NAME:
            name = reader.text(part)
        elif part.number == PORT_TYPE:
            for tensor in _those(reader, part, TENSOR_TYPE):
                for fact in reader.inside(tensor):
                    if fact.number == ELEMENT_TYPE:
                        element_type = fact.value
                    elif fact.number == SHAPE:
                        shape = tuple(_size(reader, d) for d in _those(reader, fact, DIMENSION))
    return Port(name, element_type, shape)


def _size(reader: Reader, dimension: Field) -> int | None:
    """A length; None for one that is free, which exporters also write as 0 or below."""
    sizes = [part.value for part in _those(reader, dimension, SIZE) if not part.has_length]
    return sizes[-1] if sizes and 0 < sizes[-1] < 2**31 else None


def _those(reader: Reader, message: Field, number: int) -> Iterator[Field]:
    return (part for part in reader.inside(message) if part.number == number)
