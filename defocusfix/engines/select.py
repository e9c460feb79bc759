"""Which engine and device run a file of weights: exactly the one demanded, or the best there is."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from defocusfix.engines.engine import Engine
from defocusfix.errors import DeviceError, ModelError, UsageError

DEVICES = ("auto", "cpu", "cuda")


def open_engine(path: Path, *, device: str = "auto", threads: int | None = None) -> Engine:
    """Load a file of weights.

    path: an ONNX file made by `defocusfix export`. device: `cpu`; `cuda`, a demand; or `auto`,
    CUDA where it works and the CPU otherwise. The result's `device` says which it became.

    Raises ModelError if the file is missing or unusable, DeviceError if CUDA is demanded and not
    to be had, UsageError for any other device.
    """
    if device not in DEVICES:
        raise UsageError(f"there is no device {device!r}", fix=f"one of: {', '.join(DEVICES)}")
    if not path.is_file():
        raise ModelError(f"there is no model file {path}")
    if path.suffix != ".onnx":
        raise ModelError(
            f"{path.name} is not an ONNX file",
            why="that is the only kind of weights that can be run without torch",
            fix="make one with: defocusfix export RUN -o FILE.onnx",
        )
    # 190 ms to import, which a mistake in the command need not wait for.
    from defocusfix.engines.onnxruntime import OnnxRuntimeEngine, cuda_missing

    if device == "cpu" or (device == "auto" and not has_nvidia_driver()):
        return OnnxRuntimeEngine(path, device="cpu", threads=threads)
    if not has_nvidia_driver():
        raise cuda_missing("no NVIDIA driver was found")
    try:
        return OnnxRuntimeEngine(path, device="cuda", threads=threads)
    except DeviceError:
        if device == "cuda":
            raise
        return OnnxRuntimeEngine(path, device="cpu", threads=threads)


def has_nvidia_driver() -> bool:
    """Whether the NVIDIA driver's library can be loaded; says nothing about whether CUDA works."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
