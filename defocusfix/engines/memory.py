"""How engines say that memory ran out: each library in words of its own, few by a class."""

from __future__ import annotations

import re
from collections.abc import Mapping

from defocusfix.engines.engine import FloatArray
from defocusfix.errors import DeviceError, DeviceMemoryError

# In lower case. The libraries raise RuntimeError, or a class that says no more than "fail".
TELLING_WORDS = (
    "bad_alloc",
    "bad allocation",
    "bfcarena",  # ONNX Runtime's allocator, which speaks only when it finds nothing
    "out of memory",
    "out_of_memory",
    "e_outofmemory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "failed to allocate",
    "alloc_failed",
)


def means_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of a library that computes says that less at once might fit."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or any(telling in words for telling in TELLING_WORDS)


def tile_error(
    error: BaseException, inputs: Mapping[str, FloatArray], *, engine: str, device: str
) -> DeviceError:
    """The error to raise after `error` kept an engine from computing `inputs`."""
    height, width = inputs["image"].shape[2:]
    if means_out_of_memory(error):
        return DeviceMemoryError(
            f"memory ran out on {device} over a tile of {width} x {height} px",
            why=f"{engine}: {_about_memory(error)}",
            fix="a smaller --tile" + ("" if device == "cpu" else ", or --device cpu"),
        )
    return DeviceError(
        f"{engine} could not compute a tile of {width} x {height} px on {device}",
        why=first_line(error),
        fix="another --engine or --device; defocusfix doctor shows which there are",
    )


def loading_error(error: BaseException, *, engine: str, device: str) -> DeviceError:
    """The error to raise after `error` kept an engine from taking in a network."""
    if not means_out_of_memory(error):
        return DeviceError(
            f"{engine} could not load the model on {device}",
            why=first_line(error),
            fix="another --engine or --device; defocusfix doctor shows which there are",
        )
    return DeviceMemoryError(
        f"memory ran out on {device} while the model was loaded",
        why=f"{engine}: {_about_memory(error)}",
        fix="close other programs" + ("" if device == "cpu" else ", or use --device cpu"),
    )


def first_line(error: BaseException) -> str:
    """What an exception says, as far as fits on a line; the name of its class if it is silent."""
    lines = [line.strip() for line in str(error).splitlines()]
    # OpenVINO first tells through which of its files the exception came.
    told = [line for line in lines if line and "xception from src/" not in line]
    return told[0] if told else type(error).__name__


def _about_memory(error: BaseException) -> str:
    """The words about memory in a message that mostly says where in a library it arose."""
    found = re.search(r"(failed to|can't|cannot) allocate [^.;\n]*", str(error), re.IGNORECASE)
    return found.group() if found else first_line(error)
