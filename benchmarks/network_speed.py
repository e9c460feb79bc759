"""What a network costs: parameters, multiplications and seconds per megapixel, on this machine.

    python benchmarks/network_speed.py [MODEL.onnx] [--tiles 256 512 768] [--threads N] [--torch]
                                       [--static] [--json]

The multiplications are those of the convolutions as the graph really runs them; counts and times
are of one pass over one level, and a photo costs 1 + 1/4 + 1/16 of it with three levels, plus the
halos of its tiles. Times are wall time, the median of several runs after one that does not count.
Every engine that works here is measured; with --static OpenVINO also compiled for each size of
tile, with the time that compiling takes, which `restore` does not do. Leave the machine alone
meanwhile. For whole photos, memory and the share of the matrix peak there is `defocusfix bench`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from defocusfix.engines.chip import abilities, processor_name
from defocusfix.engines.cores import physical_cores
from defocusfix.engines.model_file import read_spec
from defocusfix.engines.select import WAYS, Way, absence, open_way
from defocusfix.engines.work import multiplications_per_pixel
from defocusfix.errors import DeviceError, ModelError
from defocusfix.network_spec import NetworkSpec
from defocusfix.restoration.restorer import model_file

FEWEST_RUNS, LEAST_SECONDS = 3, 2.0
THEIR_NAMES = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}  # ours and OpenVINO's

Inputs = dict[str, np.ndarray]
Pass = Callable[[], object]


@dataclass(frozen=True)
class Cost:
    """Time of one engine at one tile size."""

    engine: str
    device: str
    precision: str
    tile: int
    seconds_per_mp: float
    runs: int
    seconds_to_compile: float | None = None
    """For a size of its own; None where one compilation serves all sizes."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", help="ONNX file [default: the bundled focusnet-s]")
    parser.add_argument("--tiles", type=int, nargs="+", default=[256, 512, 768], metavar="PX")
    parser.add_argument("--threads", type=int, default=physical_cores(), metavar="N")
    parser.add_argument("--torch", action="store_true", help="measure torch as well")
    parser.add_argument("--static", action="store_true", help="measure OpenVINO in both manners")
    parser.add_argument("--json", action="store_true", help="write one JSON object instead")
    wanted = parser.parse_args()

    path = model_file(wanted.model)
    spec = read_spec(path)
    if any(side % spec.size_multiple for side in wanted.tiles):
        parser.error(f"tiles of {spec.name} have multiples of {spec.size_multiple} px")
    facts = {
        "model": spec.name,
        "parameters": parameters(onnx.load(path)),
        "gmac_per_mp": multiplications_per_pixel(path) / 1e3,
        "levels": spec.levels,
        "processor": f"{processor_name()} ({', '.join(abilities()) or 'plain'})",
        "threads": wanted.threads,
    }
    if not wanted.json:
        print(
            f"{spec.name}: {facts['parameters'] / 1e6:.2f} M parameters, "
            f"{facts['gmac_per_mp']:.1f} GMAC/MP per level"
        )
        print(f"{facts['processor']}, {wanted.threads} threads")
        print("engine                device  precision   tile   s/MP   GMAC/s  s to compile")
    costs = []
    for cost in measured(path, spec, wanted):
        costs.append(cost)
        if not wanted.json:
            rate = facts["gmac_per_mp"] / cost.seconds_per_mp
            compiling = cost.seconds_to_compile
            print(
                f"{cost.engine:22}{cost.device:8}{cost.precision:9}{cost.tile:7d}"
                f"{cost.seconds_per_mp:7.3f}{rate:9.0f}"
                + ("" if compiling is None else f"{compiling:14.2f}"),
                flush=True,
            )
    if wanted.json:
        print(json.dumps({**facts, "costs": [asdict(cost) for cost in costs]}, indent=2))


def parameters(model: onnx.ModelProto) -> int:
    """Weights and biases: arrays of floating-point numbers that stand in the file."""
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    arrays = (array for array in model.graph.initializer if array.data_type in floats)
    return sum(int(np.prod(array.dims)) for array in arrays if len(array.dims) > 0)


def measured(path: Path, spec: NetworkSpec, wanted: argparse.Namespace) -> Iterator[Cost]:
    """One cost after the other, as they are measured."""
    for way in WAYS:
        if absence(way) is not None or (way.engine == "torch" and not wanted.torch):
            continue
        try:
            engine = open_way(path, way, threads=wanted.threads)
        except (DeviceError, ModelError):
            continue
        for tile in wanted.tiles:
            compute = partial(engine.run, tile_inputs(spec, tile))
            yield cost_of(engine.name, way, tile, compute)
        if way.engine == "openvino" and wanted.static:
            for tile in wanted.tiles:
                yield compiled_for_one_size(path, spec, way, tile, wanted.threads)


def cost_of(
    engine: str, way: Way, tile: int, compute: Pass, seconds_to_compile: float | None = None
) -> Cost:
    """The median of several runs; the first one, which prepares memory, does not count."""
    compute()
    seconds: list[float] = []
    while len(seconds) < FEWEST_RUNS or sum(seconds) < LEAST_SECONDS:
        start = time.perf_counter()
        compute()
        seconds.append(time.perf_counter() - start)
    per_megapixel = statistics.median(seconds) / tile**2 * 1e6
    return Cost(
        engine, way.device, way.precision, tile, per_megapixel, len(seconds), seconds_to_compile
    )


def compiled_for_one_size(path: Path, spec: NetworkSpec, way: Way, tile: int, threads: int) -> Cost:
    """OpenVINO with a graph for tiles of this size only."""
    import openvino

    inputs = tile_inputs(spec, tile)
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({name: list(array.shape) for name, array in inputs.items()})
    settings = {
        "INFERENCE_PRECISION_HINT": THEIR_NAMES[way.precision],
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    start = time.perf_counter()
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    compiling = time.perf_counter() - start
    return cost_of(
        "openvino, one size", way, tile, lambda: request.infer(inputs, share_inputs=True), compiling
    )


def tile_inputs(spec: NetworkSpec, side: int) -> Inputs:
    """Noise for one tile; any values take equally long."""
    rng = np.random.default_rng(0)
    shapes = spec.input_shapes(1, side, side)
    return {name: rng.random(shape, dtype=np.float32) for name, shape in shapes.items()}


if __name__ == "__main__":
    main()
