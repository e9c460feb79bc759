"""JPEG both ways: the picture through libjpeg, everything around it copied segment by segment.

Source: ITU-T T.81 annex B (segments); ICC.1:2022 B.4 (profiles in APP2); Exif 2.32 4.5.4 (APP1).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, JpegImagePlugin

from defocusfix.errors import InputError
from defocusfix.photo import metadata
from defocusfix.photo.limits import check_size
from defocusfix.photo.photo import JpegCoding, Photo, Pixels

JFIF, EXIF, XMP = b"JFIF\0", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
ICC, MULTI_PICTURE, ADOBE, JFIF_THUMBNAIL = b"ICC_PROFILE\0", b"MPF\0", b"Adobe", b"JFXX\0"
APP0, APP1, APP2, APP14, APP15, COMMENT, SCAN = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE, 0xDA
MAX_CONTENT = 65533  # bytes in one segment
COMPONENT_IDS_RGB = (ord("R"), ord("G"), ord("B"))


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker segment ahead of the picture data."""

    marker: int
    content: bytes

    def packed(self) -> bytes:
        """The segment as it stands in a file."""
        return struct.pack(">BBH", 0xFF, self.marker, len(self.content) + 2) + self.content


def decode_jpeg(data: bytes, name: str) -> Photo:
    """A JPEG file as an upright photo. Raises InputError if it is damaged, CMYK or too large."""
    try:
        segments, scan = _segments(data)
        image = JpegImagePlugin.JpegImageFile(BytesIO(_without_metadata(segments) + data[scan:]))
        check_size(name, image.height, image.width)
        if image.mode not in ("RGB", "L"):
            raise InputError(
                f"{name} is a {image.mode} JPEG",
                why="only RGB and gray photos can be restored without changing their colours",
                fix="convert it to RGB in your photo editor first",
            )
        image.load()
    except (OSError, SyntaxError, ValueError, struct.error, IndexError) as error:
        raise InputError(f"{name} cannot be read", why=f"damaged JPEG: {error}") from error

    exif = _first(segments, APP1, EXIF)
    orientation = metadata.orientation_of(exif)
    pixels = np.asarray(image)
    pixels = metadata.turn_upright(pixels.reshape(*pixels.shape[:2], -1), orientation)
    profile, notes = _profile(segments)
    xmp = _first(segments, APP1, XMP)
    if any(s.marker == APP2 and s.content.startswith(MULTI_PICTURE) for s in segments):
        notes += ("further pictures inside the JPEG (previews, HDR gain map) were left out",)
    return Photo(
        pixels=pixels,
        coding=_coding(image, segments, is_turned=orientation in metadata.TURNED_SIDEWAYS),
        icc_profile=profile,
        exif=exif and metadata.upright_exif(exif, height=pixels.shape[0], width=pixels.shape[1]),
        xmp=xmp and metadata.upright_xmp(xmp),
        notes=notes,
    )


def encode_jpeg(photo: Photo, coding: JpegCoding) -> bytes:
    """The bytes of a JPEG with the tables and subsampling of `coding`."""
    pixels: Pixels = photo.pixels if photo.pixels.shape[2] == 3 else photo.pixels[:, :, 0]
    encoded = BytesIO()
    Image.fromarray(pixels).save(
        encoded,
        "JPEG",
        qtables=[list(table) for table in coding.quantisation],
        subsampling=coding.subsampling,
        progressive=coding.is_progressive,
        optimize=coding.is_progressive,
        keep_rgb=coding.is_rgb,
    )
    head = b"".join(segment.packed() for segment in _metadata_segments(photo))
    kept = [s for s in coding.segments if not (coding.is_rgb and s[4:].startswith(JFIF))]
    jfif = b"".join(s for s in kept if s[1] == APP0)
    others = b"".join(s for s in kept if s[1] != APP0)
    return b"\xff\xd8" + jfif + head + others + _without_head(encoded.getvalue())


def _coding(
    image: JpegImagePlugin.JpegImageFile, segments: tuple[Segment, ...], *, is_turned: bool
) -> JpegCoding:
    ids, horizontal, vertical, tables = zip(*image.layer, strict=True)
    sampling = {((2, 1, 1), (1, 1, 1)): 1, ((2, 1, 1), (2, 1, 1)): 2}
    subsampling = sampling.get((horizontal, vertical), 0)
    if is_turned and subsampling == 1:
        subsampling = 0  # half width would be half height once turned, which libjpeg cannot be told
    return JpegCoding(
        quantisation=_tables_in_order([tuple(image.quantization[t]) for t in tables], is_turned),
        subsampling=subsampling,
        is_progressive=bool(image.info.get("progressive")),
        is_rgb=ids == COMPONENT_IDS_RGB or (len(ids) == 3 and _adobe_transform(segments) == 0),
        segments=tuple(_carried(segments, is_turned=is_turned)),
    )


def _tables_in_order(tables: list[tuple[int, ...]], is_turned: bool) -> tuple[tuple[int, ...], ...]:
    """One table per component; a turned picture has its frequencies turned too."""
    if is_turned:
        tables = [tuple(np.reshape(table, (8, 8)).T.ravel().tolist()) for table in tables]
    # Equal chroma tables are written once, as cameras do.
    return tuple(tables[:2]) if len(tables) == 3 and tables[1] == tables[2] else tuple(tables)


def _segments(data: bytes) -> tuple[tuple[Segment, ...], int]:
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


def _without_metadata(segments: tuple[Segment, ...]) -> bytes:
    """The head of a JPEG with only what decoding needs, so that Pillow warns of nothing else."""
    needed = (s for s in segments if s.marker in (APP0, APP14) or not APP0 <= s.marker <= APP15)
    return b"\xff\xd8" + b"".join(segment.packed() for segment in needed)


def _first(segments: tuple[Segment, ...], marker: int, label: bytes) -> bytes | None:
    for segment in segments:
        if segment.marker == marker and segment.content.startswith(label):
            return segment.content[len(label) :]
    return None


def _profile(segments: tuple[Segment, ...]) -> tuple[bytes | None, tuple[str, ...]]:
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


def _adobe_transform(segments: tuple[Segment, ...]) -> int | None:
    content = _first(segments, APP14, ADOBE)
    return content[6] if content is not None and len(content) > 6 else None


def _carried(segments: tuple[Segment, ...], *, is_turned: bool) -> Iterator[bytes]:
    """Segments that stay true for new pixels, packed: density, IPTC, comments, extended XMP."""
    for segment in segments:
        content = segment.content
        if segment.marker == APP0 and content.startswith(JFIF) and len(content) >= 14:
            x, y = content[8:10], content[10:12]
            density = y + x if is_turned else x + y
            yield Segment(APP0, content[:8] + density + b"\0\0").packed()
        elif segment.marker == COMMENT or APP1 <= segment.marker <= APP15:
            known = (EXIF, XMP, ICC, MULTI_PICTURE, ADOBE)
            if not content.startswith(known):
                yield segment.packed()


def _metadata_segments(photo: Photo) -> Iterator[Segment]:
    if photo.exif is not None:
        yield Segment(APP1, EXIF + photo.exif)
    if photo.xmp is not None:
        yield Segment(APP1, XMP + photo.xmp)
    if photo.icc_profile is not None:
        room = MAX_CONTENT - len(ICC) - 2
        profile = photo.icc_profile
        parts = [profile[start : start + room] for start in range(0, len(profile), room)]
        for number, part in enumerate(parts, start=1):
            yield Segment(APP2, ICC + bytes((number, len(parts))) + part)


def _without_head(encoded: bytes) -> bytes:
    """What libjpeg wrote, after its start marker and its JFIF segment."""
    if encoded[2:4] != b"\xff\xe0":
        return encoded[2:]
    (length,) = struct.unpack_from(">H", encoded, 4)
    return encoded[4 + length :]
