"""What a file of weights says of itself, read without the libraries that run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

from defocusfix.engines.facts import read_facts
from defocusfix.engines.onnx_graph import read_metadata
from defocusfix.engines.protobuf import exactly
from defocusfix.errors import ModelError
from defocusfix.network_spec import METADATA_PREFIX, NetworkSpec

MAKE_ONE = "give an ONNX file made by: defocusfix export RUN -o FILE.onnx"
ONNX, INT8, SAFETENSORS = ".onnx", ".int8.onnx", ".safetensors"
"""Ends of names: a graph, one that computes in 8 bits, and weights alone."""
OF_A_RUN = ("model.onnx", "best.safetensors", "weights.safetensors")
"""Files of weights in the folder of a run, those first that are taken first: an export, the weights
that validation scored highest, and those of the last save."""
LARGEST_HEADER = 100_000_000  # bytes, the limit of the safetensors format

OF_OTHERS = frozenset({".pt", ".pth", ".ckpt", ".pkl", ".bin"})
"""Files of torch, which may be programs: never opened here."""
IMPORT_IT = "bring it in as one of the known networks: defocusfix models import FILE --as ID"


def read_spec(path: Path) -> NetworkSpec:
    """The facts that training wrote into an ONNX or safetensors file, or those beside it.

    Raises ModelError if there is no such file, it is of another kind, or it lacks them.
    """
    if not path.is_file():
        raise ModelError(f"there is no model file {path}")
    readers = {ONNX: read_metadata, SAFETENSORS: _safetensors_metadata}
    if path.suffix not in readers:
        raise ModelError(
            f"{path.name} is neither an ONNX nor a safetensors file",
            why="those are the kinds of weights that can be run",
            fix=IMPORT_IT if path.suffix in OF_OTHERS else MAKE_ONE,
        )
    try:
        with path.open("rb") as file:
            metadata = readers[path.suffix](file)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} cannot be loaded", why=str(error), fix=MAKE_ONE) from error
    if any(key.startswith(METADATA_PREFIX) for key in metadata):
        return NetworkSpec.from_metadata(metadata)
    facts = read_facts(path)
    if facts is None:
        raise ModelError(
            f"{path.name} lacks the entry '{METADATA_PREFIX}name'",
            why="it was not made by defocusfix, and does not say what the network needs",
            fix=IMPORT_IT,
        )
    return facts.spec


def safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a safetensors file; the tensors stay unread.

    Raises ModelError if the file is damaged or of another kind.
    """
    try:
        with path.open("rb") as file:
            header = _safetensors_header(file)
        del header["__metadata__"]
        return {name: tuple(int(side) for side in entry["shape"]) for name, entry in header.items()}
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(f"{path.name} cannot be loaded", why=str(error)) from error


def in_format(path: Path, suffix: str) -> Path | None:
    """The file with the weights of `path` in the format `suffix`: itself, or one beside it.

    suffix: `ONNX`, `INT8` or `SAFETENSORS`. A file beside it counts if it says that it holds the
    same weights: that of the same name up to the suffix, or in a folder of a run any other. None
    if there is none.
    """
    own = INT8 if path.name.endswith(INT8) else path.suffix
    if own == suffix:
        return path
    candidates = [path.with_name(path.name.removesuffix(own) + suffix)]
    if path.name in OF_A_RUN:
        candidates += [path.with_name(name) for name in OF_A_RUN if name.endswith(suffix)]
    found = [candidate for candidate in candidates if candidate.is_file()]
    if not found or not (wanted := read_spec(path).weights_sha256):
        return None
    return next((other for other in found if read_spec(other).weights_sha256 == wanted), None)


def in_folder(folder: Path) -> Path:
    """The weights of a folder: of a bundled model, or the best ones of a training run.

    Raises ModelError if it holds none.
    """
    found = next((folder / name for name in OF_A_RUN if (folder / name).is_file()), None)
    if found is None:
        raise ModelError(
            f"there are no weights in {folder}",
            why=f"looked for {', '.join(OF_A_RUN)}",
            fix="give the folder of a run, or a file of weights",
        )
    return found


def _safetensors_metadata(file: BinaryIO) -> dict[str, str]:
    metadata = _safetensors_header(file)["__metadata__"]
    if not isinstance(metadata, dict):
        raise ValueError("its header is damaged")
    return {str(key): str(value) for key, value in metadata.items()}


def _safetensors_header(file: BinaryIO) -> dict[str, Any]:
    """What a file says of its tensors, and under `__metadata__`, which may be empty, of itself."""
    size = int.from_bytes(exactly(file, 8), "little")
    if size > LARGEST_HEADER:
        raise ValueError("it is no safetensors file")
    header = json.loads(exactly(file, size))
    if not isinstance(header, dict):
        raise ValueError("its header is damaged")
    return {"__metadata__": {}, **header}
