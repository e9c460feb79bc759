"""A large matrix product in each engine: the fastest that a device multiplies at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from defocusfix.engines.engine import FloatArray
from defocusfix.engines.select import Way, absence

SIDE_ON_CPU, SIDE_ON_GPU = 2048, 4096
TIMES_ON_GPU = 32  # so that moving the result to and fro weighs little

# Of the protocol buffer that an ONNX file is: numbers of fields, and types of what they hold.
VARINT, WITH_LENGTH = 0, 2
FLOAT, UINT8, INT8, INT32 = 1, 2, 3, 6
IR_VERSION, OPSET = 8, 17


@dataclass(frozen=True, slots=True)
class MatrixProduct:
    """A product that is ready to be timed."""

    run: Callable[[], object]
    """Computes it once, and returns when it is done."""
    operations: float
    """Multiplications and additions in one run."""


def matrix_product(way: Way, *, threads: int | None = None) -> MatrixProduct:
    """The product of square matrices, prepared in one engine. Raises DeviceError as it does."""
    if (refusal := absence(way)) is not None:
        raise refusal
    side, times = (SIDE_ON_CPU, 1) if way.device == "cpu" else (SIDE_ON_GPU, TIMES_ON_GPU)
    values = np.random.default_rng(0).standard_normal((2, side, side), dtype=np.float32)
    left, right = values[0], values[1] / np.float32(side**0.5)  # keeps the size of the numbers
    if way.precision == "int8":
        left, right = (
            (left.clip(0, 3) * 80).astype(np.uint8),
            (values[1] * 40).clip(-127, 127).astype(np.int8),
        )
    run: Callable[[], object]
    if way.engine == "onnxruntime":
        from defocusfix.engines.onnxruntime import load_session

        graph = whole_graph(right) if way.precision == "int8" else product_graph(right, times)
        session = load_session(graph, device=way.device, precision=way.precision, threads=threads)
        run = partial(session.run, None, {"left": left})
    elif way.engine == "openvino":
        from defocusfix.engines.openvino import compute, load_model

        model = load_model(product_graph(right, times), precision=way.precision, threads=threads)
        run = partial(compute, model.create_infer_request(), {"left": left})
    else:
        from defocusfix.engines.pytorch import product_in_torch

        run = product_in_torch(
            left, right, times, device=way.device, precision=way.precision, threads=threads
        )
    return MatrixProduct(run, 2.0 * side**3 * times)


def product_graph(right: FloatArray, times: int) -> bytes:
    """An ONNX file: `left` (N, N), multiplied by the constant `right` (N, N) again and again."""
    names = ["left", *(f"product{number}" for number in range(1, times + 1))]
    nodes = b"".join(_node("MatMul", before, after) for before, after in pairwise(names))
    return _file(nodes, right, FLOAT, (names[0], FLOAT), (names[-1], FLOAT))


def whole_graph(right: npt.NDArray[np.int8]) -> bytes:
    """An ONNX file: `left` (N, N) in unsigned 8 bits, multiplied by the constant `right` (N, N)."""
    nodes = _node("MatMulInteger", "left", "product")
    return _file(nodes, right, INT8, ("left", UINT8), ("product", INT32))


def _node(kind: str, before: str, after: str) -> bytes:
    return _text(1, _text(1, before) + _text(1, "right") + _text(2, after) + _text(4, kind))


def _file(
    nodes: bytes,
    right: npt.NDArray[np.generic],
    kind: int,
    left: tuple[str, int],
    product: tuple[str, int],
) -> bytes:
    """An ONNX file of square matrices; `left` and `product` with their types."""
    side = right.shape[0]
    shape = b"".join(_text(1, _number(1, side)) for _ in range(2))  # two dimensions

    def port(field: int, name: str, of: int) -> bytes:
        return _text(field, _text(1, name) + _text(2, _text(1, _number(1, of) + _text(2, shape))))

    graph = nodes + _text(2, "product")
    graph += _text(
        5, _number(1, side) * 2 + _number(2, kind) + _text(8, "right") + _text(9, right.tobytes())
    )
    graph += port(11, *left) + port(12, *product)
    opset = _text(1, "") + _number(2, OPSET)
    return _number(1, IR_VERSION) + _text(7, graph) + _text(8, opset)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | VARINT) + _varint(value)


def _text(field: int, content: str | bytes) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | WITH_LENGTH) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    digits = []
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
