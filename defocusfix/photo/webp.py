"""WebP both ways: 8 bits, RGB with or without alpha, lossy stays lossy and lossless lossless."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import Image, WebPImagePlugin

from defocusfix.errors import InputError
from defocusfix.photo import metadata
from defocusfix.photo.coding import WebpCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.pixels import from_pillow, turn_upright, with_alpha
from defocusfix.photo.source import Source


def decode_webp(source: Source) -> Photo:
    """A WebP file as an upright photo. Raises InputError if it is animated or too large."""
    data = source.all()
    image = WebPImagePlugin.WebPImageFile(BytesIO(data))
    source.check_size(image.height, image.width)
    if image.is_animated:
        raise InputError(
            f"{source.name} is an animation", fix="save the picture you want on its own"
        )
    values = from_pillow(image if image.mode in ("RGB", "RGBA") else image.convert("RGB"))

    exif: bytes | None = image.info.get("exif")
    if exif is not None:
        exif = exif.removeprefix(b"Exif\0\0")
    values = turn_upright(values, metadata.orientation_of(exif))
    xmp: bytes | None = image.info.get("xmp")
    is_lossless = b"VP8L" in {name for name, _ in _chunks(data)}
    return Photo(
        pixels=np.ascontiguousarray(values[:, :, :3]),
        coding=WebpCoding(is_lossless=is_lossless),
        alpha=np.ascontiguousarray(values[:, :, 3]) if values.shape[2] == 4 else None,
        icc_profile=image.info.get("icc_profile"),
        exif=exif and metadata.upright_exif(exif),
        xmp=xmp and metadata.upright_xmp(xmp),
        has_lost=not is_lossless,
    )


def encode_webp(photo: Photo, coding: WebpCoding, file: BinaryIO) -> None:
    """Write a WebP. Colours under transparent pixels are kept."""
    encoded = BytesIO()
    Image.fromarray(with_alpha(photo.pixels, photo.alpha, as_rgb=True)).save(
        encoded,
        "WEBP",
        lossless=coding.is_lossless,
        quality=100 if coding.is_lossless else coding.quality,
        exact=True,
        icc_profile=photo.icc_profile or b"",
        exif=photo.exif or b"",
        xmp=photo.xmp or b"",
    )
    file.write(encoded.getbuffer())


def exif_in_webp(data: bytes) -> bytes | None:
    """The EXIF block of a WebP file, without decoding it; None if it has none, or is no WebP."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    found = next((content for name, content in _chunks(data) if name == b"EXIF"), None)
    return None if found is None else found.removeprefix(b"Exif\0\0")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each; the last may be cut off."""
    position = 12
    while position + 8 <= len(data):
        name = data[position : position + 4]
        (length,) = struct.unpack_from("<I", data, position + 4)
        yield name, data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
