"""Weights that others have published, turned into one ONNX file that says what it is.

Tensors are read, never run: safetensors as they are, checkpoints of torch by its loader that knows
nothing but tensors. TorchScript is a program, so it is opened only if its checksum is one that the
catalogue knows.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from defocusfix.errors import ModelError
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks.build import BUILDERS, build_network, by_own_names
from defocusfix.networks.described import described
from defocusfix.training.export import Exported, export_onnx
from defocusfix.training.weights import weights_sha256

Kind = Literal["safetensors", "torchscript", "checkpoint"]

LARGEST_FILE = 4 * 2**30  # bytes, packed and unpacked
NESTINGS = ("params_ema", "params", "state_dict", "model")
"""Under one of these a checkpoint keeps its weights; the averaged ones first."""
WRAPPER = "module."  # before every name, after training on several devices
NAMED_AT_MOST = 3

# What torch's loader raises for files that are damaged or made to deceive it.
UNREADABLE = (
    RuntimeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    SafetensorError,
)


def convert_to_onnx(
    source: Path,
    architecture: str,
    output: Path,
    spec: NetworkSpec,
    *,
    sha256: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write published weights as an ONNX file with `spec` inside, in 32 bits as they came.

    source: safetensors, or a checkpoint or TorchScript file of torch. architecture: a name in
    `networks.build`. sha256: what the catalogue says that the file has; without it TorchScript is
    refused. The spec gets the architecture, and the checksum of the weights if it has none.
    Raises ModelError if the file has another checksum, cannot be read, does not fit the network to
    the last tensor, or comes out different from torch; OutputError if `output` is there already or
    cannot be written.
    """
    if architecture not in BUILDERS:
        raise ModelError(
            f"there is no network {architecture!r}", why=f"known: {', '.join(sorted(BUILDERS))}"
        )
    weights = by_own_names(architecture, read_published(source, sha256=sha256))
    network = build_network(architecture).eval()
    load_exactly(network, weights, source.name)
    digest = spec.weights_sha256 or weights_sha256(weights)
    spec = replace(spec, architecture=architecture, weights_sha256=digest)
    return export_onnx(network, spec, output, half=False, overwrite=overwrite)


def spec_of(architecture: str) -> NetworkSpec:
    """What weights of a network of one level need, as the network itself says.

    Raises KeyError for an unknown architecture.
    """
    with torch.device("meta"):
        network = build_network(architecture)
    return described(network, architecture)


def stored_shapes(source: Path, *, sha256: str | None = None) -> dict[str, tuple[int, ...]]:
    """Names and shapes of published weights; arguments and errors as of `read_published`."""
    weights = read_published(source, sha256=sha256)
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def read_published(source: Path, *, sha256: str | None = None) -> dict[str, Tensor]:
    """Names and tensors of a file of weights, as they are stored.

    sha256: that the file must have, for TorchScript also to be opened at all.
    Raises ModelError if it has another one, or holds anything but tensors.
    """
    try:
        if source.stat().st_size > LARGEST_FILE:
            raise ValueError(f"it has more than {LARGEST_FILE / 2**30:g} GB")
        # Checked and loaded from the same bytes: a file can change in between.
        content = source.read_bytes()
    except (OSError, ValueError) as error:
        raise ModelError(f"{source} cannot be read", why=str(error)) from error
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256.lower():
        raise ModelError(
            f"{source.name} is not the file that the catalogue describes",
            why=f"its sha256 is {found}\ninstead of {sha256.lower()}",
        )
    try:
        kind = _kind(content)
        if kind == "torchscript" and sha256 is None:
            raise ModelError(
                f"{source.name} is a TorchScript program, and is not run",
                why="only one whose checksum the catalogue knows is opened",
                fix="give the weights as safetensors, or the checkpoint they were made of",
            )
        return _tensors(content, kind)
    except UNREADABLE as error:
        lines = str(error).strip().splitlines()
        raise ModelError(
            f"{source.name} is no readable file of weights",
            why=lines[0] if lines else type(error).__name__,
        ) from error


def load_exactly(network: nn.Module, weights: Mapping[str, Tensor], file_name: str) -> None:
    """Give a network weights that fit it to the last tensor.

    Raises ModelError that names those that are missing, too many, of another shape, or not finite.
    """
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    differing = [
        f"{name} is {given[name]} instead of {shape}"
        for name, shape in own.items()
        if name in given and given[name] != shape
    ]
    told = [
        _some("missing", [name for name in own if name not in given]),
        _some("unknown", [name for name in given if name not in own]),
        _some("of another shape", differing),
    ]
    if any(told):
        raise ModelError(
            f"the weights {file_name} do not fit", why="\n".join(line for line in told if line)
        )
    broken = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ModelError(
            f"the weights {file_name} are damaged",
            why=_some("with values that are not numbers", broken),
        )
    network.load_state_dict(dict(weights))


def _some(kind: str, names: list[str]) -> str:
    """The first few of these, in words; nothing for none."""
    if not names:
        return ""
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return f"{kind}: {', '.join(names[:NAMED_AT_MOST])}{more}"


def _kind(content: bytes) -> Kind:
    """What a file looks like. Raises one of `UNREADABLE` for an archive that grows too large.

    A program that hides as a checkpoint is refused by torch's loader for nothing but tensors.
    """
    if content[8:9] == b"{":  # after the length of its header
        return "safetensors"
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return "checkpoint"  # as torch wrote them before 2020
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > LARGEST_FILE:
        raise ValueError(f"it unpacks to more than {LARGEST_FILE / 2**30:g} GB")
    has_code = any(Path(entry.filename).name == "constants.pkl" for entry in entries)
    return "torchscript" if has_code else "checkpoint"


def _tensors(content: bytes, kind: Kind) -> dict[str, Tensor]:
    """Raises one of `UNREADABLE` for anything but names and tensors."""
    if kind == "safetensors":
        return load(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about old formats, and TorchScript as such
        if kind == "torchscript":
            return dict(torch.jit.load(io.BytesIO(content), map_location="cpu").state_dict())
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    nested = [found[name] for name in NESTINGS if isinstance(found, dict) and name in found]
    weights = nested[0] if nested else found
    if not isinstance(weights, dict) or not weights:
        raise ValueError("it holds no weights by their names")
    for name, tensor in weights.items():
        if not isinstance(name, str) or not _is_plain(tensor):
            raise ValueError(f"{name!r} in it is no plain tensor")
    return {name.removeprefix(WRAPPER): tensor for name, tensor in weights.items()}


def _is_plain(tensor: object) -> bool:
    return (
        isinstance(tensor, Tensor)
        and tensor.layout is torch.strided
        and tensor.device.type == "cpu"
        and not (tensor.is_complex() or tensor.is_quantized)
    )
