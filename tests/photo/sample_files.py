"""Small photos as the bytes of files, made by other writers than ours."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageCms

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="1"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def scene(height: int = 48, width: int = 64, *, channels: int = 3, bits: int = 8) -> np.ndarray:
    """A smooth picture, different in every corner and channel, (H, W, channels)."""
    y, x = np.mgrid[0:height, 0:width]
    y, x = y / height, x / width
    planes = (0.1 + 0.8 * y, 0.9 - 0.7 * x, 0.2 + 0.6 * x * y, 0.5 + 0.5 * np.sin(6 * x))
    image = np.stack(planes[:channels], axis=2)
    return np.round(image * (2**bits - 1)).astype(f"uint{bits}")


def exif(*, orientation: int = 1) -> bytes:
    """EXIF with camera, lens, GPS and a maker note that is not aligned to anything."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F] = "Maker"
    inner = tags.get_ifd(0x8769)
    inner[0x829D] = 1.8
    inner[0x920A] = 85.0
    inner[0x927C] = b"maker note \x00\x01\x02"
    inner[0xA002], inner[0xA003] = 64, 48
    place = tags.get_ifd(0x8825)
    place[1], place[2] = "N", (52.0, 31.0, 12.5)
    return tags.tobytes().removeprefix(b"Exif\0\0")


def jpeg(image: np.ndarray, **options: object) -> bytes:
    """A JPEG written by Pillow."""
    return _pillow(image[:, :, 0] if image.shape[2] == 1 else image, "JPEG", options)


def png(image: np.ndarray, **options: object) -> bytes:
    """An 8-bit PNG written by Pillow."""
    return _pillow(image[:, :, 0] if image.shape[2] == 1 else image, "PNG", options)


def webp(image: np.ndarray, **options: object) -> bytes:
    """A WebP written by Pillow."""
    return _pillow(image, "WEBP", options)


def tiff(image: np.ndarray, **options: object) -> bytes:
    """A TIFF written by tifffile."""
    buffer = io.BytesIO()
    is_gray = image.ndim == 2 or image.shape[2] == 1
    options = {"photometric": "minisblack" if is_gray else "rgb", "metadata": None, **options}
    byteorder = options.pop("byteorder", "<")
    with tifffile.TiffWriter(buffer, byteorder=byteorder) as writer:
        writer.write(image.squeeze(), **options)
    return buffer.getvalue()


def tiff_with_exif(image: np.ndarray) -> bytes:
    """An 8-bit TIFF with Exif and GPS directories, written by Pillow."""
    return _pillow(image, "TIFF", {"exif": exif(), "icc_profile": PROFILE})


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def _pillow(image: np.ndarray, file_format: str, options: dict[str, Any]) -> bytes:
    if "exif" in options:
        options["exif"] = b"Exif\0\0" + options["exif"]  # Pillow wants it for every format
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, file_format, **options)
    return buffer.getvalue()
