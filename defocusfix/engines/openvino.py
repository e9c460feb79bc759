"""OpenVINO on the CPU (extra): about as fast as ONNX Runtime in fp32, far faster in bf16.

The graph is compiled once, for any size. Compiled for each size of tile, of which a photo has a
dozen, it would be 5 % faster in bf16 and no faster in fp32, but each size would cost the time of
some twenty tiles of bf16 and more memory.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from defocusfix.engines.cores import physical_cores
from defocusfix.engines.engine import FloatArray, Precision
from defocusfix.engines.foreign import open_wiring
from defocusfix.engines.memory import first_line, loading_error, means_out_of_memory, tile_error
from defocusfix.engines.model_file import MAKE_ONE, read_spec
from defocusfix.errors import DeviceError, ModelError
from defocusfix.network_spec import NetworkSpec

# Nothing that this program does is told to anybody: without this package OpenVINO sends no figures
# on its use, starts no process for that and leaves no number in the home folder.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402

HINT = "INFERENCE_PRECISION_HINT"
THEIR_NAMES: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
CAPABILITIES: dict[Precision, str] = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16"}

# The binding makes its tables of element types when they are first needed, and lets other threads
# run meanwhile. Two threads whose first calls met there would wait for each other for ever (seen
# in 1 of 15 starts with 2026.4.1), so they are made here, where imports admit one thread only.
openvino.Tensor(np.zeros(1, np.float32)).data.copy()


class OpenVinoEngine:
    """One ONNX file with a `NetworkSpec` in its metadata or beside it, compiled for this processor.

    precision: demanded of OpenVINO and read back, since it takes bf16 or fp16 unasked. threads:
    None takes one per physical core.
    Raises ModelError if the file cannot be loaded or does not keep to its spec, DeviceError if the
    processor lacks the precision.
    """

    device = "cpu"

    def __init__(
        self, path: Path, *, precision: Precision = "fp32", threads: int | None = None
    ) -> None:
        spec = read_spec(path)
        self._wiring = open_wiring(path, spec)
        self.spec: NetworkSpec = self._wiring.fitted(spec)
        self.name = f"openvino {metadata.version('openvino')}"
        self.precision: Precision = precision
        self._load = partial(load_model, path, precision=precision, threads=threads)
        self._request: Any = self._load().create_infer_request()

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Compute one batch; see `Engine.run`."""
        fed = self._wiring.feed(inputs)
        arrays = {name: np.ascontiguousarray(array) for name, array in fed.items()}
        try:
            if self._request is None:
                self._request = self._load().create_infer_request()
            compute(self._request, arrays)
        except (RuntimeError, MemoryError) as error:
            # Some layers are now prepared for this tile and some for the one before.
            self._request = None
            raise tile_error(error, inputs, engine=self.name, device=self.device) from error
        # The next tile is written where this one's result stands, so it is copied.
        names = self._wiring.outputs.values()
        found = {name: self._request.get_tensor(name).data.copy() for name in names}
        return self._wiring.results(found, inputs)


def load_model(graph: Path | bytes, *, precision: Precision, threads: int | None = None) -> Any:
    """An `openvino.CompiledModel` of any ONNX graph, really in `precision`.

    Raises ModelError if it cannot be loaded, DeviceError if the processor lacks the precision.
    """
    core = _core()
    if CAPABILITIES[precision] not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise _precision_missing(precision, "this processor has no such arithmetic")
    settings = {
        HINT: THEIR_NAMES[precision],
        "INFERENCE_NUM_THREADS": threads or physical_cores(),
        "PERFORMANCE_HINT": "LATENCY",  # one tile at a time, with all threads
        # Bound to cores, threads of two networks meet on one while another idles, and those of one
        # network wait for whatever else runs there: beside a busy program 1.7 to 5 times slower.
        "ENABLE_CPU_PINNING": False,
    }
    try:
        compiled = core.compile_model(core.read_model(graph), "CPU", settings)
    except (RuntimeError, MemoryError, ValueError) as error:  # ValueError: as in `onnxruntime`
        if means_out_of_memory(error):
            raise loading_error(error, engine="openvino", device="cpu") from error
        name = "the graph" if isinstance(graph, bytes) else graph.name
        raise ModelError(f"{name} cannot be loaded", why=first_line(error), fix=MAKE_ONE) from error
    used = compiled.get_property(HINT).get_type_name()
    if used != THEIR_NAMES[precision]:
        raise _precision_missing(precision, f"it would compute in {used}")
    return compiled


def compute(request: Any, inputs: Mapping[str, FloatArray]) -> None:
    """Run a request, which keeps its results. Raises RuntimeError where it cannot."""
    # Not `infer`: where memory runs out, that returns as if all were well, with the results of
    # the call before.
    request.start_async(dict(inputs), share_inputs=True)
    request.wait()


@cache
def _core() -> openvino.Core:
    """The only core of this process, which keeps the processor's plugin loaded to the end.

    The plugin gives the thread that loads it another stack for signal handlers, and takes it away
    from whichever thread lets go of it last. Were that another one, the first thread's next signal,
    such as Ctrl-C, would end the process in a segmentation fault.
    """
    return openvino.Core()


def _precision_missing(precision: Precision, reason: str) -> DeviceError:
    return DeviceError(
        f"--precision {precision} was asked for, but OpenVINO cannot have it here",
        why=f"openvino {metadata.version('openvino')}: {reason}",
        fix="use --precision auto or fp32",
    )
