"""How much a network computes: the multiplications of its convolutions, counted in a real pass."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import numpy as np

from defocusfix.engines.foreign import Wiring, open_wiring
from defocusfix.engines.model_file import ONNX, in_format, read_spec
from defocusfix.errors import ModelError
from defocusfix.network_spec import NetworkSpec

COUNTED_MULTIPLES = 8  # side of the pass, in the network's size multiple


def multiplications_per_pixel(path: Path) -> float:
    """Multiply-adds per pixel of `image`, of one pass over one level.

    path: a file of weights, or the safetensors file beside the ONNX file of the same weights. All
    shapes are those that ONNX Runtime reports of a pass, before it rearranges anything, since shape
    inference does not see through every export. Raises ModelError for a file that cannot be run.
    """
    graph = in_format(path, ONNX)
    if graph is None:
        raise ModelError(f"{path.name} holds no graph in which to count")
    spec = read_spec(graph)
    wiring = open_wiring(graph, spec)
    side = COUNTED_MULTIPLES * spec.size_multiple
    height, width = (fixed or side for fixed in wiring.fixed_size)
    total = 0
    for operation, inputs, outputs in _convolutions(graph, spec, wiring, height, width):
        # Each weight meets every place of the output; of a transposed one, of the input.
        places = outputs[0] if operation == "Conv" else inputs[0]
        total += math.prod(places[2:]) * math.prod(inputs[1])
    return total / (height * width)


def _convolutions(
    graph: Path, spec: NetworkSpec, wiring: Wiring, height: int, width: int
) -> list[tuple[str, list[list[int]], list[list[int]]]]:
    """Kind, input shapes and output shapes of every convolution, from a profiled pass."""
    import onnxruntime

    shapes = spec.input_shapes(1, height, width)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.enable_profiling = True
    # Of weights that it has laid out anew and let go of, it reports no shape.
    options.add_session_config_entry("session.disable_prepacking", "1")
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "pass")
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        inputs = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        session.run(None, wiring.feed(inputs))
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    nodes = [event["args"] for event in events if "op_name" in event.get("args", {})]
    return [
        (node["op_name"], _shapes(node["input_type_shape"]), _shapes(node["output_type_shape"]))
        for node in nodes
        if node["op_name"] in ("Conv", "ConvTranspose")
    ]


def _shapes(said: list[dict[str, list[int]]]) -> list[list[int]]:
    """[{"float": [1, 3, 8, 8]}, ...] -> [[1, 3, 8, 8], ...]."""
    return [shape for entry in said for shape in entry.values()]
