"""BMP both ways: gray, RGB, and RGB with alpha, 8 bits per channel.

Source: Microsoft, "Bitmap Storage" and "BITMAPV5HEADER".
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import BmpImagePlugin

from defocusfix.errors import InputError
from defocusfix.photo.coding import BmpCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.pixels import BAND_ROWS, from_pillow
from defocusfix.photo.source import Source

FILE_HEADER_BYTES, SHORT_HEADER_BYTES, LONG_HEADER_BYTES = 14, 40, 124
UNCOMPRESSED, MASKS = 0, 3
CHANNEL_MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)  # red, green, blue, alpha
# What a sound header may say, also where Pillow cannot read such a BMP: that of OS/2 may be cut
# short, 0 bits are those of a JPEG or PNG inside, and the last kinds are masks with alpha and CMYK.
HEADER_SIZES = frozenset({12, *range(16, 65), 108, 124})
DEPTHS = frozenset({0, 1, 2, 4, 8, 16, 24, 32, 64})
COMPRESSIONS = frozenset({*range(7), 11, 12, 13})
SRGB, EMBEDDED_PROFILE, RENDERING_INTENT = b"BGRs", b"DEBM", 4  # names of colour spaces, reversed


def decode_bmp(source: Source) -> Photo:
    """A BMP file as a photo. Raises InputError if it is too large, or of a kind not supported."""
    data = source.all()
    try:
        image = BmpImagePlugin.BmpImageFile(BytesIO(data))
    except OSError as error:
        if not str(error).startswith("Unsupported BMP") or not _is_sound(data):
            raise
        raise InputError(
            f"{source.name} is a BMP of a kind that is not supported",
            why="1, 4, 8, 16, 24 and 32 bits per pixel with channels in the usual places can be "
            "read, uncompressed or run-length coded",
            fix="save it as PNG or TIFF",
        ) from error
    source.check_size(image.height, image.width)
    values = from_pillow(image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGB"))
    has_alpha = values.shape[2] == 4
    return Photo(
        pixels=np.ascontiguousarray(values[:, :, :3]) if has_alpha else values,
        coding=BmpCoding(pixels_per_metre=_density(data)),
        alpha=np.ascontiguousarray(values[:, :, 3]) if has_alpha else None,
        icc_profile=_profile(data),
    )


def encode_bmp(photo: Photo, coding: BmpCoding, file: BinaryIO) -> None:
    """Write a BMP without compression. It has no place for EXIF, XMP and IPTC."""
    is_gray = photo.pixels.shape[2] == 1 and photo.alpha is None
    n_channels = 1 if is_gray else 3 + (photo.alpha is not None)
    palette = b"".join(bytes((level, level, level, 0)) for level in range(256)) if is_gray else b""
    profile = photo.icc_profile or b""
    is_long = bool(profile) or photo.alpha is not None
    header_bytes = LONG_HEADER_BYTES if is_long else SHORT_HEADER_BYTES
    row_bytes = -(-photo.width * n_channels // 4) * 4
    start = FILE_HEADER_BYTES + header_bytes + len(palette)
    picture_bytes = row_bytes * photo.height
    header = struct.pack(
        "<IiiHHIIiiII",
        header_bytes,
        photo.width,
        photo.height,
        1,
        8 * n_channels,
        UNCOMPRESSED if photo.alpha is None else MASKS,
        picture_bytes,
        *coding.pixels_per_metre,
        len(palette) // 4,
        0,
    )
    if is_long:
        masks = CHANNEL_MASKS if photo.alpha is not None else (0, 0, 0, 0)
        header += struct.pack("<4I", *masks) + (EMBEDDED_PROFILE if profile else SRGB)
        profile_start = header_bytes + len(palette) + picture_bytes if profile else 0
        header += bytes(48) + struct.pack("<IIII", RENDERING_INTENT, profile_start, len(profile), 0)
    file.write(b"BM" + struct.pack("<IHHI", start + picture_bytes + len(profile), 0, 0, start))
    file.write(header + palette)
    for stop in range(photo.height, 0, -BAND_ROWS):  # from the lowest row up
        rows = slice(max(0, stop - BAND_ROWS), stop)
        file.write(_band(photo, rows, n_channels, row_bytes).data)
    file.write(profile)


def _band(photo: Photo, rows: slice, n_channels: int, row_bytes: int) -> np.ndarray:
    """Rows as they lie in the file: the lowest first, blue first, filled up."""
    values = photo.pixels[rows][::-1]
    band = np.zeros((len(values), row_bytes), np.uint8)
    cells = band[:, : photo.width * n_channels].reshape(len(values), photo.width, n_channels)
    cells[:, :, :3] = values[:, :, ::-1]
    if photo.alpha is not None:
        cells[:, :, 3] = photo.alpha[rows][::-1]
    band[:, : photo.width * n_channels] = cells.reshape(len(values), -1)
    return band


def _is_sound(data: bytes) -> bool:
    """Whether size, depth and compression in the header are such that a BMP may have them."""
    (header_bytes,) = struct.unpack_from("<I", data, FILE_HEADER_BYTES)
    if header_bytes < SHORT_HEADER_BYTES:
        return header_bytes in HEADER_SIZES
    depth, compression = struct.unpack_from("<HI", data, FILE_HEADER_BYTES + 14)
    return header_bytes in HEADER_SIZES and depth in DEPTHS and compression in COMPRESSIONS


def _density(data: bytes) -> tuple[int, int]:
    """Pixels per metre across and down; OS/2 had headers without them."""
    (header_bytes,) = struct.unpack_from("<I", data, FILE_HEADER_BYTES)
    if header_bytes < SHORT_HEADER_BYTES:
        return 0, 0
    across, down = struct.unpack_from("<ii", data, FILE_HEADER_BYTES + 24)
    return across, down


def _profile(data: bytes) -> bytes | None:
    header = FILE_HEADER_BYTES
    if len(data) < header + LONG_HEADER_BYTES or data[header] != LONG_HEADER_BYTES:
        return None
    if data[header + 56 : header + 60] != EMBEDDED_PROFILE:
        return None
    start, n_bytes = struct.unpack_from("<II", data, header + 112)
    profile = data[header + start : header + start + n_bytes]
    return profile if len(profile) == n_bytes > 0 else None
