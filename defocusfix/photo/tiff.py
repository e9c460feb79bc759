"""TIFF in: one picture of 8 or 16 bits or of floating point, with all its tags.

Strips and tiles, classic and BigTIFF, uncompressed, LZW, Deflate, PackBits and JPEG.

Source: TIFF 6.0; Adobe TIFF Technical Notes (Deflate, Photoshop tags).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from defocusfix.errors import InputError
from defocusfix.photo import ifd, metadata
from defocusfix.photo.coding import TiffCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.photoshop import split_resources
from defocusfix.photo.pixels import Pixels, largest_value, turn_upright
from defocusfix.photo.source import Source
from defocusfix.photo.tiff_segments import (
    DEFLATE,
    JPEG,
    LZW,
    PACKBITS,
    UNCOMPRESSED,
    Picture,
    read_pixels,
)
from defocusfix.photo.tiff_write import ICC_TAG, IPTC_TAG, RESOURCES_TAG, XMP_TAG

LAYERS_TAG, SUB_DIRECTORIES_TAG = 37724, 330
GRAY, RGB, YCBCR = 1, 2, 6
PREMULTIPLIED = 1
DTYPES = {(1, 8): "u1", (1, 16): "u2", (4, 8): "u1", (4, 16): "u2", (3, 32): "f4"}
COLOUR_MODELS = {
    0: "gray with white as 0",
    3: "PALETTE",
    4: "a transparency mask",
    5: "SEPARATED (CMYK)",
    6: "YCBCR",
    8: "CIELAB",
    9: "ICCLAB",
    10: "ITULAB",
    32803: "camera raw",
    34892: "camera raw",
}
COMPRESSIONS = {
    2: "CCITT",
    3: "CCITT",
    4: "CCITT",
    6: "JPEG of the old kind",
    34712: "JPEG 2000",
    34925: "LZMA",
    50000: "ZSTD",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
MOST_PICTURES = 1000  # directories followed before a file is taken for a loop

# Tags that say how the pixels are laid out. The writer sets its own.
LAYOUT_TAGS = (
    frozenset(range(254, 260))
    | frozenset(range(262, 267))
    | frozenset(range(277, 282))
    | frozenset(range(322, 326))
    | frozenset(range(338, 342))
    | frozenset(range(512, 522))
    | frozenset(range(529, 533))
    | {273, 284, 288, 289, 292, 293, 297, 317, 320, 332, 334, 347}
    | {XMP_TAG, ICC_TAG, IPTC_TAG, RESOURCES_TAG, LAYERS_TAG, SUB_DIRECTORIES_TAG}
)


class _Tags:
    """The tags of the first directory, as values, but for those of Exif and GPS."""

    def __init__(self, source: Source) -> None:
        self.layout = ifd.layout_of(source)
        entries = ifd.read_directory(
            source, ifd.first_directory(source), left_out={LAYERS_TAG, *ifd.POINTERS}
        )
        self._by_tag = {entry.tag: entry for entry in reversed(entries)}

    def numbers(self, tag: int) -> tuple[int, ...]:
        """All numbers of a tag, none if it is missing."""
        entry = self._by_tag.get(tag)
        return () if entry is None else entry.numbers(self.layout.order)

    def number(self, tag: int, default: int) -> int:
        """The first number of a tag."""
        return next(iter(self.numbers(tag)), default)

    def content(self, tag: int) -> bytes | None:
        """The bytes of a tag."""
        entry = self._by_tag.get(tag)
        return None if entry is None else entry.value


def decode_tiff(source: Source) -> Photo:
    """A TIFF file as an upright photo.

    Raises InputError if it is too large, or has something that could not be kept: several
    pictures, another depth, compression or colour model.
    """
    tags = _Tags(source)
    height, width = tags.number(257, 0), tags.number(256, 0)
    source.check_size(height, width)
    _refuse_what_cannot_be_kept(source, tags)
    picture = _picture(source, tags)
    pixels, alpha = read_pixels(source, picture)
    if pixels.dtype.kind == "f" and not all(np.isfinite(row).all() for row in pixels):
        raise InputError(
            f"{source.name} has values that are no numbers",
            why="floating point can hold NaN and infinity, which would spread around them",
            fix="fill these places in your photo editor",
        )
    exif = descriptive_tags(source)
    orientation = metadata.orientation_of(exif)
    alpha_kind = tags.number(338, 0) if alpha is not None else 2
    _refuse_premultiplied(alpha, alpha_kind, source.name)
    iptc, resources = split_resources(tags.content(RESOURCES_TAG) or b"")
    xmp = tags.content(XMP_TAG)
    return Photo(
        pixels=turn_upright(pixels, orientation),
        coding=TiffCoding(
            compression=_compression_written(picture.compression),
            is_big_endian=tags.layout.order == ">",
            is_big=tags.layout.is_big,
            alpha_kind=alpha_kind,
            resources=resources,
        ),
        alpha=None if alpha is None else turn_upright(alpha, orientation),
        icc_profile=tags.content(ICC_TAG),
        exif=metadata.upright_exif(exif),
        xmp=xmp and metadata.upright_xmp(xmp),
        iptc=_iptc(tags) or iptc,
        notes=tuple(_notes(source)),
        has_lost=picture.compression == JPEG,
    )


def descriptive_tags(source: Source) -> bytes:
    """An EXIF block of those tags of a TIFF that describe the photo instead of its layout.

    Raises BrokenTagsError if the directory of tags is damaged.
    """
    entries = ifd.read_directory(source, ifd.first_directory(source), left_out=LAYOUT_TAGS)
    # Types above 13 are known to BigTIFF alone.
    kept = tuple(entry for entry in entries if entry.kind <= 13)
    return ifd.pack_block(kept, ifd.layout_of(source).order)


def _picture(source: Source, tags: _Tags) -> Picture:
    """The layout of the pixels. Raises ValueError where it contradicts itself."""
    height, width = tags.number(257, 0), tags.number(256, 0)
    is_tiled = bool(tags.numbers(322))
    segment_height = tags.number(323, 0) if is_tiled else min(height, tags.number(278, height))
    segment_width = tags.number(322, 0) if is_tiled else width
    source.check_size(segment_height, segment_width)
    kind = DTYPES[tags.number(339, 1), tags.number(258, 1)]
    return Picture(
        height=height,
        width=width,
        channels=tags.number(277, 1),
        colours=1 if tags.number(262, -1) == GRAY else 3,
        dtype=np.dtype(tags.layout.order + kind),
        compression=tags.number(259, UNCOMPRESSED),
        predictor=tags.number(317, 1),
        is_planar=tags.number(284, 1) == 2,
        is_ycbcr=tags.number(262, -1) == YCBCR,
        segment_height=segment_height,
        segment_width=segment_width,
        is_tiled=is_tiled,
        offsets=tags.numbers(324 if is_tiled else 273),
        byte_counts=tags.numbers(325 if is_tiled else 279),
        jpeg_tables=tags.content(347) or b"",
    )


def _refuse_what_cannot_be_kept(source: Source, tags: _Tags) -> None:
    name = source.name
    photometric, compression = tags.number(262, -1), tags.number(259, UNCOMPRESSED)
    n_pictures = _n_pictures(source)
    if n_pictures != 1:
        raise InputError(
            f"{name} holds {n_pictures} pictures", fix="save the picture you want on its own"
        )
    if compression not in (UNCOMPRESSED, LZW, *DEFLATE, JPEG, PACKBITS):
        raise InputError(
            f"{name} is compressed with {COMPRESSIONS.get(compression, f'method {compression}')}",
            why="TIFFs can be read uncompressed or with LZW, Deflate (ZIP), PackBits or JPEG",
            fix="save it again as a TIFF with ZIP compression, or without",
        )
    if photometric not in (RGB, GRAY) and not (photometric == YCBCR and compression == JPEG):
        raise InputError(
            f"{name} has the colour model {COLOUR_MODELS.get(photometric, photometric)}",
            why="only RGB and gray photos can be restored without changing their colours",
            fix="convert it to RGB in your photo editor first",
        )
    bits, formats = set(tags.numbers(258)) or {1}, set(tags.numbers(339)) or {1}
    if len(bits) > 1 or len(formats) > 1 or (*formats, *bits) not in DTYPES:
        kinds = {2: " with a sign", 3: " of floating point"}
        raise InputError(
            f"{name} has {max(bits)} bits per channel{kinds.get(max(formats), '')}",
            why="whole numbers of 8 and 16 bits and floating point of 32 bits can be kept exactly",
            fix="save it as a 16-bit TIFF",
        )
    channels, colours = tags.number(277, 1), 1 if photometric == GRAY else 3
    if channels - colours not in (0, 1):
        raise InputError(
            f"{name} has {channels} channels",
            why="only the colours and one alpha channel can be kept",
            fix="remove the other channels",
        )
    if tags.number(266, 1) != 1:
        raise ValueError("its bits are in reverse order")


def _n_pictures(source: Source) -> int:
    """How many pictures there are, without smaller copies of them."""
    seen: set[int] = set()
    position = ifd.first_directory(source)
    n_pictures = 0
    while position and position not in seen and len(seen) < MOST_PICTURES:
        seen.add(position)
        kinds = {
            place.tag: ifd.integer_at(source, place)
            for place in ifd.places(source, position)
            if place.tag in (254, 255)
        }
        n_pictures += not (kinds.get(254, 0) & 1 or kinds.get(255) == 2)
        position = ifd.next_directory(source, position)
    return max(1, n_pictures)


def _refuse_premultiplied(alpha: Pixels | None, kind: int, name: str) -> None:
    if alpha is not None and kind == PREMULTIPLIED and alpha.min() < largest_value(alpha.dtype):
        raise InputError(
            f"{name} has colours multiplied with their transparency",
            why="restoring would change them where the photo is transparent",
            fix="save it with plain transparency, or flatten it",
        )


def _compression_written(compression: int) -> Literal["none", "lzw", "deflate"]:
    """JPEG is not written again, since it would lose once more; PackBits gains nothing."""
    if compression == UNCOMPRESSED:
        return "none"
    return "lzw" if compression == LZW else "deflate"


def _iptc(tags: _Tags) -> bytes | None:
    """IPTC records; some writers swap them as if they were whole numbers of 4 bytes."""
    iptc = tags.content(IPTC_TAG)
    if iptc and iptc[:1] != b"\x1c" and iptc[3:4] == b"\x1c" and len(iptc) % 4 == 0:
        return np.frombuffer(iptc, ">u4").astype("<u4").tobytes()
    return iptc


def _notes(source: Source) -> Iterator[str]:
    """What is left out of a file with one picture."""
    first = ifd.first_directory(source)
    tags = {place.tag for place in ifd.places(source, first)}
    if LAYERS_TAG in tags:
        yield "Photoshop layers were left out; the flattened picture was restored"
    if SUB_DIRECTORIES_TAG in tags:
        yield "pictures that belong to this one (SubIFDs) were left out"
    if ifd.next_directory(source, first) not in (0, first):
        yield "pages with the picture in another size were left out"
