"""ONNX Runtime on the CPU or on a CUDA device: the engine that every installation has."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime

from defocusfix.engines.cores import physical_cores
from defocusfix.engines.engine import FloatArray
from defocusfix.errors import DeviceError, ModelError
from defocusfix.network_spec import NetworkSpec

MAKE_ONE = "give an ONNX file made by: defocusfix export RUN -o FILE.onnx"
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
ERRORS_ONLY, FATAL_ONLY = 3, 4


class OnnxRuntimeEngine:
    """One ONNX file with a `NetworkSpec` in its metadata, loaded on one device.

    device: `cpu` or `cuda`. threads: of the CPU; None takes one per physical core.
    Raises ModelError if the file cannot be loaded or does not keep to its spec, DeviceError if
    `device` is not to be had: a session that quietly fell back to the CPU is never used.
    """

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None) -> None:
        session = load_session(path, device=device, threads=threads)
        # What was asked for proves nothing; only the finished session tells.
        if device == "cuda" and session.get_providers()[0] != CUDA:
            raise cuda_missing("ONNX Runtime could not load its CUDA part and fell back to the CPU")
        self.spec = NetworkSpec.from_metadata(session.get_modelmeta().custom_metadata_map)
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self.device = "cuda:0" if device == "cuda" else "cpu"
        self._session = session
        _check_names(path, session, self.spec)

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Compute one batch; see `Engine.run`."""
        try:
            arrays = self._session.run(list(self.spec.outputs), dict(inputs))
        except runtime_errors() as error:
            raise DeviceError(
                f"{self.name} could not compute a tile on {self.device}",
                why=str(error).strip().splitlines()[0],
                fix="if memory ran out, use a smaller --tile, or --device cpu",
            ) from error
        return dict(zip(self.spec.outputs, arrays, strict=True))


def cuda_missing(reason: str) -> DeviceError:
    """The error for a demand of CUDA that cannot be met."""
    return DeviceError(
        "--device cuda was asked for, but no CUDA device is usable",
        why=f"onnxruntime {onnxruntime.__version__}: {reason}",
        fix="use --device auto or cpu, or install the NVIDIA driver and CUDA 13 with cuDNN 9",
    )


def load_session(
    path: Path, *, device: str = "cpu", threads: int | None = None, fix: str = MAKE_ONE
) -> Any:
    """An `onnxruntime.InferenceSession` of any graph; device and threads as in the class above.

    fix: what to do about a file that is none. Raises ModelError for it, DeviceError where this
    build of ONNX Runtime knows no CUDA.
    """
    options = _options(threads)
    if device == "cuda":
        if CUDA not in onnxruntime.get_available_providers():
            raise cuda_missing("this build has no CUDA part")
        options.log_severity_level = FATAL_ONLY  # what is missing is said by us, once
        onnxruntime.set_default_logger_severity(FATAL_ONLY)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            onnxruntime.preload_dlls()
    providers = [CUDA, CPU] if device == "cuda" else [CPU]
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except load_errors() as error:
        raise ModelError(
            f"{path.name} cannot be loaded", why=str(error).strip().splitlines()[0], fix=fix
        ) from error


def runtime_errors() -> tuple[type[Exception], ...]:
    """What a session raises when it cannot compute, as for lack of memory."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    return (state.RuntimeException, state.Fail, state.EPFail)


def load_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises for a file that is no graph, or one that contradicts itself."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    return (
        state.Fail,
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
    options.log_severity_level = ERRORS_ONLY
    return options


def _check_names(path: Path, session: Any, spec: NetworkSpec) -> None:
    for kind, said, found in (
        ("inputs", spec.inputs, session.get_inputs()),
        ("outputs", spec.outputs, session.get_outputs()),
    ):
        names = {node.name for node in found}
        if not names.issuperset(said) or (kind == "inputs" and names != set(said)):
            raise ModelError(
                f"{path.name} does not keep to its own description",
                why=f"{kind} {sorted(names)} instead of {sorted(said)}",
                fix="export it again with: defocusfix export RUN -o FILE.onnx",
            )
