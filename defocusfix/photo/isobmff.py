"""The boxes around an AVIF or JPEG 2000: which are there, and what a few of them say.

Source: ISO/IEC 14496-12 (boxes), 23008-12 (items and properties), AV1-ISOBMFF (av1C), ITU-T H.273.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

CONTAINERS = {b"iprp": 0, b"ipco": 0, b"jp2h": 0, b"meta": 4}  # bytes ahead of the inner boxes


@dataclass(frozen=True, slots=True)
class Box:
    """One box. `content` is what follows its size and kind."""

    kind: bytes
    content: bytes

    def packed(self) -> bytes:
        """The box as it stands in a file."""
        return struct.pack(">I4s", 8 + len(self.content), self.kind) + self.content

    def inner(self) -> list[Box]:
        """The boxes in this one. Raises ValueError if it is damaged."""
        return read_boxes(self.content[CONTAINERS[self.kind] :])


def read_boxes(data: bytes, *, skipped: frozenset[bytes] = frozenset()) -> list[Box]:
    """All boxes, those of the kinds in `skipped` without their content.

    Raises ValueError if one runs past the end.
    """
    found = []
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if size == 1:
            if position + 16 > len(data):
                raise ValueError("it is cut off")
            (size,) = struct.unpack_from(">Q", data, position + 8)
            head = 16
        elif size == 0:
            size = len(data) - position
        if size < head or position + size > len(data):
            raise ValueError("it is cut off")
        content = b"" if kind in skipped else data[position + head : position + size]
        found.append(Box(kind, content))
        position += size
    return found


def properties(data: bytes) -> list[Box]:
    """The properties of all pictures in an AVIF, those of the main one first."""
    meta = first(read_boxes(data, skipped=frozenset({b"mdat"})), b"meta")
    items = None if meta is None else first(meta.inner(), b"iprp")
    held = None if items is None else first(items.inner(), b"ipco")
    return [] if held is None else held.inner()


def first(boxes: list[Box], kind: bytes) -> Box | None:
    """The first box of a kind."""
    return next((box for box in boxes if box.kind == kind), None)


def item(data: bytes, kind: bytes) -> bytes | None:
    """The content of the first item of a kind, such as Exif; None if there is none.

    Raises ValueError if it is said to lie outside the file.
    """
    meta = first(read_boxes(data, skipped=frozenset({b"mdat"})), b"meta")
    if meta is None:
        return None
    boxes = meta.inner()
    names, places = first(boxes, b"iinf"), first(boxes, b"iloc")
    if names is None or places is None:
        return None
    for number, named in _item_kinds(names.content):
        if named == kind:
            return b"".join(_extents(places.content, number, data, first(boxes, b"idat")))
    return None


def _item_kinds(content: bytes) -> Iterator[tuple[int, bytes]]:
    start = 6 if content[0] == 0 else 8
    for box in read_boxes(content[start:]):
        version = box.content[0]
        if box.kind != b"infe" or version < 2:
            continue
        layout = ">H2x4s" if version == 2 else ">I2x4s"
        number, kind = struct.unpack_from(layout, box.content, 4)
        yield number, kind


def _extents(content: bytes, wanted: int, data: bytes, idat: Box | None) -> Iterator[bytes]:
    """The pieces of one item, as the item location box says."""
    version = content[0]
    sizes = (content[4] >> 4, content[4] & 15, content[5] >> 4, content[5] & 15)
    offset_bytes, length_bytes, base_bytes, index_bytes = sizes
    reader = _Numbers(content, 6)
    for _ in range(reader.next(2 if version < 2 else 4)):
        number = reader.next(2 if version < 2 else 4)
        method = reader.next(2) & 15 if version else 0
        reader.next(2)
        base = reader.next(base_bytes)
        for _ in range(reader.next(2)):
            if version:
                reader.next(index_bytes)
            start, length = base + reader.next(offset_bytes), reader.next(length_bytes)
            if number != wanted:
                continue
            store = idat.content if method == 1 and idat is not None else data
            if start + length > len(store):
                raise ValueError("it is cut off")
            yield store[start : start + length]


class _Numbers:
    """Whole numbers of any size, one after the other."""

    def __init__(self, content: bytes, position: int) -> None:
        self.content = content
        self.position = position

    def next(self, n_bytes: int) -> int:
        part = self.content[self.position : self.position + n_bytes]
        if len(part) < n_bytes:
            raise ValueError("it is cut off")
        self.position += n_bytes
        return int.from_bytes(part, "big")
