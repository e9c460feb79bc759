"""What a file of weights says of itself, read without the libraries that run it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from defocusfix.errors import ModelError
from defocusfix.network_spec import NetworkSpec

MAKE_ONE = "give an ONNX file made by: defocusfix export RUN -o FILE.onnx"
ONNX, SAFETENSORS = ".onnx", ".safetensors"
OF_A_RUN = ("model.onnx", "best.safetensors", "weights.safetensors")
"""Files of weights in the folder of a run, those first that are taken first: an export, the weights
that validation scored highest, and those of the last save."""
LARGEST_HEADER = 100_000_000  # bytes, the limit of the safetensors format

# Of the protocol buffer that an ONNX file is: https://protobuf.dev/programming-guides/encoding
METADATA_PROPS, KEY, VALUE = 14, 1, 2
VARINT, EIGHT_BYTES, WITH_LENGTH, FOUR_BYTES = 0, 1, 2, 5


def read_spec(path: Path) -> NetworkSpec:
    """The facts that training wrote into an ONNX or safetensors file.

    Raises ModelError if there is no such file, it is of another kind, or it lacks them.
    """
    if not path.is_file():
        raise ModelError(f"there is no model file {path}")
    readers = {ONNX: _onnx_metadata, SAFETENSORS: _safetensors_metadata}
    if path.suffix not in readers:
        raise ModelError(
            f"{path.name} is neither an ONNX nor a safetensors file",
            why="those are the kinds of weights that can be run",
            fix=MAKE_ONE,
        )
    try:
        with path.open("rb") as file:
            metadata = readers[path.suffix](file)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path.name} cannot be loaded", why=str(error), fix=MAKE_ONE) from error
    return NetworkSpec.from_metadata(metadata)


def in_format(path: Path, suffix: str) -> Path | None:
    """The file with the weights of `path` in the format `suffix`: itself, or one beside it.

    A file beside it counts if it says that it holds the same weights: that of the same name up to
    the suffix, or in a folder of a run any other. None if there is none.
    """
    if path.suffix == suffix:
        return path
    candidates = [path.with_suffix(suffix)]
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
    size = int.from_bytes(_exactly(file, 8), "little")
    if size > LARGEST_HEADER:
        raise ValueError("it is no safetensors file")
    header = json.loads(_exactly(file, size))
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict):
        raise ValueError("its header is damaged")
    return {str(key): str(value) for key, value in metadata.items()}


def _onnx_metadata(file: BinaryIO) -> dict[str, str]:
    """The entries of `metadata_props`; everything else, as the graph, is skipped unread."""
    end = os.fstat(file.fileno()).st_size
    entries = {}
    for field, length in _fields(file, end):
        if field == METADATA_PROPS:
            stop = file.tell() + length
            texts = {}
            for part, part_length in _fields(file, stop):
                texts[part] = _exactly(file, part_length).decode()
            entries[texts.get(KEY, "")] = texts.get(VALUE, "")
    return entries


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Number and length of every field with a length, up to `end`, where it may be read or not."""
    while (position := file.tell()) < end:
        tag = _varint(file)
        field, kind = tag >> 3, tag & 7
        if kind == VARINT:
            _varint(file)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            file.seek(8 if kind == EIGHT_BYTES else 4, os.SEEK_CUR)
        elif kind == WITH_LENGTH:
            length = _varint(file)
            position = file.tell()
            if position + length > end:
                raise ValueError("it ends too early, or is no ONNX file")
            yield field, length
            file.seek(position + length)
        else:
            raise ValueError("it is no ONNX file")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        (byte,) = _exactly(file, 1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise ValueError("it is no ONNX file")


def _exactly(file: BinaryIO, size: int) -> bytes:
    found = file.read(size)
    if len(found) < size:
        raise ValueError("it ends too early")
    return found
