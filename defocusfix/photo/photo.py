"""A photo in memory: its pixels as the file stores them, and all that must survive beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from defocusfix.photo import reduce, signature
from defocusfix.photo.coding import Coding, JpegCoding, bare, without_place
from defocusfix.photo.jpeg_segments import MAX_EXIF, MAX_XMP
from defocusfix.photo.metadata import xmp_within
from defocusfix.photo.pixels import Pixels, largest_value


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One photo, upright, with everything its file says about it."""

    pixels: Pixels
    """(H, W, 3) RGB or (H, W, 1) gray, values as in the file: uint8 or uint16, or float32, where
    1 is white and values beyond it are allowed."""
    coding: Coding
    """The file format and how it was used."""
    alpha: Pixels | None = None
    """(H, W), dtype of `pixels`; never changed."""
    icc_profile: bytes | None = None
    """Colour profile; colours are never converted."""
    colour_codes: tuple[int, int] | None = None
    """Primaries and transfer curve as numbered in ITU-T H.273, where no profile says them."""
    exif: bytes | None = None
    """EXIF as a TIFF structure, orientation 1."""
    xmp: bytes | None = None
    """XMP packet."""
    iptc: bytes | None = None
    """IPTC-IIM records."""
    notes: tuple[str, ...] = ()
    """What could not be carried along, in words for the user."""
    has_lost: bool = False
    """Whether the file it was read from was compressed with loss."""

    @property
    def format(self) -> str:
        """One of jpeg, png, tiff, webp, avif, bmp, jpeg2000, heic, raw."""
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
        """Bits per channel: 8, 16, or 32 for floating point."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def largest_value(self) -> float:
        """White as stored: 255, 65535, or 1.0 for floating point."""
        return largest_value(self.pixels.dtype)

    @property
    def second_loss(self) -> str:
        """What to tell the user if this photo is compressed with loss once more, else empty."""
        if not (self.has_lost and self.coding.is_lossy):
            return ""
        return (
            f"saved as {self.format.upper()} again, which loses a little; "
            "--format png or tiff loses nothing"
        )

    def to_float(self) -> npt.NDArray[np.float32]:
        """The colours as (H, W, 3) float32, 1 being white; gray is repeated three times."""
        image = np.multiply(self.pixels, np.float32(1 / self.largest_value), dtype=np.float32)
        return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)

    def with_pixels(self, pixels: Pixels) -> Photo:
        """The same photo with other colours, of the same shape and dtype as its own.

        Raises ValueError if they are not.
        """
        if pixels.shape != self.pixels.shape or pixels.dtype != self.pixels.dtype:
            raise ValueError(
                f"pixels {pixels.shape} {pixels.dtype} cannot take the place of "
                f"{self.pixels.shape} {self.pixels.dtype}"
            )
        return replace(self, pixels=pixels)

    def cropped(self, x: int, y: int, width: int, height: int) -> Photo:
        """A rectangle of the photo, with the same metadata.

        x, y: its upper left corner in the upright photo. Raises ValueError if it is empty or
        reaches beyond the photo.
        """
        if min(x, y) < 0 or min(width, height) < 1:
            raise ValueError(f"a rectangle of {width} x {height} at {x}, {y} is none")
        if x + width > self.width or y + height > self.height:
            raise ValueError(f"the rectangle reaches beyond {self.width} x {self.height} pixels")
        part = np.s_[y : y + height, x : x + width]
        alpha = None if self.alpha is None else np.ascontiguousarray(self.alpha[part])
        return replace(self, pixels=np.ascontiguousarray(self.pixels[part]), alpha=alpha)

    def signed(self, software: str) -> Photo:
        """The same photo, whose metadata name `software` as what last changed it.

        EXIF gets the tag Software, with a new block if there was none; XMP, where there is some,
        its CreatorTool. What a JPEG has no room for is left out and noted: nothing gives way to it.
        """
        exif = signature.signed_exif(self.exif, software)
        xmp = self.xmp and signature.signed_xmp(self.xmp, software)
        notes = self.notes
        if isinstance(self.coding, JpegCoding):
            if self.exif is not None and len(exif) > MAX_EXIF:
                exif = self.exif
                notes = (*notes, "EXIF is full, so its tag Software stays as it was")
            if xmp is not None and xmp_within(xmp, MAX_XMP) is None:
                xmp = self.xmp
        return replace(self, exif=exif, xmp=xmp, notes=notes)

    def reduced(self, policy: reduce.Policy, *, keeps_gps: bool) -> Photo:
        """The same photo with less said about it; its colours always keep their meaning.

        policy: "keep" leaves everything, "minimal" leaves date, author and copyright, "none"
        nothing. keeps_gps: whether the GPS position stays; only "keep" ever keeps it.
        """
        if policy == "keep":
            if keeps_gps:
                return self
            return replace(
                self,
                coding=without_place(self.coding),
                exif=self.exif and reduce.exif_without_place(self.exif),
                xmp=self.xmp and reduce.xmp_without_place(self.xmp),
            )
        exif = reduce.minimal_exif(self.exif) if policy == "minimal" and self.exif else None
        return replace(self, coding=bare(self.coding), exif=exif, xmp=None, iptc=None)
