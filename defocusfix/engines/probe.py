"""What this machine has for running networks, and what it lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from defocusfix.engines.chip import (
    EXACT_INT8,
    FAST_BF16,
    abilities,
    has_fast_bf16,
    processor_name,
)
from defocusfix.engines.cores import physical_cores
from defocusfix.engines.engine import Engine
from defocusfix.engines.model_file import in_format
from defocusfix.engines.select import WAYS, Way, format_of, open_way, try_out, ways
from defocusfix.errors import DefocusfixError, ModelError

SECONDS_FOR_NVIDIA = 20


@dataclass(frozen=True, slots=True)
class Machine:
    """What computes, as far as the system tells."""

    processor: str
    cores: int
    """Physical ones that this process may use."""
    abilities: tuple[str, ...]
    """Instruction sets that matter for networks."""
    memory_gb: float | None
    """Main memory, in 1e9 bytes."""
    gpus: tuple[str, ...]
    """NVIDIA's, with their memory and driver."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one way of running a network works here."""

    way: Way
    name: str
    """The library with its version; empty where it does not work."""
    why: str = ""
    """Why it does not work; empty where it does."""
    fix: str = ""
    """What to do about that."""

    @property
    def works(self) -> bool:
        """Whether it could be opened and a small tile came out right."""
        return not self.why


def machine() -> Machine:
    """Look at this machine."""
    return Machine(processor_name(), physical_cores(), abilities(), _memory_gb(), _nvidia_gpus())


def examine(path: Path) -> Iterator[Finding]:
    """Try every way of running a network, fastest first, and tell of each what came of it.

    path: a file of weights, as for `open_engine`. Takes seconds: all libraries that are installed
    are imported. Raises ModelError if the file is unusable.
    """
    for way in WAYS:
        if in_format(path, ending := format_of(way)) is None:
            yield Finding(way, "", f"there is no {path.stem}{ending} beside {path.name}")
            continue
        try:
            engine: Engine = open_way(path, way)
            if way.device != "tensorrt":  # which takes minutes to prepare even a small tile
                try_out(engine)
        except ModelError:
            raise
        except DefocusfixError as refusal:
            yield Finding(way, "", refusal.why or refusal.what, refusal.fix)
        else:
            yield Finding(way, engine.name)


def choice(findings: Sequence[Finding], output_bits: int) -> Finding | None:
    """What `open_engine` takes of itself for outputs of this depth; None if nothing works."""
    working = {finding.way: finding for finding in findings if finding.works}
    found = (working[way] for way in ways(output_bits=output_bits) if way in working)
    return next(found, None)


def reason(way: Way, output_bits: int) -> str:
    """Why this way is the choice for outputs of this depth."""
    if way.device != "cpu":
        return "a GPU is faster than any processor"
    if way.precision != "fp32":
        telling = FAST_BF16 if way.precision == "bf16" else EXACT_INT8
        found = ", ".join(ability for ability in abilities() if ability in telling)
        return (
            f"this processor is faster in {way.precision} ({found}), and 8 bits hide the difference"
        )
    if output_bits > 8:
        return "more than 8 bits would show the roundings of less than fp32"
    if has_fast_bf16():
        return "no GPU; this processor would be faster in bf16, with OpenVINO"
    return "no GPU, and no processor that is known to be faster in bf16 or int8"


def advice(findings: Sequence[Finding]) -> list[str]:
    """What would make restoring faster here, or repair what is broken."""
    said = []
    missing = [finding for finding in findings if not finding.works]
    if has_fast_bf16() and any(f.way == Way("openvino", "cpu", "bf16") for f in missing):
        said.append("pip install 'defocusfix[openvino]': 8-bit photos faster on this processor")
    builds = [name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name)]
    if len(builds) > 1:
        said.append(
            "onnxruntime and onnxruntime-gpu are both installed and break each other: "
            "pip uninstall onnxruntime onnxruntime-gpu, then install defocusfix again"
        )
    if _nvidia_gpus():
        said += [
            f"{finding.way.engine} does not reach the GPU: {finding.why}; {finding.fix}"
            for finding in missing
            if finding.way == Way("onnxruntime", "cuda", "fp32")
        ]
    return said


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _memory_gb() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, OSError, ValueError):
        return None


def _nvidia_gpus() -> tuple[str, ...]:
    """What NVIDIA's own tool says, a line for each GPU; nothing where it is not there."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    question = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    try:
        told = subprocess.run(
            [tool, *question],
            capture_output=True,
            text=True,
            timeout=SECONDS_FOR_NVIDIA,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in told.stdout.splitlines() if line)
