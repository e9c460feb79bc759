"""ONNX Runtime on the CPU or on a device it has a part for: the engine of every installation."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime

from defocusfix.engines.cores import is_rationed, physical_cores
from defocusfix.engines.engine import FloatArray, Precision
from defocusfix.engines.foreign import open_wiring
from defocusfix.engines.memory import (
    first_line,
    loading_error,
    means_out_of_memory,
    tile_error,
)
from defocusfix.engines.model_file import MAKE_ONE, read_spec
from defocusfix.errors import DeviceError, ModelError
from defocusfix.network_spec import NetworkSpec

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
# What ONNX Runtime calls the part for each device, followed by those that do what it cannot.
PROVIDERS = {
    "cpu": (CPU,),
    "cuda": (CUDA, CPU),
    "tensorrt": ("TensorrtExecutionProvider", CUDA, CPU),
    "coreml": ("CoreMLExecutionProvider", CPU),
    "directml": ("DmlExecutionProvider", CPU),
}
FIXES = {
    "cuda": "use --device auto or cpu, or install the NVIDIA driver and CUDA 13 with cuDNN 9",
    "tensorrt": "use --device cuda, or install TensorRT 10: pip install tensorrt-cu13",
    "coreml": "use --device auto or cpu; CoreML is a part of macOS",
    "directml": "use --device auto or cpu; on Windows: pip uninstall onnxruntime-gpu, then "
    "pip install onnxruntime-directml",
}
FATAL_ONLY = 4


class OnnxRuntimeEngine:
    """One ONNX file with a `NetworkSpec` in its metadata or beside it, loaded on one device.

    device: a key of `PROVIDERS`. precision: fp32, or int8 for a file that computes in it; TensorRT
    alone has others. threads: of the CPU;
    None takes one per physical core.
    Raises ModelError if the file cannot be loaded or does not keep to its spec, DeviceError if
    `device` is not to be had: a session that quietly fell back to the CPU is never used.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
        threads: int | None = None,
    ) -> None:
        spec = read_spec(path)
        self._wiring = open_wiring(path, spec)
        self.spec: NetworkSpec = self._wiring.fitted(spec)
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self.device = "cuda:0" if device == "cuda" else device
        self.precision: Precision = precision
        self._session = load_session(path, device=device, precision=precision, threads=threads)

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Compute one batch; see `Engine.run`."""
        names = list(self._wiring.outputs.values())
        fed = self._wiring.feed(inputs)
        try:
            arrays = self._session.run(names, fed)
        except runtime_errors() as error:
            raise tile_error(error, inputs, engine=self.name, device=self.device) from error
        return self._wiring.results(dict(zip(names, arrays, strict=True)), inputs)


def load_session(
    graph: Path | bytes,
    *,
    device: str = "cpu",
    precision: Precision = "fp32",
    threads: int | None = None,
    fix: str = MAKE_ONE,
) -> Any:
    """An `onnxruntime.InferenceSession` of any graph, really on `device`.

    device, precision and threads as in the class above. fix: what to do about a file that is no
    graph. Raises ModelError for it, DeviceError if the device is not to be had.
    """
    options = _options(threads)
    providers = PROVIDERS[device]
    if device != "cpu":
        if providers[0] not in onnxruntime.get_available_providers():
            raise device_missing(device, f"this build has no {providers[0]}")
        # What is missing is said by us, once.
        onnxruntime.set_default_logger_severity(FATAL_ONLY)
    if CUDA in providers:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            onnxruntime.preload_dlls()
    settings = [(name, _settings(name, precision)) for name in providers]
    # ValueError: an error whose own message cannot be decoded, as of a damaged file.
    failures: tuple[type[Exception], ...] = (*load_errors(), MemoryError, RuntimeError, ValueError)
    try:
        session = onnxruntime.InferenceSession(
            graph if isinstance(graph, bytes) else os.fspath(graph),
            options,
            providers=settings,
            enable_fallback=0,  # it would print, and go on without the device
        )
    except failures as error:
        if means_out_of_memory(error):
            raise loading_error(error, engine="onnxruntime", device=device) from error
        why = first_line(error)
        if device != "cpu":  # the file may be sound: the CPU will tell
            raise device_missing(device, why) from error
        name = "the graph" if isinstance(graph, bytes) else graph.name
        raise ModelError(f"{name} cannot be loaded", why=why, fix=fix) from error
    # What was asked for proves nothing; only the finished session tells.
    if session.get_providers()[0] != providers[0]:
        raise device_missing(device, "its part for this could not be loaded; it fell back")
    return session


def device_missing(device: str, reason: str) -> DeviceError:
    """The error for a demand of `device` that cannot be met."""
    return DeviceError(
        f"--device {device} was asked for, but is not usable here",
        why=f"onnxruntime {onnxruntime.__version__}: {reason}",
        fix=FIXES[device],
    )


def runtime_errors() -> tuple[type[Exception], ...]:
    """What a session raises when it cannot compute, as for lack of memory."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    return (state.RuntimeException, state.Fail, state.EPFail, MemoryError)


def load_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises for a file that is no graph, or one that contradicts itself."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    return (
        state.Fail,
        state.EPFail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    )


def _options(threads: int | None) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads or physical_cores()
    options.inter_op_num_threads = 1
    # Plans of memory are kept for every size of tile: a third more memory, and no faster. The
    # arena itself saves both time and memory.
    options.enable_mem_pattern = False
    if is_rationed():  # threads that wait by spinning use up what other work is granted
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = FATAL_ONLY  # errors are raised as well
    return options


def _settings(provider: str, precision: Precision) -> dict[str, str]:
    """Options under which a provider computes in `precision`, which it may not do unasked."""
    if provider == CUDA:
        return {"use_tf32": "0"}  # ten bits of mantissa are not fp32
    if provider == "CoreMLExecutionProvider":
        return {"ModelFormat": "MLProgram"}  # the older format computes in fp16
    if provider == "TensorrtExecutionProvider":
        if precision == "fp32":
            os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # it has no option for this
        return {
            "trt_fp16_enable": str(int(precision == "fp16")),
            "trt_bf16_enable": str(int(precision == "bf16")),
        }
    return {}
