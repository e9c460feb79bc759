"""A photo that is to be saved in another format or depth than it came in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from defocusfix.errors import OutputError
from defocusfix.photo import metadata
from defocusfix.photo.coding import (
    AvifCoding,
    Coding,
    JpegCoding,
    PngCoding,
    TiffCoding,
    WebpCoding,
)
from defocusfix.photo.jpeg import jpeg_coding
from defocusfix.photo.jpeg_segments import MAX_EXIF, MAX_XMP
from defocusfix.photo.photo import Photo
from defocusfix.photo.pixels import exceeds_white, largest_value, with_depth

Target: TypeAlias = Literal["jpeg", "png", "png16", "tiff", "tiff16", "tiff32f", "webp", "avif"]
TARGETS: tuple[str, ...] = get_args(Target)

DTYPES = {"png16": "uint16", "tiff16": "uint16", "tiff32f": "float32"}  # all others are uint8
FORMATS = {"png16": "png", "tiff16": "tiff", "tiff32f": "tiff"}
# What a photo is saved as whose own format is only read.
WRITTEN_AS: dict[str, Target] = {"heic": "jpeg", "raw": "tiff16"}
JPEG_QUALITY = 95
LARGEST_WEBP = 16383  # pixels each way
# Primaries and curve of sRGB, or left unsaid, which is read as sRGB.
SRGB_CODES = frozenset({(1, 13), (1, 1), (1, 6), (1, 2), (2, 13)})
HOLDS_COLOUR_CODES = frozenset({"png", "avif"})
HOLDS_IPTC = frozenset({"jpeg", "tiff"})


def converted(photo: Photo, target: Target, *, quality: int | None = None) -> Photo:
    """The same photo, to be saved as `target`, with all of its metadata that fits into that.

    quality: 1 to 100, for lossy formats; by default that of the source where the format stays, and
    otherwise a high one. Values are rounded to the nearest that the new depth has, but an AVIF
    that stays one keeps its depth. What is left out is said in the notes. Raises OutputError if
    the photo is transparent, too large, or has colours of a meaning that the format cannot state.
    """
    file_format = FORMATS.get(target, target)
    _refuse_what_cannot_be_kept(photo, file_format)
    dtype = np.dtype(DTYPES.get(target, "uint8"))
    if file_format == photo.format == "avif":
        dtype = photo.pixels.dtype
    exif, xmp = _fitting(photo, file_format)
    return replace(
        photo,
        pixels=with_depth(photo.pixels, dtype),
        coding=_coding(photo, file_format, quality),
        alpha=None
        if photo.alpha is None or file_format == "jpeg"
        else with_depth(photo.alpha, dtype),
        colour_codes=photo.colour_codes if file_format in HOLDS_COLOUR_CODES else None,
        exif=exif,
        xmp=xmp,
        iptc=photo.iptc if file_format in HOLDS_IPTC else None,
        notes=(*photo.notes, *_losses(photo, file_format, dtype, exif, xmp)),
    )


def _refuse_what_cannot_be_kept(photo: Photo, file_format: str) -> None:
    name = file_format.upper()
    if (
        file_format == "jpeg"
        and photo.alpha is not None
        and photo.alpha.min() < largest_value(photo.alpha.dtype)
    ):
        raise OutputError(
            "a photo with transparency cannot be saved as JPEG",
            fix="--format png keeps transparency; or flatten the photo first",
        )
    codes = photo.colour_codes
    if (
        codes is not None
        and codes not in SRGB_CODES
        and photo.icc_profile is None
        and file_format not in HOLDS_COLOUR_CODES
    ):
        raise OutputError(
            f"the colours of this photo cannot be stated in a {name}",
            why=f"codes {codes[0]} and {codes[1]} describe them in place of a profile",
            fix="save it as png16, which has these codes as well",
        )
    largest = {"jpeg": 65500, "webp": LARGEST_WEBP, "avif": 65536}.get(file_format)
    if largest is not None and max(photo.height, photo.width) > largest:
        raise OutputError(
            f"a photo of {photo.width} x {photo.height} cannot be saved as {name}",
            why=f"{name} ends at {largest} pixels each way",
            fix="take tiff or png",
        )


def _fitting(photo: Photo, file_format: str) -> tuple[bytes | None, bytes | None]:
    """EXIF and XMP, or as much of them as the format has room for."""
    exif, xmp = photo.exif, photo.xmp
    if file_format == "jpeg":
        exif = exif and metadata.exif_within(exif, MAX_EXIF)
        xmp = xmp and metadata.xmp_within(xmp, MAX_XMP)
    elif file_format == "tiff" and exif is not None and not metadata.is_readable(exif):
        exif = None
    return exif, xmp


def _losses(
    photo: Photo,
    file_format: str,
    dtype: np.dtype[np.generic],
    exif: bytes | None,
    xmp: bytes | None,
) -> Iterator[str]:
    """What does not go along, in words for the user."""
    name = file_format.upper()
    if photo.format == "heic" and dtype.itemsize < photo.pixels.dtype.itemsize:
        yield f"a {name} has 8 bits per channel; --format tiff16 keeps more of this HEIC"
    if dtype.kind == "u" and exceeds_white(photo.pixels):
        yield "values below black or above white were clipped"
    if photo.exif is not None and (exif is None or len(exif) < len(photo.exif)):
        yield f"EXIF was too large for a {name} or damaged, and has been shortened"
    if photo.xmp is not None and xmp is None:
        yield f"XMP was too large for a {name} and has been left out"
    if photo.iptc is not None and file_format not in HOLDS_IPTC:
        yield f"IPTC records were left out, since a {name} has no place for them"


def _coding(photo: Photo, file_format: str, quality: int | None) -> Coding:
    """The coding of the photo where its format stays, otherwise a new one."""
    is_gray = photo.pixels.shape[2] == 1
    match photo.coding:
        case JpegCoding() as coding if file_format == "jpeg":
            if quality is None:
                return coding
            new = jpeg_coding(quality, is_gray=is_gray)
            return replace(
                coding, quantisation=new.quantisation, subsampling=new.subsampling, is_rgb=False
            )
        case WebpCoding() as coding if file_format == "webp":
            return coding if quality is None else WebpCoding(quality=quality)
        case AvifCoding() as coding if file_format == "avif":
            return coding if quality is None else replace(coding, quality=quality)
        case coding if coding.format == file_format:
            return coding
    match file_format:
        case "jpeg":
            return jpeg_coding(quality or JPEG_QUALITY, is_gray=is_gray)
        case "png":
            return PngCoding()
        case "tiff":
            return TiffCoding(compression="deflate")
        case "webp":
            return WebpCoding() if quality is None else WebpCoding(quality=quality)
        case _:
            return AvifCoding() if quality is None else AvifCoding(quality=quality)
