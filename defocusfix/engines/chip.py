"""What the processor is called, and which arithmetic it has."""

from __future__ import annotations

import platform
from pathlib import Path

CPU_FILE = Path("/proc/cpuinfo")
FAST_BF16 = frozenset({"avx512_bf16", "amx_bf16"})
# Without these, sums of two products of 8 bits overflow their 16 in x86 processors.
EXACT_INT8 = frozenset({"avx_vnni", "avx512_vnni", "amx_int8"})
TELLING_ABILITIES = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_int8",
    "amx_bf16",
    "amx_fp16",
    "bf16",  # of Arm
)


def processor_name() -> str:
    """The processor as its maker calls it, as far as the system tells."""
    return _entries().get("model name") or platform.processor() or platform.machine()


def abilities() -> tuple[str, ...]:
    """The instruction sets that matter here, by their names in Linux; none where none are told."""
    entries = _entries()
    flags = set(entries.get("flags", entries.get("Features", "")).split())
    return tuple(ability for ability in TELLING_ABILITIES if ability in flags)


def has_fast_bf16() -> bool:
    """Whether bf16 is known to be faster than fp32 on this processor.

    Libraries cannot be asked: OpenVINO counts every processor with AVX-512 in, though on those
    without bf16 instructions it converts back and forth. False where the system tells nothing.
    """
    return not FAST_BF16.isdisjoint(abilities())


def has_exact_int8() -> bool:
    """Whether products of 8-bit numbers are known to be summed fast and without overflow.

    False where the system tells nothing.
    """
    return not EXACT_INT8.isdisjoint(abilities())


def _entries() -> dict[str, str]:
    """What Linux tells of the first processor."""
    try:
        lines = CPU_FILE.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = [line.split(":", 1) for line in reversed(lines) if ":" in line]
    return {name.strip(): value.strip() for name, value in pairs}
