"""How large a photo is, told from the head of its file, without decoding it.

Nothing that can be installed or left out makes a difference, so that every machine says the same.

Source: ITU-T T.81 annex B (JPEG); PNG, third edition; RFC 9649 (WebP); ITU-T T.800 annex A and I
(JPEG 2000); ISO/IEC 23008-12 (ispe, pixi); TIFF 6.0; TIFF/EP (raw data in sub-directories).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from defocusfix.photo import ifd, isobmff
from defocusfix.photo.limits import DEFAULT
from defocusfix.photo.raw import is_raw_tiff
from defocusfix.photo.read import DAMAGE, SIGNATURES
from defocusfix.photo.source import Source
from defocusfix.photo.suffixes import SUFFIXES

JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers that begin a frame
BARE_MARKERS = frozenset(range(0xD0, 0xD9)) | {0x01}  # without a length
SCAN = 0xDA
PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; a palette is saved as RGB
SUB_DIRECTORIES = 330
MOST_DIRECTORIES = 64  # looked at before a file is taken for a loop
LARGEST_META = 16 * 1024**2  # bytes of the box that describes a HEIC or AVIF


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of a photo's file says. Width and height may be those of the photo on its side.

    For raw data the whole sensor counts, of which a development leaves out a rim.
    """

    format: str
    """A key of `SUFFIXES`."""
    width: int
    height: int
    channels: int
    """1 to 4, transparency included."""
    bits: int
    """Of one value."""

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.width * self.height / 1e6


def header_of(path: Path) -> Header | None:
    """What the head of a file says; None if it says nothing, or the file cannot be read."""
    try:
        with path.open("rb") as file:
            return _header(Source(path.name, file, DEFAULT), file)
    except DAMAGE:
        return None


def _header(source: Source, file: BinaryIO) -> Header | None:
    start = source[:16]
    if start.startswith((b"II*\0", b"MM\0*")):
        is_raw = Path(source.name).suffix.lower() in SUFFIXES["raw"] or is_raw_tiff(source)
        found = _raw(source) if is_raw else _tiff(source)
    else:
        kinds = (kind for begin, at, kind, _ in SIGNATURES if start[at:].startswith(begin))
        read = READERS.get(next(kinds, ""))
        found = None if read is None else read(source)
    return found if found is not None and min(found.width, found.height) > 0 else None


def _jpeg(source: Source) -> Header | None:
    position = 2
    while len(head := source[position : position + 10]) == 10:
        marker = head[1]
        if head[0] != 0xFF or marker == SCAN:
            return None
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in BARE_MARKERS:
            position += 2
        elif marker in JPEG_SIZES:
            bits, height, width, channels = struct.unpack(">BHHB", head[4:10])
            return Header("jpeg", width, height, channels, bits)
        else:
            position += 2 + int.from_bytes(head[2:4], "big")
    return None


def _png(source: Source) -> Header:
    width, height, bits, colour_type = struct.unpack(">IIBB", source[16:26])
    return Header("png", width, height, PNG_CHANNELS.get(colour_type, 3), max(8, bits))


def _webp(source: Source) -> Header | None:
    kind, head = source[12:16], source[20:30]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (4, 7))
        return Header("webp", width, height, 4 if head[0] & 0x10 else 3, 8)
    if kind == b"VP8L":
        packed = int.from_bytes(head[1:5], "little")
        width, height = 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
        return Header("webp", width, height, 4 if packed >> 28 & 1 else 3, 8)
    if kind == b"VP8 ":
        width, height = (n & 0x3FFF for n in struct.unpack("<HH", head[6:10]))
        return Header("webp", width, height, 3, 8)
    return None


def _bmp(source: Source) -> Header:
    if int.from_bytes(source[14:18], "little") == 12:  # as OS/2 wrote it
        width, height, _, bits = struct.unpack("<HHHH", source[18:26])
    else:
        width, height, _, bits = struct.unpack("<iiHH", source[18:30])
    return Header("bmp", width, abs(height), 4 if bits == 32 else 3, 8)


def _jpeg2000(source: Source) -> Header | None:
    position = 0 if source[:2] == b"\xff\x4f" else None
    for kind, begin, _ in _boxes(source):
        if kind == b"jp2c":
            position = begin
            break
    if position is None or source[position : position + 4] != b"\xff\x4f\xff\x51":
        return None
    right, lower, left, upper = struct.unpack(">4I", source[position + 8 : position + 24])
    channels, depth = struct.unpack(">HB", source[position + 40 : position + 43])
    return Header("jpeg2000", right - left, lower - upper, channels, (depth & 127) + 1)


def _avif(source: Source) -> Header | None:
    return _pictures(source, "avif")


def _heic(source: Source) -> Header | None:
    return _pictures(source, "heic")


def _pictures(source: Source, file_format: str) -> Header | None:
    """The largest of all pictures: the others are its tiles, its thumbnail or its masks."""
    for kind, begin, end in _boxes(source):
        if kind != b"meta" or end - begin > LARGEST_META:
            continue
        properties = isobmff.properties(isobmff.Box(kind, source[begin:end]).packed())
        sizes = [
            struct.unpack(">II", box.content[4:12]) for box in properties if box.kind == b"ispe"
        ]
        depths = [box.content[4:] for box in properties if box.kind == b"pixi"]
        if not sizes:
            return None
        width, height = max(sizes, key=lambda size: size[0] * size[1])
        channels, bits = (depths[0][0], depths[0][1]) if depths else (3, 8)
        has_alpha = any(b":alpha" in box.content or b":aux:1" in box.content for box in properties)
        return Header(file_format, width, height, channels + has_alpha, bits)
    return None


def _boxes(source: Source) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each box of a file, and where its content begins and ends."""
    position = 0
    while len(head := source[position : position + 16]) >= 8:
        size, kind, n_bytes = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, n_bytes = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = len(source) - position
        if size < n_bytes:
            return
        yield kind, position + n_bytes, position + size
        position += size


def _tiff(source: Source) -> Header | None:
    return _directory(source, ifd.first_directory(source), "tiff")


def _raw(source: Source) -> Header | None:
    """The largest picture of any directory; the others are previews."""
    if source[:4] not in (b"II*\0", b"MM\0*"):
        return None
    waiting = [ifd.first_directory(source)]
    found: list[Header | None] = []
    while waiting and len(found) < MOST_DIRECTORIES:
        position = waiting.pop()
        found.append(_directory(source, position, "raw"))
        waiting += _sub_directories(source, position)
        if following := ifd.next_directory(source, position):
            waiting.append(following)
    sizes = [header for header in found if header is not None]
    return max(sizes, key=lambda header: header.megapixels, default=None)


def _directory(source: Source, position: int, file_format: str) -> Header | None:
    places = {place.tag: place for place in ifd.places(source, position)}
    if 256 not in places or 257 not in places:
        return None

    def number(tag: int, default: int) -> int:
        return ifd.integer_at(source, places[tag]) if tag in places else default

    if file_format == "raw":  # which is developed to RGB of 16 bits
        return Header("raw", number(256, 0), number(257, 0), 3, 16)
    return Header("tiff", number(256, 0), number(257, 0), number(277, 1), number(258, 8))


def _sub_directories(source: Source, position: int) -> list[int]:
    order = ifd.layout_of(source).order
    for place in ifd.places(source, position):
        if place.tag == SUB_DIRECTORIES and place.n_bytes == 4 * place.count:
            n = min(place.count, MOST_DIRECTORIES)
            values = source[place.value_position : place.value_position + 4 * n]
            return list(struct.unpack(f"{order}{n}I", values))
    return []


READERS: dict[str, Callable[[Source], Header | None]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WebP": _webp,
    "BMP": _bmp,
    "JPEG 2000": _jpeg2000,
    "AVIF": _avif,
    "HEIC": _heic,
    "BigTIFF": _tiff,
}
