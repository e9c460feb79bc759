"""The directories of tags inside TIFF files and EXIF blocks: read, found in place, packed again.

Source: TIFF 6.0, section 2; Exif 2.32, section 4.5.2 (the Exif, GPS and interoperability
directories are reached through pointer tags).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

EXIF_POINTER, GPS_POINTER, INTEROPERABILITY_POINTER = 34665, 34853, 40965
POINTERS = frozenset({EXIF_POINTER, GPS_POINTER, INTEROPERABILITY_POINTER})
BYTES_PER_VALUE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
BYTE, SHORT, LONG = 1, 3, 4
HEADER_BYTES = 8


class BrokenTagsError(ValueError):
    """The bytes are no directory of tags, or point outside themselves."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag. `value` is in the byte order of the block it came from."""

    tag: int
    kind: int
    """TIFF data type, 1 to 13."""
    count: int
    value: bytes
    directory: tuple[Entry, ...] = ()
    """What a pointer tag points at; empty for all other tags."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a block the 12 bytes of one tag are."""

    tag: int
    kind: int
    count: int
    position: int


def byte_order(block: bytes | bytearray) -> str:
    """`<` or `>`, as `struct` writes it. Raises BrokenTagsError if this is no TIFF header."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(block[:4]))
    if order is None:
        raise BrokenTagsError("no TIFF header")
    return order


def first_directory(block: bytes | bytearray) -> int:
    """Position of the first directory. Raises BrokenTagsError if this is no TIFF header."""
    return _integer(block, byte_order(block) + "I", 4)


def places(block: bytes | bytearray, position: int) -> Iterator[Place]:
    """The tags of the directory at `position`, in order, without following any of them."""
    order = byte_order(block)
    for number in range(_integer(block, order + "H", position)):
        at = position + 2 + 12 * number
        if at + 12 > len(block):
            raise BrokenTagsError("a directory of tags runs past the end")
        tag, kind, count = struct.unpack_from(order + "HHI", block, at)
        yield Place(tag, kind, count, at)


def next_pointer(block: bytes | bytearray, position: int) -> int:
    """Position of the 4 bytes after a directory that name the next one."""
    return position + 2 + 12 * _integer(block, byte_order(block) + "H", position)


def inline_integer(block: bytes | bytearray, place: Place) -> int:
    """The first number of a SHORT or LONG tag whose value lies inside the tag itself."""
    return _integer(block, byte_order(block) + _letter(place), place.position + 8)


def set_inline_integer(block: bytearray, place: Place, value: int) -> None:
    """Overwrite what `inline_integer` reads."""
    struct.pack_into(byte_order(block) + _letter(place), block, place.position + 8, value)


def read_directory(block: bytes, position: int) -> tuple[Entry, ...]:
    """All tags of a directory with their values, pointer tags followed.

    Tags of unknown type or with values outside the block are left out. Raises BrokenTagsError if
    the directory itself lies outside the block.
    """
    return tuple(_entries(block, position, depth=0))


def pack(directory: tuple[Entry, ...], order: str, start: int) -> bytes:
    """The bytes of a directory that is put at position `start` of a block, values included."""
    entries = sorted(directory, key=lambda entry: entry.tag)
    table = bytearray(struct.pack(order + "H", len(entries)))
    rest = bytearray()
    rest_start = start + 2 + 12 * len(entries) + 4
    for entry in entries:
        value = entry.value
        if entry.directory:
            position = rest_start + len(rest)
            rest += pack(entry.directory, order, position)
            value = struct.pack(order + "I", position)
        table += struct.pack(order + "HHI", entry.tag, entry.kind, entry.count)
        if len(value) <= 4:
            table += value.ljust(4, b"\0")
        else:
            table += struct.pack(order + "I", rest_start + len(rest))
            rest += value + b"\0" * (len(value) % 2)
    return bytes(table) + bytes(4) + bytes(rest)


def pack_block(directory: tuple[Entry, ...], order: str) -> bytes:
    """A whole EXIF block: header and one directory."""
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(order + "HI", 42, HEADER_BYTES) + pack(directory, order, HEADER_BYTES)


def _entries(block: bytes, position: int, depth: int) -> Iterator[Entry]:
    order = byte_order(block)
    for place in places(block, position):
        n_bytes = BYTES_PER_VALUE.get(place.kind, 0) * place.count
        at = (
            place.position + 8 if n_bytes <= 4 else _integer(block, order + "I", place.position + 8)
        )
        if n_bytes == 0 or at + n_bytes > len(block):
            continue
        value = block[at : at + n_bytes]
        if place.tag not in POINTERS:
            yield Entry(place.tag, place.kind, place.count, value)
        elif depth < 2:  # directory, Exif, interoperability; a deeper one is a loop
            inner = tuple(_entries(block, inline_integer(block, place), depth + 1))
            if inner:
                yield Entry(place.tag, LONG, 1, value, inner)


def _letter(place: Place) -> str:
    if place.kind not in (SHORT, LONG, 13):
        raise BrokenTagsError(f"tag {place.tag} should be a whole number")
    return "H" if place.kind == SHORT else "I"


def _integer(block: bytes | bytearray, layout: str, position: int) -> int:
    if position + struct.calcsize(layout) > len(block):
        raise BrokenTagsError("a directory of tags points past the end")
    return int(struct.unpack_from(layout, block, position)[0])
