"""Small photos as the bytes of files, made by other writers than ours."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
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


def canon_exif(*, orientation: int = 1, thumbnail: bytes = b"") -> bytes:
    """EXIF with GPS, a thumbnail, and a maker note that refers to a place in the whole block."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F], tags[0x0110] = "Canon", "Canon EOS R5"
    tags[0x0131], tags[0x013B], tags[0x8298] = "Firmware 1.0", "Somebody", "(c) Somebody"
    tags[0x0132] = "2026:05:04 12:30:45"
    inner = tags.get_ifd(0x8769)
    text = b"Canon EOS R5".ljust(32, b"\0")
    # One directory with one tag, 6 (kind of picture), whose text follows it.
    maker_note = struct.pack(">HHHII", 1, 6, 2, len(text), 0) + bytes(4) + text
    inner[0x829A], inner[0x829D], inner[0x8827], inner[0x920A] = 0.004, 1.8, 400, 85.0
    inner[0x9003] = "2026:05:04 12:30:45"
    inner[0x927C] = maker_note
    inner[0xA001], inner[0xA002], inner[0xA003] = 1, 64, 48
    inner[0xA434] = "RF85mm F1.2"
    place = tags.get_ifd(0x8825)
    place[1], place[2], place[3], place[4] = "N", (52.0, 31.0, 12.5), "E", (13.0, 24.0, 1.25)
    block = bytearray(tags.tobytes().removeprefix(b"Exif\0\0"))
    at = block.index(maker_note)
    struct.pack_into(">I", block, at + 10, at + 18)
    return bytes(_with_thumbnail(block, thumbnail) if thumbnail else block)


def _with_thumbnail(block: bytearray, thumbnail: bytes) -> bytearray:
    """Link a second directory with a JPEG to an EXIF block in Motorola order."""
    (first,) = struct.unpack_from(">I", block, 4)
    (n_tags,) = struct.unpack_from(">H", block, first)
    start = len(block) + len(block) % 2
    struct.pack_into(">I", block, first + 2 + 12 * n_tags, start)
    picture = start + 2 + 3 * 12 + 4
    tags = ((259, 3, 6), (513, 4, picture), (514, 4, len(thumbnail)))
    directory = b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return block + bytes(len(block) % 2) + struct.pack(">H", 3) + directory + bytes(4) + thumbnail


def jpeg(image: np.ndarray, **options: object) -> bytes:
    """A JPEG written by Pillow."""
    return _pillow(image[:, :, 0] if image.shape[2] == 1 else image, "JPEG", options)


def png(image: np.ndarray, **options: object) -> bytes:
    """An 8-bit PNG written by Pillow."""
    return _pillow(image[:, :, 0] if image.shape[2] == 1 else image, "PNG", options)


def webp(image: np.ndarray, **options: object) -> bytes:
    """A WebP written by Pillow."""
    return _pillow(image, "WEBP", options)


def avif(image: np.ndarray, **options: object) -> bytes:
    """An 8-bit AVIF written by Pillow."""
    return _pillow(image, "AVIF", {"speed": 10, **options})


def deep_avif(image: np.ndarray, *, depth: int = 10) -> bytes:
    """An AVIF without loss of 10 or 12 bits, written by OpenCV from values of 16."""
    values = (image >> (16 - depth))[:, :, ::-1]
    settings = [cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_QUALITY, 100]
    return cv2.imencode(".avif", values, [*settings, cv2.IMWRITE_AVIF_SPEED, 10])[1].tobytes()


def jpeg2000(image: np.ndarray, *, suffix: str = ".jp2") -> bytes:
    """A JPEG 2000 without loss, written by OpenCV."""
    values = image if image.shape[2] == 1 else image[:, :, (2, 1, 0, 3)[: image.shape[2]]]
    return cv2.imencode(suffix, values, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])[1].tobytes()


def bmp(image: np.ndarray) -> bytes:
    """A BMP written by Pillow."""
    return _pillow(image[:, :, 0] if image.shape[2] == 1 else image, "BMP", {"dpi": (300, 300)})


def tiff(image: np.ndarray, **options: object) -> bytes:
    """A TIFF written by tifffile."""
    buffer = io.BytesIO()
    is_gray = image.ndim == 2 or image.shape[2] == 1
    options = {"photometric": "minisblack" if is_gray else "rgb", "metadata": None, **options}
    byteorder, bigtiff = options.pop("byteorder", "<"), options.pop("bigtiff", False)
    with tifffile.TiffWriter(buffer, byteorder=byteorder, bigtiff=bigtiff) as writer:
        writer.write(image.squeeze(), **options)
    return buffer.getvalue()


def libtiff(image: np.ndarray, **options: object) -> bytes:
    """An 8-bit TIFF written by libtiff through Pillow."""
    return _pillow(image[:, :, 0] if image.shape[2] == 1 else image, "TIFF", options)


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
