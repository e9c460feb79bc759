"""The bytes of one file on their way in, read where they are needed."""

from __future__ import annotations

import io
import os
from typing import BinaryIO, Protocol

from defocusfix.photo.limits import Limits


class Block(Protocol):
    """Bytes that can be cut: `bytes`, `bytearray` or a `Source`."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> bytes | bytearray: ...


class Source:
    """A photo's file, cut like `bytes` without holding them all, so that a large TIFF fits twice.

    name: what errors call it.
    """

    def __init__(self, name: str, file: BinaryIO, limits: Limits) -> None:
        self.name = name
        self.limits = limits
        self._file = file
        self._n_bytes = file.seek(0, os.SEEK_END)

    @classmethod
    def of_bytes(cls, name: str, data: bytes, limits: Limits) -> Source:
        """The same for bytes that are in memory already."""
        return cls(name, io.BytesIO(data), limits)

    def __len__(self) -> int:
        return self._n_bytes

    def __getitem__(self, part: slice, /) -> bytes:
        start, stop, step = part.indices(self._n_bytes)
        if step != 1:
            raise ValueError("a file is cut in steps of 1")
        self._file.seek(start)
        return self._file.read(max(0, stop - start))

    def read_into(self, position: int, target: memoryview) -> None:
        """Fill `target` with the bytes at `position`. Raises ValueError if there are too few."""
        self._file.seek(position)
        filled = 0
        while filled < len(target):
            n_bytes = self._file.readinto(target[filled:])  # type: ignore[attr-defined]
            if not n_bytes:
                raise ValueError("it is cut off")
            filled += n_bytes

    def all(self) -> bytes:
        """All bytes."""
        return self[:]

    def check_size(self, height: int, width: int) -> None:
        """Raise InputError if a picture of this size has no pixels or too many of them."""
        self.limits.check_size(self.name, height, width)
