"""What a network costs: parameters, multiplications and seconds per megapixel, on this machine.

    python benchmarks/network_speed.py [MODEL.onnx] [--tiles 256 512 768] [--threads N] [--json]

The multiplications are those of the convolutions as the graph really runs them; counts and times
are of one pass over one level, and a photo costs 1 + 1/4 + 1/16 of it with three levels, plus the
halos of its tiles. Times are wall time, the median of several runs after one that does not count.
OpenVINO is measured too where it is installed, its precision demanded and then read back, since it
takes bf16 unasked on processors that have it. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from defocusfix.engines.cores import physical_cores
from defocusfix.engines.onnxruntime import OnnxRuntimeEngine
from defocusfix.network_spec import NetworkSpec
from defocusfix.restoration.restorer import model_file

FEWEST_RUNS, LEAST_SECONDS = 3, 2.0
COUNTED_SIDE = 128  # px of the pass in which multiplications are counted
PRECISIONS = {"fp32": "f32", "bf16": "bf16"}  # ours and OpenVINO's names
TELLING_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")

Inputs = dict[str, np.ndarray]
Pass = Callable[[], object]


@dataclass(frozen=True)
class Cost:
    """Time of one engine at one tile size."""

    engine: str
    precision: str
    tile: int
    seconds_per_mp: float
    runs: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", help="ONNX file [default: the bundled focusnet-s]")
    parser.add_argument("--tiles", type=int, nargs="+", default=[256, 512, 768], metavar="PX")
    parser.add_argument("--threads", type=int, default=physical_cores(), metavar="N")
    parser.add_argument("--json", action="store_true", help="write one JSON object instead")
    wanted = parser.parse_args()

    path = model_file(wanted.model)
    spec = OnnxRuntimeEngine(path, threads=1).spec
    model = onnx.load(path)
    facts = {
        "model": spec.name,
        "parameters": parameters(model),
        "gmac_per_mp": gmac_per_megapixel(model, spec),
        "levels": spec.levels,
        "processor": processor(),
        "threads": wanted.threads,
    }
    if not wanted.json:
        print(
            f"{spec.name}: {facts['parameters'] / 1e6:.2f} M parameters, "
            f"{facts['gmac_per_mp']:.1f} GMAC/MP per level"
        )
        print(f"{facts['processor']}, {wanted.threads} threads")
        print("engine                precision   tile   s/MP   GMAC/s")
    costs = []
    for cost in measured(path, spec, wanted.tiles, wanted.threads):
        costs.append(cost)
        if not wanted.json:
            rate = facts["gmac_per_mp"] / cost.seconds_per_mp
            print(
                f"{cost.engine:22}{cost.precision:9}{cost.tile:7d}"
                f"{cost.seconds_per_mp:7.3f}{rate:9.0f}",
                flush=True,
            )
    if wanted.json:
        print(json.dumps({**facts, "costs": [asdict(cost) for cost in costs]}, indent=2))


def parameters(model: onnx.ModelProto) -> int:
    """Weights and biases: arrays of floating-point numbers that stand in the file."""
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    arrays = (array for array in model.graph.initializer if array.data_type in floats)
    return sum(int(np.prod(array.dims)) for array in arrays if len(array.dims) > 0)


def gmac_per_megapixel(model: onnx.ModelProto, spec: NetworkSpec) -> float:
    """1e9 multiply-adds of all convolutions per 1e6 px of one level.

    Shapes are taken from a real pass, since shape inference does not see through every export.
    """
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    names = {name for node in layers for name in (node.input[0], node.input[1], node.output[0])}
    constants = {array.name: tuple(array.dims) for array in model.graph.initializer}
    seen = sorted(names - constants.keys() - {value.name for value in model.graph.input})
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in seen)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    inputs = tile_inputs(spec, COUNTED_SIDE)
    arrays = session.run(seen, inputs)
    shapes = constants | {name: array.shape for name, array in inputs.items()}
    shapes |= {name: array.shape for name, array in zip(seen, arrays, strict=True)}
    total = 0
    for node in layers:
        # Each weight meets every place of the output; of a transposed one, of the input.
        places = shapes[node.output[0] if node.op_type == "Conv" else node.input[0]]
        total += int(np.prod(places[2:])) * int(np.prod(shapes[node.input[1]]))
    return total / COUNTED_SIDE**2 * 1e6 / 1e9


def measured(path: Path, spec: NetworkSpec, tiles: list[int], threads: int) -> Iterator[Cost]:
    """One cost after the other, as they are measured."""
    session = OnnxRuntimeEngine(path, threads=threads)
    for tile in tiles:
        inputs = tile_inputs(spec, tile)
        yield cost_of(session.name, "fp32", tile, lambda inputs=inputs: session.run(inputs))
    for precision in PRECISIONS if has_openvino() else ():
        for tile in tiles:
            name, real, compute = openvino_pass(path, spec, tile, threads, precision)
            yield cost_of(name, real, tile, compute)


def cost_of(engine: str, precision: str, tile: int, compute: Pass) -> Cost:
    """The median of several runs; the first one, which prepares memory, does not count."""
    compute()
    seconds: list[float] = []
    while len(seconds) < FEWEST_RUNS or sum(seconds) < LEAST_SECONDS:
        start = time.perf_counter()
        compute()
        seconds.append(time.perf_counter() - start)
    per_megapixel = statistics.median(seconds) / tile**2 * 1e6
    return Cost(engine, precision, tile, per_megapixel, len(seconds))


def openvino_pass(
    path: Path, spec: NetworkSpec, tile: int, threads: int, precision: str
) -> tuple[str, str, Pass]:
    """Engine with its version, the precision it says it uses, and the pass to time."""
    import openvino

    inputs = tile_inputs(spec, tile)
    model = openvino.Core().read_model(path)
    model.reshape({name: list(array.shape) for name, array in inputs.items()})
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    real = {theirs: ours for ours, theirs in PRECISIONS.items()}.get(used, used)
    if real != precision:
        print(f"OpenVINO uses {real} where {precision} was asked for", file=sys.stderr)
    version = metadata.version("openvino")
    return f"openvino {version}", real, lambda: request.infer(inputs)


def has_openvino() -> bool:
    """Whether OpenVINO is installed; said aloud where it is not."""
    try:
        metadata.version("openvino")
    except metadata.PackageNotFoundError:
        print("openvino is not installed, so it is left out", file=sys.stderr)
        return False
    return True


def tile_inputs(spec: NetworkSpec, side: int) -> Inputs:
    """Noise for one tile; any values take equally long."""
    if side % spec.size_multiple:
        raise SystemExit(f"tiles of {spec.name} have multiples of {spec.size_multiple} px")
    rng = np.random.default_rng(0)
    shapes = {"image": (1, 3, side, side), "coarse": (1, 4, side // 2, side // 2)}
    return {name: rng.random(shapes[name], dtype=np.float32) for name in spec.inputs}


def processor() -> str:
    """The processor's name with those of its instruction sets that matter, as far as is known."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    entries = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    known = {key.strip(): value.strip() for key, value in entries.items()}
    flags = set(known.get("flags", known.get("Features", "")).split())
    name = known.get("model name", platform.machine())
    return f"{name} ({', '.join(flag for flag in TELLING_FLAGS if flag in flags) or 'plain'})"


if __name__ == "__main__":
    main()
