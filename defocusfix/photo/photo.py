"""A photo in memory: its pixels as the file stores them, and all that must survive beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[Any]
"""Stored values, uint8 or uint16."""
BAND_ROWS = 256  # rows changed at a time; keeps the float copy of a large photo small


@dataclass(frozen=True, slots=True)
class JpegCoding:
    """How a JPEG was compressed, so that it is written back no worse."""

    format: ClassVar[str] = "jpeg"

    quantisation: tuple[tuple[int, ...], ...]
    """Quantisation tables in the order of the components, 64 numbers each."""
    subsampling: int
    """Chroma at full size (0), half width (1), or half width and height (2)."""
    is_progressive: bool = False
    is_rgb: bool = False
    """Whether the components are red, green, blue instead of luma and chroma."""
    segments: tuple[bytes, ...] = ()
    """JPEG segments without a meaning here (IPTC, comments, density), copied as they are."""


@dataclass(frozen=True, slots=True)
class PngCoding:
    """What only a PNG has."""

    format: ClassVar[str] = "png"

    chunks: tuple[tuple[bytes, bytes], ...] = ()
    """Type and content of chunks without a meaning here (texts, gamma), copied as they are."""


@dataclass(frozen=True, slots=True)
class TiffCoding:
    """How a TIFF was written."""

    format: ClassVar[str] = "tiff"

    is_deflated: bool = False
    is_big_endian: bool = False
    alpha_kind: int = 2
    """ExtraSamples of the alpha channel: 0 unspecified, 1 premultiplied, 2 transparency."""


@dataclass(frozen=True, slots=True)
class WebpCoding:
    """How a WebP was compressed."""

    format: ClassVar[str] = "webp"

    is_lossless: bool = False


Coding = JpegCoding | PngCoding | TiffCoding | WebpCoding


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One photo, upright, with everything its file says about it."""

    pixels: Pixels
    """(H, W, 3) RGB or (H, W, 1) gray, uint8 or uint16, values as in the file."""
    coding: Coding
    """The file format and how it was used."""
    alpha: Pixels | None = None
    """(H, W), dtype of `pixels`; never changed."""
    icc_profile: bytes | None = None
    """Colour profile; colours are never converted."""
    exif: bytes | None = None
    """EXIF as a TIFF structure, orientation 1, without the thumbnail of the old pixels."""
    xmp: bytes | None = None
    """XMP packet."""
    notes: tuple[str, ...] = ()
    """What could not be carried along, in words for the user."""

    @property
    def format(self) -> str:
        """One of jpeg, png, tiff, webp."""
        return self.coding.format

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.height * self.width / 1e6

    @property
    def bits(self) -> int:
        """Bits per channel, 8 or 16."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def largest_value(self) -> int:
        """White as stored, 255 or 65535."""
        return int(np.iinfo(self.pixels.dtype).max)

    def to_float(self) -> npt.NDArray[np.float32]:
        """The colours as (H, W, 3) float32 in [0, 1]; gray is repeated three times."""
        image = np.multiply(self.pixels, np.float32(1 / self.largest_value), dtype=np.float32)
        return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)

    def changed_by(self, change: npt.NDArray[np.float32]) -> Photo:
        """The same photo with `change` added to its colours; nothing else differs.

        change: (H, W, 3) on the scale of `to_float`; a gray photo takes the mean of the three.
        A change below half a stored step leaves the stored value exactly as it was.
        """
        pixels = np.empty_like(self.pixels)
        for start in range(0, self.height, BAND_ROWS):
            rows = slice(start, start + BAND_ROWS)
            pixels[rows] = self._changed_rows(self.pixels[rows], change[rows])
        return replace(self, pixels=pixels)

    def _changed_rows(self, stored: Pixels, change: npt.NDArray[np.float32]) -> Pixels:
        if stored.shape[2] == 1:
            change = change.mean(axis=2, keepdims=True)
        steps = np.rint(change * np.float32(self.largest_value)).astype(np.int32)
        changed: Pixels = np.clip(stored + steps, 0, self.largest_value)
        return changed
