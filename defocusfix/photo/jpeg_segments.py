"""What surrounds the picture in a JPEG: marker segments, read, sorted and packed again.

Source: ITU-T T.81 annex B (segments); ICC.1:2022 B.4 (profiles in APP2); Exif 2.32 4.5.4 (APP1);
XMP part 3, 1.1.3; ISO/IEC 19566-5 (JUMBF in APP11).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

JFIF, EXIF, XMP = b"JFIF\0", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
ICC, MULTI_PICTURE, ADOBE, JFIF_THUMBNAIL = b"ICC_PROFILE\0", b"MPF\0", b"Adobe", b"JFXX\0"
PHOTOSHOP, JUMBF = b"Photoshop 3.0\0", b"JP"
START = b"\xff\xd8"
APP0, APP1, APP2, APP11, APP13, APP14, APP15 = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE, 0xEF
COMMENT, SCAN, END_OF_IMAGE = 0xFE, 0xDA, 0xD9
MAX_CONTENT = 65533  # bytes in one segment
MAX_EXIF = MAX_CONTENT - len(EXIF)  # bytes; a JPEG has one segment for it
MAX_XMP = MAX_CONTENT - len(XMP)

# A marker within picture data: not a stuffed byte, not a restart, not a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker segment ahead of the picture data."""

    marker: int
    content: bytes

    def packed(self) -> bytes:
        """The segment as it stands in a file."""
        return struct.pack(">BBH", 0xFF, self.marker, len(self.content) + 2) + self.content


def read_segments(data: bytes) -> tuple[tuple[Segment, ...], int]:
    """Everything ahead of the picture data, and where that begins; ValueError if damaged."""
    segments: list[Segment] = []
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise ValueError("a marker is missing")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == SCAN:
            return tuple(segments), position
        (length,) = struct.unpack_from(">H", data, position + 2)
        if length < 2 or position + 2 + length > len(data):
            raise ValueError("a segment runs past the end")
        segments.append(Segment(marker, data[position + 4 : position + 2 + length]))
        position += 2 + length
    raise ValueError("it has no picture data")


def end_of_picture(data: bytes, scan: int) -> int:
    """Position after the picture whose first scan is at `scan`. ValueError if it has no end."""
    position = scan
    while found := _MARKER.search(data, position):
        position, marker = found.start(), data[found.start() + 1]
        if marker == END_OF_IMAGE:
            return position + 2
        if position + 4 > len(data):
            break
        (length,) = struct.unpack_from(">H", data, position + 2)
        position += 2 + length  # a table or the head of a further scan
    raise ValueError("it is cut off")


def first(segments: tuple[Segment, ...], marker: int, label: bytes) -> bytes | None:
    """The content after `label` of the first segment that begins with it."""
    for segment in segments:
        if segment.marker == marker and segment.content.startswith(label):
            return segment.content[len(label) :]
    return None


def photoshop_resources(segments: tuple[Segment, ...]) -> bytes:
    """The image resources, put together from all their segments."""
    return b"".join(
        segment.content[len(PHOTOSHOP) :]
        for segment in segments
        if segment.marker == APP13 and segment.content.startswith(PHOTOSHOP)
    )


def colour_profile(segments: tuple[Segment, ...]) -> tuple[bytes | None, tuple[str, ...]]:
    """The colour profile put together from its parts, and a note if parts are missing."""
    parts: dict[int, bytes] = {}
    total = 0
    for segment in segments:
        if segment.marker == APP2 and segment.content.startswith(ICC) and len(segment.content) > 14:
            number, total = segment.content[12:14]
            parts[number] = segment.content[14:]
    if not parts:
        return None, ()
    if sorted(parts) != list(range(1, total + 1)):
        return None, ("the colour profile was incomplete and has been left out",)
    return b"".join(parts[number] for number in sorted(parts)), ()


def adobe_transform(segments: tuple[Segment, ...]) -> int | None:
    """What Adobe's segment says about the components: 0 RGB, 1 luma and chroma."""
    content = first(segments, APP14, ADOBE)
    return content[6] if content is not None and len(content) > 6 else None


def without_metadata(segments: tuple[Segment, ...]) -> bytes:
    """The head of a JPEG with only what decoding needs, so that Pillow warns of nothing else."""
    needed = (s for s in segments if s.marker in (APP0, APP14) or not APP0 <= s.marker <= APP15)
    return START + b"".join(segment.packed() for segment in needed)


def carried(segments: tuple[Segment, ...], *, is_turned: bool) -> Iterator[bytes]:
    """Segments that stay true for new pixels, packed: density, comments, extended XMP."""
    known = (EXIF, XMP, ICC, MULTI_PICTURE, ADOBE, PHOTOSHOP, JFIF_THUMBNAIL)
    for segment in segments:
        content = segment.content
        if segment.marker == APP0 and content.startswith(JFIF) and len(content) >= 14:
            x, y = content[8:10], content[10:12]
            density = y + x if is_turned else x + y
            yield Segment(APP0, content[:8] + density + b"\0\0").packed()
        elif segment.marker == COMMENT or (
            APP1 <= segment.marker <= APP15
            and segment.marker != APP11
            and not content.startswith(known)
        ):
            yield segment.packed()


def left_out(segments: tuple[Segment, ...]) -> Iterator[str]:
    """What cannot be true for new pixels, in words."""
    if any(s.marker == APP2 and s.content.startswith(MULTI_PICTURE) for s in segments):
        yield "further pictures inside the JPEG (previews, HDR gain map) were left out"
    if any(s.marker == APP11 and s.content.startswith(JUMBF) for s in segments):
        yield "content credentials were left out, since they do not hold for changed pixels"


def split(label: bytes, marker: int, content: bytes) -> Iterator[Segment]:
    """As many segments as `content` needs, each beginning with `label`."""
    room = MAX_CONTENT - len(label)
    for start in range(0, len(content), room):
        yield Segment(marker, label + content[start : start + room])


def profile_segments(profile: bytes) -> Iterator[Segment]:
    """A colour profile in numbered parts."""
    room = MAX_CONTENT - len(ICC) - 2
    parts = [profile[start : start + room] for start in range(0, len(profile), room)]
    for number, part in enumerate(parts, start=1):
        yield Segment(APP2, ICC + bytes((number, len(parts))) + part)
