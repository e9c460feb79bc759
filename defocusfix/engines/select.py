"""Which engine, device and precision run a file of weights: those demanded, or the fastest."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from defocusfix.engines.chip import has_exact_int8, has_fast_bf16
from defocusfix.engines.engine import Engine, Precision
from defocusfix.engines.model_file import INT8, MAKE_ONE, ONNX, SAFETENSORS, in_format, read_spec
from defocusfix.errors import DeviceError, ModelError, UsageError

EngineName = Literal["onnxruntime", "openvino", "torch"]
EXTRAS: dict[EngineName, str] = {"openvino": "openvino", "torch": "train"}
DEEPEST_FOR_LESS = 8  # bits of an output that shows nothing of less than fp32


@dataclass(frozen=True, slots=True)
class Way:
    """One way of running a network."""

    engine: EngineName
    device: str
    precision: Precision

    def __str__(self) -> str:
        return f"{self.engine} on {self.device} in {self.precision}"


# Fastest first: the first one that suits and works here is taken. OpenVINO gains nothing in fp32
# and takes longer to import. What stands below `onnxruntime` on `cpu`, which works everywhere, runs
# only on demand: torch takes two seconds to import, TensorRT minutes to prepare a network, and
# whether CoreML or an Arm processor's fp16 is faster has not been measured.
WAYS = (
    Way("onnxruntime", "cuda", "fp32"),
    Way("torch", "cuda", "fp16"),
    Way("torch", "cuda", "bf16"),
    Way("torch", "cuda", "fp32"),
    Way("onnxruntime", "directml", "fp32"),
    Way("torch", "mps", "fp32"),
    Way("torch", "mps", "fp16"),
    Way("openvino", "cpu", "bf16"),
    Way("onnxruntime", "cpu", "int8"),
    Way("onnxruntime", "cpu", "fp32"),
    Way("openvino", "cpu", "fp32"),
    Way("openvino", "cpu", "fp16"),
    Way("torch", "cpu", "bf16"),
    Way("torch", "cpu", "fp32"),
    Way("onnxruntime", "tensorrt", "fp16"),
    Way("onnxruntime", "tensorrt", "bf16"),
    Way("onnxruntime", "tensorrt", "fp32"),
    Way("onnxruntime", "coreml", "fp32"),
)
ENGINES = ("auto", "onnxruntime", "openvino", "torch")
DEVICES = ("auto", "cpu", "cuda", "tensorrt", "directml", "coreml", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")


def open_engine(
    path: Path,
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    output_bits: int = 8,
    threads: int | None = None,
) -> Engine:
    """Load a file of weights.

    path: an ONNX file made by `defocusfix export`, or the weights as a safetensors file. engine,
    device, precision: demands, from `ENGINES`, `DEVICES` and `PRECISIONS`; `auto` takes the fastest
    that works here, and the result says which it became. output_bits: of a colour of the restored
    photo; above 8, or for float, `auto` is fp32. threads: of the CPU; None takes one per physical
    core.

    Raises ModelError if the file is missing or unusable, DeviceError if a demand cannot be met,
    UsageError for an unknown name.
    """
    suitable = ways(engine=engine, device=device, precision=precision, output_bits=output_bits)
    refusals: dict[Way, DeviceError] = {}
    for way in _runnable(suitable, path):
        try:
            return open_way(path, way, threads=threads)
        except DeviceError as refusal:
            refusals[way] = refusal
    # Nobody who asked for a precision wants to hear of a GPU that is not there.
    told = [r for way, r in refusals.items() if way.device == "cpu" and device == "auto"]
    told = told or list(refusals.values())
    if len(told) == 1:
        raise told[0]
    raise DeviceError(
        f"{_in_words(engine, device, precision)} was asked for, but is not to be had here",
        why="\n".join(dict.fromkeys(line for error in told for line in error.why.splitlines())),
        fix="\n".join(dict.fromkeys(line for error in told for line in error.fix.splitlines())),
    )


def ways(
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    output_bits: int = 8,
) -> list[Way]:
    """Everything that meets these demands, fastest first, whether it works here or not.

    Raises UsageError for an unknown name, DeviceError if the demands contradict each other.
    """
    for kind, name, known in (
        ("engine", engine, ENGINES),
        ("device", device, DEVICES),
        ("precision", precision, PRECISIONS),
    ):
        if name not in known:
            raise UsageError(f"there is no {kind} {name!r}", fix=f"one of: {', '.join(known)}")
    offered = [
        way
        for way in WAYS
        if engine in ("auto", way.engine)
        and device in ("auto", way.device)
        and precision in ("auto", way.precision)
    ]
    if not offered:
        known_ways = [way for way in WAYS if engine in ("auto", way.engine)]
        raise DeviceError(
            f"nothing can run a network with {_in_words(engine, device, precision)}",
            why="\n".join(f"there is {way}" for way in known_ways),
            fix="leave out one of the options",
        )
    if precision != "auto":
        return offered
    return [way for way in offered if way.precision == "fp32" or _pays(way, output_bits)]


def likely_device(
    *, engine: str = "auto", device: str = "auto", precision: str = "auto", output_bits: int = 8
) -> str:
    """The device that `open_engine` will first try to compute on, told without opening anything.

    The arguments are those of `open_engine`. Raises what `ways` raises.
    """
    suitable = ways(engine=engine, device=device, precision=precision, output_bits=output_bits)
    return next((way.device for way in suitable if absence(way) is None), "cpu")


def open_way(path: Path, way: Way, *, threads: int | None = None) -> Engine:
    """Load a file of weights to be run in just this way; the arguments are those of `open_engine`.

    Raises DeviceError if that cannot be done here, for which a first small tile is computed where
    only that shows it.
    """
    if (refusal := absence(way)) is not None:
        raise refusal
    file = in_format(path, format_of(way))
    if file is None:
        raise ModelError(f"{way.engine} cannot run {path.name}", fix=MAKE_ONE)
    if (way.precision == "int8") != (read_spec(file).arithmetic == "int8"):  # it was renamed
        raise ModelError(
            f"{file.name} does not compute in {way.precision}",
            why=f"files that compute in 8 bits, and no others, are named *{INT8}",
            fix=f"give it a name that says what it is, or export it again; {MAKE_ONE}",
        )
    # Hundreds of milliseconds to import, which a mistake in the command need not wait for.
    opened: Engine
    if way.engine == "onnxruntime":
        from defocusfix.engines.onnxruntime import OnnxRuntimeEngine

        opened = OnnxRuntimeEngine(
            file, device=way.device, precision=way.precision, threads=threads
        )
    elif way.engine == "openvino":
        from defocusfix.engines.openvino import OpenVinoEngine

        opened = OpenVinoEngine(file, precision=way.precision, threads=threads)
    else:
        from defocusfix.engines.pytorch import PyTorchEngine

        opened = PyTorchEngine(file, device=way.device, precision=way.precision, threads=threads)
    if way.device in ("cuda", "directml", "coreml", "mps"):
        try_out(opened)
    return opened


def absence(way: Way) -> DeviceError | None:
    """Why a way cannot be gone here, as far as is known without importing its library."""
    if way.device in ("cuda", "tensorrt") and not has_nvidia_driver():
        return DeviceError(
            f"--device {way.device} was asked for, but no CUDA device is usable",
            why="no NVIDIA driver was found",
            fix="use --device auto or cpu, or install the NVIDIA driver",
        )
    if find_spec(way.engine) is None:
        extra = EXTRAS.get(way.engine)
        return DeviceError(
            f"{way} was asked for, but {way.engine} is not installed",
            why=f"there is no package {way.engine}",
            fix=f"pip install 'defocusfix[{extra}]'" if extra else "pip install onnxruntime",
        )
    if way.precision == "int8" and not has_exact_int8():
        return DeviceError(
            f"{way} was asked for, but this processor is not known to do that exactly",
            why="it has none of avx_vnni, avx512_vnni and amx_int8; sums in 8 bits would overflow",
            fix="use --precision auto or fp32",
        )
    if way.device in ("mps", "coreml") and sys.platform != "darwin":
        return _foreign(way, "macOS")
    if way.device == "directml" and sys.platform != "win32":
        return _foreign(way, "Windows")
    return None


def format_of(way: Way) -> str:
    """How the name of a file of weights ends that is run in this way."""
    if way.engine == "torch":
        return SAFETENSORS
    return INT8 if way.precision == "int8" else ONNX


def has_nvidia_driver() -> bool:
    """Whether the NVIDIA driver's library can be loaded; says nothing about whether CUDA works."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _pays(way: Way, output_bits: int) -> bool:
    """Whether less than fp32 shows nowhere in the output and is known to be faster."""
    if output_bits > DEEPEST_FOR_LESS:
        return False
    if way.device in ("cuda", "tensorrt") or way.precision == "int8":
        return True
    return way.precision == "bf16" and has_fast_bf16()


def _runnable(suitable: Sequence[Way], path: Path) -> list[Way]:
    """Those ways for which there is a file of the right format.

    If there are none, raises DeviceError if it would not help to give one, ModelError otherwise.
    """
    formats = {suffix: in_format(path, suffix) for suffix in (ONNX, INT8, SAFETENSORS)}
    found = [way for way in suitable if formats[format_of(way)] is not None]
    if found:
        return found
    absent = [absence(way) for way in suitable]
    if absent[0] is not None and all(absent):
        raise absent[0]
    read_spec(path)  # says what is wrong with a file that nothing runs
    if all(way.precision == "int8" for way in suitable):
        raise ModelError(
            f"{path.name} has no form that computes in 8 bits",
            why=f"beside it there is no {path.name.removesuffix(path.suffix)}{INT8}",
            fix="make both from the run: defocusfix export RUN -o FILE.onnx --int8",
        )
    raise ModelError(
        f"{path.name} cannot be run by the engine that was asked for",
        why="torch runs safetensors files, the other engines ONNX files,\n"
        "and beside it there is no file of the other kind with the same weights",
        fix=MAKE_ONE if path.suffix == SAFETENSORS else "give the .safetensors file of the run",
    )


def try_out(engine: Engine) -> None:
    """Compute one small tile; a GPU that is too old, or lacks a library, shows itself only now."""
    side = 4 * engine.spec.size_multiple
    shapes = engine.spec.input_shapes(1, side, side)
    outputs = engine.run({name: np.full(shapes[name], 0.5, np.float32) for name in shapes})
    if not all(np.isfinite(array).all() for array in outputs.values()):
        raise DeviceError(
            f"{engine.name} computes wrongly on {engine.device}",
            why=f"a grey picture became values that are not numbers in {engine.precision}",
            fix="use --device cpu",
        )


def _foreign(way: Way, system: str) -> DeviceError:
    return DeviceError(
        f"--device {way.device} was asked for, but is not usable here",
        why=f"it is a part of {system}",
        fix="use --device auto or cpu",
    )


def _in_words(engine: str, device: str, precision: str) -> str:
    said = {"--engine": engine, "--device": device, "--precision": precision}
    return " ".join(f"{option} {name}" for option, name in said.items() if name != "auto")
