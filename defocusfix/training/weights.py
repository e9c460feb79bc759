"""Weights on disk as safetensors, with the `NetworkSpec` in their metadata."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from defocusfix.errors import ModelError, OutputError
from defocusfix.network_spec import NetworkSpec


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and float32 values, in the order of the names.

    It names the weights as trained: the file format and half precision do not enter.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        values = tensor.detach().float().cpu().contiguous()
        digest.update(f"{name} {tuple(values.shape)}\n".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()


def write_weights(
    path: Path, weights: Mapping[str, Tensor], spec: NetworkSpec, *, half: bool = False
) -> NetworkSpec:
    """Write weights and facts, whole or not at all; the spec returned carries the weights' hash.

    half: store floating-point weights as float16.
    Raises OutputError where the file cannot be written.
    """
    if not spec.weights_sha256:
        spec = dataclasses.replace(spec, weights_sha256=weights_sha256(weights))
    kept = {
        name: (t.half() if half and t.is_floating_point() else t).detach().cpu().contiguous()
        for name, t in weights.items()
    }
    temporary = path.with_name(path.name + ".part")
    try:
        save_file(kept, temporary, metadata=spec.to_metadata())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write the weights {path}", why=str(error)) from error
    return spec


def read_weights(path: Path) -> tuple[dict[str, Tensor], NetworkSpec]:
    """Weights, widened to float32, and their facts.

    Raises ModelError where the file cannot be read or lacks its facts.
    """
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} is not a readable safetensors file", why=str(error)) from error
    widened = {
        name: t.to(torch.float32) if t.is_floating_point() else t for name, t in weights.items()
    }
    return widened, NetworkSpec.from_metadata(metadata)
