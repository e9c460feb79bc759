"""PNG both ways, 8 and 16 bits.

Decoded by libpng through OpenCV, since Pillow cuts 16-bit colour to 8; written here, chunk by
chunk, so that whatever the file carried goes along.

Source: PNG specification, third edition (W3C, 2025).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.errors import InputError
from defocusfix.photo import metadata
from defocusfix.photo.limits import MAX_PROFILE_BYTES, check_size
from defocusfix.photo.photo import BAND_ROWS, Photo, Pixels, PngCoding

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp\0"
# On a photo, within 10 % of the size that libpng reaches in four times as long.
COMPRESSION_LEVEL = 4
UP_FILTER = 2  # each value minus the one above it
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by number of channels

# Written again from the photo, made untrue by new pixels, or bound to the old palette.
NOT_CARRIED = frozenset(b"IHDR PLTE IDAT IEND tRNS iCCP eXIf hIST bKGD sBIT sPLT tIME".split())
# Not marked as safe to copy by their names, yet true for new pixels in the same colours.
CARRIED = frozenset(b"gAMA cHRM sRGB cICP mDCV mDCv cLLI cLLi".split())


def decode_png(data: bytes, name: str) -> Photo:
    """A PNG file as an upright photo. Raises InputError if it is damaged, animated or too large."""
    try:
        chunks = list(_chunks(data))
        width, height, depth, colour_type = struct.unpack_from(">IIBB", chunks[0][1])
    except (ValueError, struct.error) as error:
        raise InputError(f"{name} cannot be read", why=f"damaged PNG: {error}") from error
    check_size(name, height, width)
    types = {kind for kind, _ in chunks}
    if b"acTL" in types:
        raise InputError(f"{name} is an animation", fix="save the picture you want on its own")
    if b"tRNS" in types and colour_type in (0, 2) and (colour_type == 0 or depth == 16):
        raise InputError(
            f"{name} marks one colour as transparent",
            why="this old kind of transparency cannot be kept once colours change",
            fix="save it with an alpha channel",
        )

    values = _pixels(data, name)
    if values.shape[:2] != (height, width):
        raise InputError(f"{name} cannot be read", why="its size contradicts its header")
    exif = next((content for kind, content in chunks if kind == b"eXIf"), None)
    orientation = metadata.orientation_of(exif)
    values = metadata.turn_upright(values, orientation)
    has_alpha = values.shape[2] in (2, 4)
    profile, notes = _profile(chunks)
    xmp = _xmp(chunks)
    return Photo(
        pixels=np.ascontiguousarray(values[:, :, :-1]) if has_alpha else values,
        coding=PngCoding(
            tuple(_carried(chunks, is_turned=orientation in metadata.TURNED_SIDEWAYS))
        ),
        alpha=np.ascontiguousarray(values[:, :, -1]) if has_alpha else None,
        icc_profile=profile,
        exif=exif and metadata.upright_exif(exif, height=values.shape[0], width=values.shape[1]),
        xmp=xmp and metadata.upright_xmp(xmp),
        notes=notes,
    )


def encode_png(photo: Photo, coding: PngCoding) -> bytes:
    """The bytes of a PNG with the depth and channels of `photo`."""
    alpha = () if photo.alpha is None else (photo.alpha[:, :, None],)
    values: Pixels = np.concatenate((photo.pixels, *alpha), axis=2)
    header = (photo.width, photo.height, photo.bits, COLOUR_TYPES[values.shape[2]], 0, 0, 0)
    parts = [SIGNATURE, _packed(b"IHDR", struct.pack(">IIBBBBB", *header))]
    if photo.icc_profile is not None:
        parts.append(_packed(b"iCCP", b"ICC profile\0\0" + zlib.compress(photo.icc_profile)))
    parts += (_packed(kind, content) for kind, content in coding.chunks)
    if photo.exif is not None:
        parts.append(_packed(b"eXIf", photo.exif))
    if photo.xmp is not None:
        parts.append(_packed(b"iTXt", XMP_KEYWORD + b"\0\0\0\0" + photo.xmp))
    parts += (_packed(b"IDAT", compressed) for compressed in _compressed_rows(values))
    parts.append(_packed(b"IEND", b""))
    return b"".join(parts)


def _pixels(data: bytes, name: str) -> Pixels:
    """(H, W, C) in the order gray, gray and alpha, RGB, or RGBA; palettes are looked up."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # what is wrong with the file is said by us, once
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise InputError(f"{name} cannot be read", why=f"damaged PNG: {error.err}") from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    if values is None or values.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{name} cannot be read", why="damaged PNG: its picture data is broken")
    colour_type = data[25]
    if values.ndim == 2:
        return values[:, :, None]
    if colour_type == COLOUR_TYPES[2]:
        return np.ascontiguousarray(values[:, :, (0, 3)])
    return cv2.cvtColor(values, cv2.COLOR_BGRA2RGBA if values.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of every chunk, up to the end chunk; ValueError if any is damaged."""
    position = len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise ValueError("it is cut off")
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise ValueError("it is cut off")
        if not kind and data[position + 4 : position + 8] != b"IHDR":
            raise ValueError("it does not start with its header")
        kind = data[position + 4 : position + 8]
        if zlib.crc32(data[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise ValueError(f"the checksum of its {kind.decode('latin-1')} chunk is wrong")
        # The picture data is read by libpng; a copy of it here would only take memory.
        yield kind, b"" if kind == b"IDAT" else data[position + 8 : end]
        position = end + 4


def _profile(chunks: list[tuple[bytes, bytes]]) -> tuple[bytes | None, tuple[str, ...]]:
    for kind, content in chunks:
        if kind == b"iCCP":
            name_end = content.find(b"\0")
            unpacker = zlib.decompressobj()
            try:
                profile = unpacker.decompress(content[name_end + 2 :], MAX_PROFILE_BYTES)
            except zlib.error:
                profile = b""
            if unpacker.eof:
                return profile, ()
            return None, ("the colour profile was damaged and has been left out",)
    return None, ()


def _xmp(chunks: list[tuple[bytes, bytes]]) -> bytes | None:
    for kind, content in chunks:
        if _is_plain_xmp(kind, content):
            # keyword, two bytes that say "not compressed", language, translated keyword
            return content[len(XMP_KEYWORD) + 2 :].split(b"\0", 2)[-1]
    return None


def _is_plain_xmp(kind: bytes, content: bytes) -> bool:
    return kind == b"iTXt" and content.startswith(XMP_KEYWORD + b"\0")


def _carried(
    chunks: list[tuple[bytes, bytes]], *, is_turned: bool
) -> Iterator[tuple[bytes, bytes]]:
    for kind, content in chunks:
        if kind in NOT_CARRIED or _is_plain_xmp(kind, content):
            continue
        if kind == b"pHYs" and is_turned and len(content) == 9:
            yield kind, content[4:8] + content[:4] + content[8:]
        elif kind in CARRIED or kind[3] & 0x20:  # lower case at the end: safe to copy
            yield kind, content


def _compressed_rows(values: Pixels) -> Iterator[bytes]:
    """Contents of the IDAT chunks: filtered rows, compressed as one stream."""
    packer = zlib.compressobj(COMPRESSION_LEVEL)
    above = np.zeros(values[0].nbytes, np.uint8)
    for start in range(0, values.shape[0], BAND_ROWS):
        band = values[start : start + BAND_ROWS]
        big_endian = np.ascontiguousarray(band, band.dtype.newbyteorder(">"))
        rows: npt.NDArray[np.uint8] = big_endian.view(np.uint8).reshape(band.shape[0], -1)
        filtered = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
        filtered[:, 0] = UP_FILTER
        np.subtract(rows[0], above, out=filtered[0, 1:])
        np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
        above = rows[-1]
        if compressed := packer.compress(filtered.tobytes()):
            yield compressed
    yield packer.flush()


def _packed(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
    )
