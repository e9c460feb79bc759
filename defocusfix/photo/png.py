"""PNG both ways, 8 and 16 bits.

Decoded by libpng through OpenCV, since Pillow cuts 16-bit colour to 8; written here, chunk by
chunk, so that whatever the file carried goes along.

Source: PNG specification, third edition (W3C, 2025).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from defocusfix.errors import InputError
from defocusfix.photo import metadata, opencv
from defocusfix.photo.coding import PNG_COLOUR_CHUNKS, PngCoding
from defocusfix.photo.limits import MAX_PROFILE_BYTES
from defocusfix.photo.photo import Photo
from defocusfix.photo.pixels import BAND_ROWS, TURNED_SIDEWAYS, Pixels, turn_upright
from defocusfix.photo.source import Source

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp\0"
# On a photo, within 10 % of the size that libpng reaches in four times as long.
COMPRESSION_LEVEL = 4
UP_FILTER = 2  # each value minus the one above it
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by number of channels
VALUES_PER_PIXEL = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type; 3 is a palette
MOST_PER_BYTE = 1032  # bytes that one of Deflate becomes: at best 2 bits stand for 258

NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})  # to decode the pixels
# Written again from the photo, made untrue by new pixels, or bound to the old palette.
NOT_CARRIED = frozenset(b"IHDR PLTE IDAT IEND tRNS iCCP eXIf hIST bKGD sBIT sPLT tIME".split())


def decode_png(source: Source) -> Photo:
    """A PNG file as an upright photo. Raises InputError if it is animated or too large."""
    data = source.all()
    chunks = list(_chunks(data))
    width, height, depth, colour_type = struct.unpack_from(">IIBB", chunks[0][1])
    opencv.check_size(source.name, height, width)
    source.check_size(height, width)
    types = {kind for kind, _ in chunks}
    if b"acTL" in types:
        raise InputError(
            f"{source.name} is an animation", fix="save the picture you want on its own"
        )
    if b"tRNS" in types and colour_type in (0, 2) and (colour_type == 0 or depth == 16):
        raise InputError(
            f"{source.name} marks one colour as transparent",
            why="this old kind of transparency cannot be kept once colours change",
            fix="save it with an alpha channel",
        )

    n_bytes = width * height * depth * VALUES_PER_PIXEL.get(colour_type, 0) // 8
    if n_bytes > MOST_PER_BYTE * _compressed_bytes(data):
        raise ValueError("it has too little picture data")
    values = _pixels(_bare(data), colour_type)
    if values.shape[:2] != (height, width):
        raise ValueError("its size contradicts its header")
    del data
    exif = next((content for kind, content in chunks if kind == b"eXIf"), None)
    orientation = metadata.orientation_of(exif)
    values = turn_upright(values, orientation)
    has_alpha = values.shape[2] in (2, 4)
    profile, notes = _profile(chunks)
    xmp = _xmp(chunks)
    return Photo(
        pixels=np.ascontiguousarray(values[:, :, :-1]) if has_alpha else values,
        coding=PngCoding(tuple(_carried(chunks, is_turned=orientation in TURNED_SIDEWAYS))),
        alpha=np.ascontiguousarray(values[:, :, -1]) if has_alpha else None,
        icc_profile=profile,
        colour_codes=_colour_codes(chunks),
        exif=exif and metadata.upright_exif(exif),
        xmp=xmp and metadata.upright_xmp(xmp),
        notes=notes,
    )


def encode_png(photo: Photo, coding: PngCoding, file: BinaryIO) -> None:
    """Write a PNG with the depth and channels of `photo`, a part at a time."""
    n_channels = photo.pixels.shape[2] + (photo.alpha is not None)
    header = (photo.width, photo.height, photo.bits, COLOUR_TYPES[n_channels], 0, 0, 0)
    file.write(SIGNATURE)
    _write(file, b"IHDR", struct.pack(">IIBBBBB", *header))
    if photo.icc_profile is not None:
        _write(file, b"iCCP", b"ICC profile\0\0" + zlib.compress(photo.icc_profile))
    if photo.colour_codes is not None:
        _write(file, b"cICP", bytes((*photo.colour_codes, 0, 1)))
    for kind, content in coding.chunks:
        _write(file, kind, content)
    if photo.exif is not None:
        _write(file, b"eXIf", photo.exif)
    if photo.xmp is not None:
        _write(file, b"iTXt", XMP_KEYWORD + b"\0\0\0\0" + photo.xmp)
    for compressed in _compressed_rows(photo):
        _write(file, b"IDAT", compressed)
    _write(file, b"IEND", b"")


def _bare(data: bytes) -> bytes:
    """The file with only what decoding needs, so that libpng warns of nothing else."""
    needed = (data[at : at + 12 + n] for kind, at, n in _places(data) if kind in NEEDED)
    return SIGNATURE + b"".join(needed)


def _compressed_bytes(data: bytes) -> int:
    return sum(length for kind, _, length in _places(data) if kind == b"IDAT")


def _pixels(data: bytes, colour_type: int) -> Pixels:
    """(H, W, C) in the order gray, gray and alpha, RGB, or RGBA; palettes are looked up."""
    values = opencv.decode(data)
    if colour_type == COLOUR_TYPES[2]:
        return np.ascontiguousarray(values[:, :, (0, 3)])
    return values


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of every chunk, up to the end chunk; ValueError if any is damaged."""
    for kind, start, length in _places(data):
        end = start + 8 + length
        if zlib.crc32(memoryview(data)[start + 4 : end]) != _number(data, end):
            raise ValueError(f"the checksum of its {kind.decode('latin-1')} chunk is wrong")
        # The picture data is read by libpng; a copy of it here would only take memory.
        yield kind, b"" if kind == b"IDAT" else data[start + 8 : end]


def _places(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, position and length of every chunk, up to the end chunk; ValueError if it is cut."""
    position = len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise ValueError("it is cut off")
        length = _number(data, position)
        if not kind and data[position + 4 : position + 8] != b"IHDR":
            raise ValueError("it does not start with its header")
        kind = data[position + 4 : position + 8]
        if position + 12 + length > len(data):
            raise ValueError("it is cut off")
        yield kind, position, length
        position += 12 + length


def _number(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "big")


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


def _colour_codes(chunks: list[tuple[bytes, bytes]]) -> tuple[int, int] | None:
    for kind, content in chunks:
        if kind == b"cICP" and len(content) == 4:
            return content[0], content[1]
    return None


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
        elif kind in PNG_COLOUR_CHUNKS or kind[3] & 0x20:  # lower case at the end: safe to copy
            yield kind, content


def _compressed_rows(photo: Photo) -> Iterator[bytes]:
    """Contents of the IDAT chunks: filtered rows, compressed as one stream."""
    packer = zlib.compressobj(COMPRESSION_LEVEL)
    above = np.zeros(1, np.uint8)
    for start in range(0, photo.height, BAND_ROWS):
        band = photo.pixels[start : start + BAND_ROWS]
        if photo.alpha is not None:
            alpha = photo.alpha[start : start + BAND_ROWS, :, None]
            band = np.concatenate((band, alpha), axis=2)
        big_endian = np.ascontiguousarray(band, band.dtype.newbyteorder(">"))
        rows: npt.NDArray[np.uint8] = big_endian.view(np.uint8).reshape(band.shape[0], -1)
        filtered = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
        filtered[:, 0] = UP_FILTER
        np.subtract(rows[0], above, out=filtered[0, 1:])
        np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
        above = rows[-1]
        if compressed := packer.compress(filtered.data):
            yield compressed
    yield packer.flush()


def _write(file: BinaryIO, kind: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + kind)
    file.write(content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))
