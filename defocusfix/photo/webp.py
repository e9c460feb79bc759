"""WebP both ways: 8 bits, RGB with or without alpha, lossy stays lossy and lossless lossless."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image, WebPImagePlugin

from defocusfix.errors import InputError
from defocusfix.photo import metadata
from defocusfix.photo.limits import check_size
from defocusfix.photo.photo import Photo, WebpCoding

LOSSY_QUALITY = 95  # a lossy WebP does not say with which quality it was made


def decode_webp(data: bytes, name: str) -> Photo:
    """A WebP file as an upright photo. Raises InputError if damaged, animated or too large."""
    try:
        image = WebPImagePlugin.WebPImageFile(BytesIO(data))
        check_size(name, image.height, image.width)
        if image.is_animated:
            raise InputError(f"{name} is an animation", fix="save the picture you want on its own")
        values = np.asarray(image if image.mode in ("RGB", "RGBA") else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{name} cannot be read", why=f"damaged WebP: {error}") from error

    exif: bytes | None = image.info.get("exif")
    if exif is not None:
        exif = exif.removeprefix(b"Exif\0\0")
    values = metadata.turn_upright(values, metadata.orientation_of(exif))
    xmp: bytes | None = image.info.get("xmp")
    return Photo(
        pixels=np.ascontiguousarray(values[:, :, :3]),
        coding=WebpCoding(is_lossless=b"VP8L" in set(_chunk_types(data))),
        alpha=np.ascontiguousarray(values[:, :, 3]) if values.shape[2] == 4 else None,
        icc_profile=image.info.get("icc_profile"),
        exif=exif and metadata.upright_exif(exif, height=values.shape[0], width=values.shape[1]),
        xmp=xmp and metadata.upright_xmp(xmp),
    )


def encode_webp(photo: Photo, coding: WebpCoding) -> bytes:
    """The bytes of a WebP. Colours under transparent pixels are kept."""
    alpha = () if photo.alpha is None else (photo.alpha[:, :, None],)
    encoded = BytesIO()
    Image.fromarray(np.concatenate((photo.pixels, *alpha), axis=2)).save(
        encoded,
        "WEBP",
        lossless=coding.is_lossless,
        quality=100 if coding.is_lossless else LOSSY_QUALITY,
        exact=True,
        icc_profile=photo.icc_profile or b"",
        exif=photo.exif or b"",
        xmp=photo.xmp or b"",
    )
    return encoded.getvalue()


def _chunk_types(data: bytes) -> Iterator[bytes]:
    position = 12
    while position + 8 <= len(data):
        yield data[position : position + 4]
        (length,) = struct.unpack_from("<I", data, position + 4)
        position += 8 + length + length % 2
