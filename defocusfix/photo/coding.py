"""How a photo's file was coded, one class for each format, so that it is written back alike."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from defocusfix.photo.photoshop import resources_without_place

# PNG chunks that say what the colours mean; true for new pixels, whatever else is left out.
PNG_COLOUR_CHUNKS = frozenset(b"gAMA cHRM sRGB mDCV mDCv cLLI cLLi".split())
_PLACE = re.compile(rb"\w:GPS", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class JpegCoding:
    """How a JPEG was compressed, so that it is written back no worse."""

    format: ClassVar[str] = "jpeg"
    is_lossy: ClassVar[bool] = True

    quantisation: tuple[tuple[int, ...], ...]
    """Quantisation tables in the order of the components, 64 numbers each."""
    subsampling: int
    """Chroma at full size (0), half width (1), or half width and height (2)."""
    is_progressive: bool = False
    is_rgb: bool = False
    """Whether the components are red, green, blue instead of luma and chroma."""
    segments: tuple[bytes, ...] = ()
    """JPEG segments without a meaning here (comments, density), copied as they are."""
    resources: bytes = b""
    """Photoshop's image resources, without IPTC and thumbnails."""


@dataclass(frozen=True, slots=True)
class PngCoding:
    """What only a PNG has."""

    format: ClassVar[str] = "png"
    is_lossy: ClassVar[bool] = False

    chunks: tuple[tuple[bytes, bytes], ...] = ()
    """Type and content of chunks without a meaning here (texts, gamma), copied as they are."""


@dataclass(frozen=True, slots=True)
class TiffCoding:
    """How a TIFF was written."""

    format: ClassVar[str] = "tiff"
    is_lossy: ClassVar[bool] = False

    compression: Literal["none", "lzw", "deflate"] = "none"
    is_big_endian: bool = False
    is_big: bool = False
    """BigTIFF, which may be larger than 4 GB."""
    alpha_kind: int = 2
    """ExtraSamples of the alpha channel: 0 unspecified, 1 premultiplied, 2 transparency."""
    resources: bytes = b""
    """Photoshop's image resources, without IPTC and thumbnails."""


@dataclass(frozen=True, slots=True)
class WebpCoding:
    """How a WebP was compressed."""

    format: ClassVar[str] = "webp"

    is_lossless: bool = False
    quality: int = 95  # a lossy WebP does not say with which quality it was made

    @property
    def is_lossy(self) -> bool:
        """Whether writing changes pixels."""
        return not self.is_lossless


@dataclass(frozen=True, slots=True)
class AvifCoding:
    """How an AVIF was compressed."""

    format: ClassVar[str] = "avif"
    is_lossy: ClassVar[bool] = True

    depth: Literal[8, 10, 12] = 8
    """Bits per channel; more than 8 are held as uint16 with white at 65535."""
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0", "4:0:0"] = "4:4:4"
    quality: int = 90  # an AVIF does not say with which quality it was made


@dataclass(frozen=True, slots=True)
class BmpCoding:
    """What only a BMP has; it is written without compression."""

    format: ClassVar[str] = "bmp"
    is_lossy: ClassVar[bool] = False

    pixels_per_metre: tuple[int, int] = (0, 0)
    """Across and down; 0 if unknown."""


@dataclass(frozen=True, slots=True)
class Jpeg2000Coding:
    """What only a JPEG 2000 has; it is written without loss."""

    format: ClassVar[str] = "jpeg2000"
    is_lossy: ClassVar[bool] = False

    is_bare_stream: bool = False
    """A codestream without the boxes of a JP2 file around it."""
    boxes: tuple[bytes, ...] = ()
    """Boxes without a meaning here, copied as they are."""


@dataclass(frozen=True, slots=True)
class HeicCoding:
    """A HEIC, which is read and never written."""

    format: ClassVar[str] = "heic"
    is_lossy: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class RawCoding:
    """The raw data of a camera, which is developed and never written."""

    format: ClassVar[str] = "raw"
    is_lossy: ClassVar[bool] = False


Coding = (
    JpegCoding
    | PngCoding
    | TiffCoding
    | WebpCoding
    | AvifCoding
    | BmpCoding
    | Jpeg2000Coding
    | HeicCoding
    | RawCoding
)


def bare(coding: Coding) -> Coding:
    """The same coding without anything that describes the photo."""
    match coding:
        case JpegCoding():
            return replace(coding, segments=(), resources=b"")
        case PngCoding(chunks):
            return PngCoding(tuple(c for c in chunks if c[0] in PNG_COLOUR_CHUNKS))
        case TiffCoding():
            return replace(coding, resources=b"")
        case Jpeg2000Coding():
            return replace(coding, boxes=())
        case _:
            return coding


def without_place(coding: Coding) -> Coding:
    """The same coding without those parts that hold a GPS position."""
    match coding:
        case JpegCoding(segments=segments, resources=resources):
            return replace(
                coding,
                segments=tuple(s for s in segments if not _has_place(s)),
                resources=resources_without_place(resources),
            )
        case TiffCoding(resources=resources):
            return replace(coding, resources=resources_without_place(resources))
        case PngCoding(chunks):
            return PngCoding(tuple(chunk for chunk in chunks if not _has_place(chunk[1])))
        case Jpeg2000Coding(boxes=boxes):
            return replace(coding, boxes=tuple(box for box in boxes if not _has_place(box)))
        case _:
            return coding


def _has_place(content: bytes) -> bool:
    # As XMP spells it, in extended XMP and in text chunks; or EXIF and XMP packed as texts of PNG.
    packed = (b"Raw profile type ", b"XML:com.adobe")
    return _PLACE.search(content) is not None or content.startswith(packed)
