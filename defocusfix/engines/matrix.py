"""A large matrix product in each engine: the fastest that a device multiplies at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from defocusfix.engines.engine import FloatArray
from defocusfix.engines.select import Way, absence

SIDE_ON_CPU, SIDE_ON_GPU = 2048, 4096
TIMES_ON_GPU = 32  # so that moving the result to and fro weighs little

# Of the protocol buffer that an ONNX file is: numbers of fields, and types of what they hold.
VARINT, WITH_LENGTH = 0, 2
FLOAT = 1
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
    run: Callable[[], object]
    if way.engine == "onnxruntime":
        from defocusfix.engines.onnxruntime import load_session

        session = load_session(
            product_graph(right, times), device=way.device, precision=way.precision, threads=threads
        )
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
    side = right.shape[0]
    names = ["left", *(f"product{number}" for number in range(1, times + 1))]
    shape = b"".join(_text(1, _number(1, side)) for _ in range(2))  # two dimensions
    of_floats = _text(1, _number(1, FLOAT) + _text(2, shape))
    graph = b"".join(
        _text(1, _text(1, before) + _text(1, "right") + _text(2, after) + _text(4, "MatMul"))
        for before, after in pairwise(names)
    )
    graph += _text(2, "product")
    graph += _text(
        5,
        _number(1, side) * 2 + _number(2, FLOAT) + _text(8, "right") + _text(9, right.tobytes()),
    )
    graph += _text(11, _text(1, names[0]) + _text(2, of_floats))
    graph += _text(12, _text(1, names[-1]) + _text(2, of_floats))
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
