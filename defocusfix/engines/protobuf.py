"""Protocol buffers, as far as reading an ONNX file needs them: fields, one after the other.

Written for files of strangers: whatever is in them, what comes out is fields or a ValueError, and
that in bounded time.

Source: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

VARINT, EIGHT_BYTES, WITH_LENGTH, FOUR_BYTES = 0, 1, 2, 5
LARGEST_TAG = 2**32 - 1
MOST_FIELDS = 5_000_000  # a network for photos has a tenth; these take some seconds


class Field(NamedTuple):
    """One field of a message, whose content has not been read."""

    number: int
    has_length: bool
    """Whether it is a message, a text or a run of bytes; otherwise it is a whole number."""
    value: int
    """The number; of a field with a length, where in the file its content starts."""
    end: int
    """Where its content ends."""


class Reader:
    """Reads the fields of a file that is open for reading.

    Raises ValueError for a file that ends too early, is of another kind, or has more than
    `MOST_FIELDS` fields.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.size = os.fstat(file.fileno()).st_size
        self._file = file
        self._n_fields = 0

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message from `start` to `end`; fractions are passed over."""
        position = start
        while position < end:
            self._n_fields += 1
            if self._n_fields > MOST_FIELDS:
                raise ValueError("it has too many parts for a network that restores photos")
            self._file.seek(position)
            tag = self._varint()
            number, kind = tag >> 3, tag & 7
            if tag > LARGEST_TAG or number == 0:
                raise ValueError("it is no ONNX file")
            value = 0
            if kind in (VARINT, WITH_LENGTH):
                value = self._varint()
            position = self._file.tell()
            if kind == WITH_LENGTH:
                value, position = position, position + value
            elif kind in (EIGHT_BYTES, FOUR_BYTES):
                position += 8 if kind == EIGHT_BYTES else 4
            elif kind != VARINT:
                raise ValueError("it is no ONNX file")
            if position > end:
                raise ValueError("it ends too early, or is no ONNX file")
            if kind in (VARINT, WITH_LENGTH):
                yield Field(number, kind == WITH_LENGTH, value, position)

    def inside(self, field: Field) -> Iterator[Field]:
        """The fields of the message that a field holds. Raises ValueError for a number."""
        if not field.has_length:
            raise ValueError("it is no ONNX file")
        return self.fields(field.value, field.end)

    def text(self, field: Field) -> str:
        """The text that a field holds. Raises ValueError for a number."""
        if not field.has_length:
            raise ValueError("it is no ONNX file")
        self._file.seek(field.value)
        return exactly(self._file, field.end - field.value).decode()

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            (byte,) = exactly(self._file, 1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("it is no ONNX file")


def exactly(file: BinaryIO, size: int) -> bytes:
    """The next `size` bytes. Raises ValueError if there are fewer."""
    found = file.read(size)
    if len(found) < size:
        raise ValueError("it ends too early")
    return found
