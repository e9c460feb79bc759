"""Photoshop's image resources, the envelope in which JPEG and TIFF carry IPTC records.

Source: Adobe Photoshop File Formats Specification, "Image Resource Blocks"; IPTC-IIM 4.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

IPTC = 0x0404
THUMBNAILS = frozenset({0x0409, 0x040C})
METADATA_COPIES = frozenset({0x0422, 0x0423, 0x0424})  # of EXIF and XMP


def split_resources(resources: bytes) -> tuple[bytes | None, bytes]:
    """The IPTC records in image resources, and the resources without these and the thumbnails.

    What cannot be understood is left as it is.
    """
    iptc: bytes | None = None
    others = bytearray()
    end = 0
    for number, start, content_start, content_end, end in _blocks(resources):
        if number == IPTC and iptc is None:
            iptc = resources[content_start:content_end]
        elif number not in THUMBNAILS:
            others += resources[start:end]
    return iptc, bytes(others + resources[end:])


def resources_without_place(resources: bytes) -> bytes:
    """The image resources without copies of EXIF and XMP, in which a GPS position may stand."""
    kept = bytearray()
    end = 0
    for number, start, _, _, end in _blocks(resources):
        if number not in METADATA_COPIES:
            kept += resources[start:end]
    return bytes(kept + resources[end:])


def joined_resources(iptc: bytes | None, others: bytes) -> bytes:
    """Image resources with IPTC records in front."""
    if iptc is None:
        return others
    block = b"8BIM" + struct.pack(">HHI", IPTC, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)
    return block + others


def _blocks(resources: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Number, start, start and end of the content, and end of every whole block."""
    start = 0
    while start + 12 <= len(resources) and resources[start : start + 4] in (b"8BIM", b"MeSa"):
        (number,) = struct.unpack_from(">H", resources, start + 4)
        name_bytes = resources[start + 6] + 1
        content_start = start + 6 + name_bytes + name_bytes % 2 + 4
        if content_start > len(resources):
            return
        (length,) = struct.unpack_from(">I", resources, content_start - 4)
        content_end = content_start + length
        if content_end > len(resources):
            return
        end = min(len(resources), content_end + length % 2)
        yield number, start, content_start, content_end, end
        start = end
