"""The directories of tags inside TIFF files and EXIF blocks: read, changed in place, packed again.

Source: TIFF 6.0, section 2; BigTIFF (Aware Systems, 2007); Exif 2.32, section 4.5.2 (the Exif, GPS
and interoperability directories are reached through pointer tags).
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from defocusfix.photo.source import Block

EXIF_POINTER, GPS_POINTER, INTEROPERABILITY_POINTER = 34665, 34853, 40965
POINTERS = frozenset({EXIF_POINTER, GPS_POINTER, INTEROPERABILITY_POINTER})
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 1, 2, 3, 4, 5, 7, 16
LETTERS = {BYTE: "B", SHORT: "H", LONG: "I", 13: "I", LONG8: "Q", 18: "Q"}  # whole numbers
BYTES_PER_VALUE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
BYTES_PER_VALUE |= {13: 4, 16: 8, 17: 8, 18: 8}


class BrokenTagsError(ValueError):
    """The bytes are no directory of tags, or point outside themselves."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How numbers are laid out in a block: a classic TIFF, or a BigTIFF with longer positions."""

    order: str
    """`<` or `>`, as `struct` writes it."""
    is_big: bool = False

    @property
    def number_of_tags(self) -> str:
        """Letter for `struct` of what a directory begins with."""
        return self.order + ("Q" if self.is_big else "H")

    @property
    def position(self) -> str:
        """Letter for `struct` of a position in the block."""
        return self.order + ("Q" if self.is_big else "I")

    @property
    def position_bytes(self) -> int:
        """Bytes of a position, and so of a value that fits inside its tag."""
        return 8 if self.is_big else 4

    @property
    def tag_bytes(self) -> int:
        """Bytes of one tag in a directory."""
        return 4 + 2 * self.position_bytes

    def header(self, first: int) -> bytes:
        """The first bytes of a block whose first directory is at position `first`."""
        mark = b"II" if self.order == "<" else b"MM"
        if self.is_big:
            return mark + struct.pack(self.order + "HHHQ", 43, 8, 0, first)
        return mark + struct.pack(self.order + "HI", 42, first)


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag. `value` is in the byte order of the block it came from."""

    tag: int
    kind: int
    """TIFF data type, 1 to 18."""
    count: int
    value: bytes
    directory: tuple[Entry, ...] = ()
    """What a pointer tag points at; empty for all other tags."""

    def numbers(self, order: str) -> tuple[int, ...]:
        """Its values. Raises BrokenTagsError if they are no whole numbers."""
        return struct.unpack(f"{order}{self.count}{_letter(self.tag, self.kind)}", self.value)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a block one tag is, and where its value."""

    tag: int
    kind: int
    count: int
    position: int
    value_position: int
    n_bytes: int
    """Of the value; 0 if its type is unknown."""


def layout_of(block: Block) -> Layout:
    """How the block is laid out. Raises BrokenTagsError if it has no TIFF header."""
    layouts = {
        b"II*\0": Layout("<"),
        b"MM\0*": Layout(">"),
        b"II+\0": Layout("<", is_big=True),
        b"MM\0+": Layout(">", is_big=True),
    }
    layout = layouts.get(bytes(block[:4]))
    if layout is None:
        raise BrokenTagsError("no TIFF header")
    return layout


def first_directory(block: Block) -> int:
    """Position of the first directory. Raises BrokenTagsError if this is no TIFF header."""
    layout = layout_of(block)
    return _integer(block, layout.position, layout.position_bytes)


def next_directory(block: Block, position: int) -> int:
    """Position of the directory after the one at `position`, 0 if there is none."""
    return _integer(block, layout_of(block).position, next_pointer(block, position))


def next_pointer(block: Block, position: int) -> int:
    """Position of the bytes after a directory that name the next one."""
    layout = layout_of(block)
    n_tags = _integer(block, layout.number_of_tags, position)
    return position + struct.calcsize(layout.number_of_tags) + layout.tag_bytes * n_tags


def places(block: Block, position: int) -> Iterator[Place]:
    """The tags of the directory at `position`, in order, without following any of them."""
    layout = layout_of(block)
    n_tags = _integer(block, layout.number_of_tags, position)
    start = position + struct.calcsize(layout.number_of_tags)
    if start + n_tags * layout.tag_bytes > len(block):
        raise BrokenTagsError("a directory of tags runs past the end")
    for at in range(start, start + n_tags * layout.tag_bytes, layout.tag_bytes):
        tag, kind = struct.unpack(layout.order + "HH", block[at : at + 4])
        count = _integer(block, layout.position, at + 4)
        n_bytes = BYTES_PER_VALUE.get(kind, 0) * count
        value_position = at + 4 + layout.position_bytes
        if n_bytes > layout.position_bytes:
            value_position = _integer(block, layout.position, value_position)
        yield Place(tag, kind, count, at, value_position, n_bytes)


def integer_at(block: Block, place: Place) -> int:
    """The first number of a tag. Raises BrokenTagsError if it is no whole number."""
    return _integer(
        block, layout_of(block).order + _letter(place.tag, place.kind), place.value_position
    )


def set_integer(block: bytearray, place: Place, value: int) -> None:
    """Overwrite what `integer_at` reads. Raises BrokenTagsError if it does not fit."""
    letter = layout_of(block).order + _letter(place.tag, place.kind)
    try:
        struct.pack_into(letter, block, place.value_position, value)
    except struct.error as error:
        raise BrokenTagsError(f"tag {place.tag} cannot hold {value}") from error


def read_directory(
    block: Block, position: int, *, left_out: Collection[int] = ()
) -> tuple[Entry, ...]:
    """All tags of a directory with their values, pointer tags followed, but for `left_out`.

    Tags of unknown type or with values outside the block are left out. Raises BrokenTagsError if
    the directory itself lies outside the block, or the values together are larger than the block.
    """
    return tuple(_Reader(block).entries(position, depth=0, left_out=left_out))


def pack(directory: tuple[Entry, ...], layout: Layout, start: int) -> bytes:
    """The bytes of a directory that is put at position `start` of a block, values included."""
    entries = sorted(directory, key=lambda entry: entry.tag)
    table = bytearray(struct.pack(layout.number_of_tags, len(entries)))
    rest = bytearray()
    rest_start = start + len(table) + layout.tag_bytes * len(entries) + layout.position_bytes
    for entry in entries:
        kind, value = entry.kind, entry.value
        if entry.directory:
            at = rest_start + len(rest)
            rest += pack(entry.directory, layout, at)
            kind, value = (LONG8 if layout.is_big else LONG), struct.pack(layout.position, at)
        table += struct.pack(layout.order + "HH", entry.tag, kind)
        table += struct.pack(layout.position, entry.count)
        if len(value) <= layout.position_bytes:
            table += value.ljust(layout.position_bytes, b"\0")
        else:
            table += struct.pack(layout.position, rest_start + len(rest))
            rest += value + b"\0" * (len(value) % 2)
    return bytes(table) + bytes(layout.position_bytes) + bytes(rest)


def pack_block(directory: tuple[Entry, ...], order: str) -> bytes:
    """A whole EXIF block: header and one directory."""
    header = Layout(order).header(8)
    return header + pack(directory, Layout(order), len(header))


def with_tag(block: bytes, entry: Entry) -> bytes:
    """An EXIF block whose first directory has `entry`, in place of one of the same tag.

    Nothing else moves: if there is no room, the directory is put at the end of the block.
    """
    layout, first = layout_of(block), first_directory(block)
    if layout.is_big:
        raise BrokenTagsError("EXIF is no BigTIFF")
    changed = bytearray(block)
    tags: dict[int, bytes] = {}
    for place in places(block, first):
        has_room = 4 < len(entry.value) <= place.n_bytes <= len(block) - place.value_position
        if place.tag == entry.tag and has_room:
            end = place.value_position + place.n_bytes
            changed[place.value_position : end] = entry.value.ljust(place.n_bytes, b"\0")
            struct.pack_into(
                layout.order + "HI", changed, place.position + 2, entry.kind, entry.count
            )
            return bytes(changed)
        tags[place.tag] = block[place.position : place.position + layout.tag_bytes]

    changed += bytes(len(changed) % 2)
    value = entry.value.ljust(4, b"\0")
    if len(value) > 4:
        value = struct.pack(layout.position, len(changed))
        changed += entry.value + bytes(len(entry.value) % 2)
    packed = struct.pack(layout.order + "HHI", entry.tag, entry.kind, entry.count)
    tags[entry.tag] = packed + value
    struct.pack_into(layout.position, changed, 4, len(changed))
    changed += struct.pack(layout.number_of_tags, len(tags))
    changed += b"".join(tags[tag] for tag in sorted(tags))
    changed += block[next_pointer(block, first) :][:4].ljust(4, b"\0")
    return bytes(changed)


def without_tag(block: bytes, tag: int) -> bytes:
    """An EXIF block whose first directory has no such tag; nothing else moves.

    The directory that a pointer tag names is zeroed.
    """
    changed = bytearray(block)
    layout, first = layout_of(block), first_directory(block)
    found = [place for place in places(block, first) if place.tag == tag]
    for place in reversed(found):  # so that positions of earlier ones stay right
        if tag in POINTERS:
            _clear_directory(changed, block, integer_at(block, place))
        end = next_pointer(block, first) + layout.position_bytes
        tail = changed[place.position + layout.tag_bytes : end]
        changed[place.position : end] = tail + bytes(layout.tag_bytes)
    n_tags = _integer(block, layout.number_of_tags, first) - len(found)
    struct.pack_into(layout.number_of_tags, changed, first, n_tags)
    return bytes(changed)


def _clear_directory(changed: bytearray, block: bytes, position: int) -> None:
    """Zero a directory and the values of its tags."""
    areas = [(place.value_position, place.n_bytes) for place in places(block, position)]
    areas.append((position, next_pointer(block, position) - position))
    for start, n_bytes in areas:
        end = min(len(changed), start + n_bytes)
        if start < end:
            changed[start:end] = bytes(end - start)


class _Reader:
    """Reads directories, and stops when a hostile block names more values than it can hold."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.layout = layout_of(block)
        self.bytes_left = len(block)

    def entries(self, position: int, depth: int, left_out: Collection[int] = ()) -> Iterator[Entry]:
        for place in places(self.block, position):
            end = place.value_position + place.n_bytes
            if place.n_bytes == 0 or end > len(self.block) or place.tag in left_out:
                continue
            self.bytes_left -= place.n_bytes
            if self.bytes_left < 0:
                raise BrokenTagsError("its tags are larger than itself")
            value = self.block[place.value_position : end]
            if place.tag not in POINTERS:
                yield Entry(place.tag, place.kind, place.count, bytes(value))
            elif depth < 2:  # directory, Exif, interoperability; a deeper one is a loop
                inner = tuple(self.entries(integer_at(self.block, place), depth + 1))
                if inner:
                    yield Entry(place.tag, LONG, 1, bytes(value), inner)


def _letter(tag: int, kind: int) -> str:
    if kind not in LETTERS:
        raise BrokenTagsError(f"tag {tag} should be a whole number")
    return LETTERS[kind]


def _integer(block: Block, letter: str, position: int) -> int:
    n_bytes = struct.calcsize(letter)
    if position + n_bytes > len(block):
        raise BrokenTagsError("a directory of tags points past the end")
    return int(struct.unpack(letter, block[position : position + n_bytes])[0])
