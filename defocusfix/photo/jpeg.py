"""JPEG both ways: the picture through libjpeg, everything around it copied segment by segment."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import Image, JpegImagePlugin

from defocusfix.errors import InputError
from defocusfix.photo import jpeg_segments as parts
from defocusfix.photo import metadata
from defocusfix.photo.coding import JpegCoding
from defocusfix.photo.jpeg_segments import Segment
from defocusfix.photo.photo import Photo
from defocusfix.photo.photoshop import joined_resources, split_resources
from defocusfix.photo.pixels import TURNED_SIDEWAYS, Pixels, from_pillow, turn_upright
from defocusfix.photo.source import Source

COMPONENT_IDS_RGB = (ord("R"), ord("G"), ord("B"))


def decode_jpeg(source: Source) -> Photo:
    """A JPEG file as an upright photo. Raises InputError if it is CMYK or too large."""
    data = source.all()
    segments, scan = parts.read_segments(data)
    end = parts.end_of_picture(data, scan)
    image = JpegImagePlugin.JpegImageFile(
        BytesIO(parts.without_metadata(segments) + data[scan:end])
    )
    source.check_size(image.height, image.width)
    if image.mode not in ("RGB", "L"):
        raise InputError(
            f"{source.name} is a {image.mode} JPEG",
            why="only RGB and gray photos can be restored without changing their colours",
            fix="convert it to RGB in your photo editor first",
        )
    notes = tuple(parts.left_out(segments))
    if not notes and data[end:].strip(b"\0\xff"):
        notes = ("what followed the picture (a film clip, a second picture) was left out",)
    del data
    exif = parts.first(segments, parts.APP1, parts.EXIF)
    orientation = metadata.orientation_of(exif)
    profile, profile_notes = parts.colour_profile(segments)
    xmp = parts.first(segments, parts.APP1, parts.XMP)
    iptc, resources = split_resources(parts.photoshop_resources(segments))
    return Photo(
        pixels=turn_upright(from_pillow(image), orientation),
        coding=_coding(image, segments, resources, is_turned=orientation in TURNED_SIDEWAYS),
        icc_profile=profile,
        exif=exif and metadata.upright_exif(exif),
        xmp=xmp and metadata.upright_xmp(xmp),
        iptc=iptc,
        notes=notes + profile_notes,
        has_lost=True,
    )


def encode_jpeg(photo: Photo, coding: JpegCoding, file: BinaryIO) -> None:
    """Write a JPEG with the tables and subsampling of `coding`."""
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
    head = b"".join(segment.packed() for segment in _metadata_segments(photo, coding))
    kept = [s for s in coding.segments if not (coding.is_rgb and s[4:].startswith(parts.JFIF))]
    jfif = b"".join(s for s in kept if s[1] == parts.APP0)
    others = b"".join(s for s in kept if s[1] != parts.APP0)
    file.write(parts.START + jfif + head + others)
    file.write(_without_head(encoded.getbuffer()))


def jpeg_coding(quality: int, *, is_gray: bool = False) -> JpegCoding:
    """How libjpeg codes with a quality from 1 to 100; from 90 on with chroma at full size."""
    encoded = BytesIO()
    Image.new("L" if is_gray else "RGB", (8, 8)).save(encoded, "JPEG", quality=quality)
    tables = JpegImagePlugin.JpegImageFile(BytesIO(encoded.getvalue())).quantization
    return JpegCoding(
        quantisation=tuple(tuple(tables[number]) for number in sorted(tables)),
        subsampling=0 if quality >= 90 or is_gray else 2,
    )


def _coding(
    image: JpegImagePlugin.JpegImageFile,
    segments: tuple[Segment, ...],
    resources: bytes,
    *,
    is_turned: bool,
) -> JpegCoding:
    ids, horizontal, vertical, tables = zip(*image.layer, strict=True)
    sampling = {((2, 1, 1), (1, 1, 1)): 1, ((2, 1, 1), (2, 1, 1)): 2}
    subsampling = sampling.get((horizontal, vertical), 0)
    if is_turned and subsampling == 1:
        subsampling = 0  # half width would be half height once turned, which libjpeg cannot be told
    is_rgb = ids == COMPONENT_IDS_RGB or (len(ids) == 3 and parts.adobe_transform(segments) == 0)
    return JpegCoding(
        quantisation=_tables_in_order([tuple(image.quantization[t]) for t in tables], is_turned),
        subsampling=subsampling,
        is_progressive=bool(image.info.get("progressive")),
        is_rgb=is_rgb,
        segments=tuple(parts.carried(segments, is_turned=is_turned)),
        resources=resources,
    )


def _tables_in_order(tables: list[tuple[int, ...]], is_turned: bool) -> tuple[tuple[int, ...], ...]:
    """One table per component; a turned picture has its frequencies turned too."""
    if is_turned:
        tables = [tuple(np.reshape(table, (8, 8)).T.ravel().tolist()) for table in tables]
    # Equal chroma tables are written once, as cameras do.
    return tuple(tables[:2]) if len(tables) == 3 and tables[1] == tables[2] else tuple(tables)


def _metadata_segments(photo: Photo, coding: JpegCoding) -> Iterator[Segment]:
    exif = photo.exif and metadata.exif_within(photo.exif, parts.MAX_EXIF)
    if exif:
        yield Segment(parts.APP1, parts.EXIF + exif)
    xmp = photo.xmp and metadata.xmp_within(photo.xmp, parts.MAX_XMP)
    if xmp:
        yield Segment(parts.APP1, parts.XMP + xmp)
    if photo.icc_profile is not None:
        yield from parts.profile_segments(photo.icc_profile)
    yield from parts.split(
        parts.PHOTOSHOP, parts.APP13, joined_resources(photo.iptc, coding.resources)
    )


def _without_head(encoded: memoryview) -> memoryview:
    """What libjpeg wrote, after its start marker and its JFIF segment."""
    if bytes(encoded[2:4]) != b"\xff\xe0":
        return encoded[2:]
    (length,) = struct.unpack_from(">H", encoded, 4)
    return encoded[4 + length :]
