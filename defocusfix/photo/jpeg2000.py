"""JPEG 2000 both ways, 8 and 16 bits: the picture through OpenJPEG in OpenCV, the boxes here.

Pillow would cut 16 bits to 8 and drop profile and metadata. It is always written without loss.

Source: ITU-T T.800 annex I (JP2); XMP part 3, 1.1.4; JPEG 2000 with Exif as libtiff and ExifTool
write it.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np

from defocusfix.errors import InputError, OutputError
from defocusfix.photo import metadata, opencv
from defocusfix.photo.coding import Jpeg2000Coding
from defocusfix.photo.isobmff import Box, first, read_boxes
from defocusfix.photo.photo import Photo
from defocusfix.photo.pixels import turn_upright, with_alpha
from defocusfix.photo.source import Source

SIGNATURE = Box(b"jP  ", b"\r\n\x87\n")
FILE_TYPE = Box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
CODESTREAM_START = b"\xff\x4f\xff\x51"
EXIF_ID = b"JpgTiffExif->JP2"
XMP_ID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
IPTC_ID = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
ENUMERATED, PROFILE = 1, (2, 3)  # ways of the colour box to say what the colours mean
SRGB, GRAY = 16, 17
SMALLEST = 32  # pixels each way, for the six resolutions that OpenCV asks for


def decode_jpeg2000(source: Source) -> Photo:
    """A JPEG 2000 file as an upright photo.

    Raises InputError if it is too large, or has a depth or colours that could not be kept.
    """
    data = source.all()
    is_bare_stream = data.startswith(CODESTREAM_START)
    boxes = [] if is_bare_stream else read_boxes(data)
    stream = data if is_bare_stream else _content(boxes, b"jp2c")
    _refuse_what_cannot_be_kept(source, stream, boxes)
    values = opencv.decode(data)
    identified = {box.content[:16]: box.content[16:] for box in boxes if box.kind == b"uuid"}
    exif, xmp = identified.get(EXIF_ID), identified.get(XMP_ID)
    exif = exif and exif.removeprefix(b"Exif\0\0")
    values = turn_upright(values, metadata.orientation_of(exif))
    has_alpha = values.shape[2] == 4
    return Photo(
        pixels=np.ascontiguousarray(values[:, :, :3]) if has_alpha else values,
        coding=Jpeg2000Coding(
            is_bare_stream=is_bare_stream,
            boxes=tuple(box.packed() for box in boxes if _is_carried(box)),
        ),
        alpha=np.ascontiguousarray(values[:, :, 3]) if has_alpha else None,
        icc_profile=_profile(boxes),
        exif=exif and metadata.upright_exif(exif),
        xmp=xmp and metadata.upright_xmp(xmp),
        iptc=identified.get(IPTC_ID),
    )


def encode_jpeg2000(photo: Photo, coding: Jpeg2000Coding, file: BinaryIO) -> None:
    """Write a JPEG 2000 without loss, in boxes if the photo came in boxes."""
    import cv2

    values = with_alpha(photo.pixels, photo.alpha)
    if min(values.shape[:2]) < SMALLEST:
        raise OutputError(
            f"a photo of {photo.width} x {photo.height} cannot be saved as JPEG 2000",
            why=f"the encoder wants at least {SMALLEST} pixels each way",
            fix="--format tiff or png",
        )
    boxes = read_boxes(
        opencv.encode(".jp2", values, {cv2.IMWRITE_JPEG2000_COMPRESSION_X1000: 1000})
    )
    stream = Box(b"jp2c", _content(boxes, b"jp2c"))
    if coding.is_bare_stream:
        file.write(stream.content)
        return
    header = [box for box in read_boxes(_content(boxes, b"jp2h")) if box.kind != b"colr"]
    header.insert(1, _colour_box(photo))
    parts = [SIGNATURE, FILE_TYPE, Box(b"jp2h", b"".join(box.packed() for box in header))]
    for name, content in ((EXIF_ID, photo.exif), (XMP_ID, photo.xmp), (IPTC_ID, photo.iptc)):
        if content is not None:
            parts.append(Box(b"uuid", name + content))
    file.write(b"".join(box.packed() for box in parts) + b"".join(coding.boxes) + stream.packed())


def _content(boxes: list[Box], kind: bytes) -> bytes:
    box = first(boxes, kind)
    if box is None:
        raise ValueError(f"it has no {kind.decode()} box")
    return box.content


def _refuse_what_cannot_be_kept(source: Source, stream: bytes, boxes: list[Box]) -> None:
    if not stream.startswith(CODESTREAM_START):
        raise ValueError("its codestream does not begin with a size")
    right, lower, left, upper = struct.unpack_from(">4I", stream, 8)
    (n_channels,) = struct.unpack_from(">H", stream, 40)
    opencv.check_size(source.name, lower - upper, right - left)
    source.check_size(lower - upper, right - left)
    bits = set(stream[42 : 42 + 3 * n_channels : 3])
    if n_channels not in (1, 3, 4) or not bits <= {7, 15} or len(bits) != 1:
        raise InputError(
            f"{source.name} has {n_channels} channels of {max(bits, default=0) % 128 + 1} bits",
            why="only gray and RGB of 8 or 16 bits can be kept exactly in a JPEG 2000",
            fix="save it as a 16-bit TIFF",
        )
    header = first(boxes, b"jp2h")
    inner = [] if header is None else header.inner()
    colours = first(inner, b"colr")
    is_known = colours is None or colours.content[0] in PROFILE
    if colours is not None and colours.content[0] == ENUMERATED:
        is_known = int.from_bytes(colours.content[3:7], "big") in (SRGB, GRAY)
    if not is_known or first(inner, b"pclr") is not None:
        raise InputError(
            f"{source.name} has a palette or an unusual colour space",
            fix="save it as a 16-bit TIFF in RGB",
        )


def _profile(boxes: list[Box]) -> bytes | None:
    header = first(boxes, b"jp2h")
    colours = None if header is None else first(header.inner(), b"colr")
    if colours is None or colours.content[0] not in PROFILE:
        return None
    return colours.content[3:]


def _colour_box(photo: Photo) -> Box:
    if photo.icc_profile is not None:
        return Box(b"colr", bytes((PROFILE[0], 0, 0)) + photo.icc_profile)
    meaning = SRGB if photo.pixels.shape[2] == 3 else GRAY
    return Box(b"colr", bytes((ENUMERATED, 0, 0)) + meaning.to_bytes(4, "big"))


def _is_carried(box: Box) -> bool:
    """Whether a box stays true for new pixels: further texts and identified boxes."""
    if box.kind == b"uuid":
        return box.content[:16] not in (EXIF_ID, XMP_ID, IPTC_ID)
    return box.kind in (b"xml ", b"uinf", b"asoc", b"res ")
