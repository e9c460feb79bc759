"""TIFF both ways: one picture of 8 or 16 bits, uncompressed or Deflate, with all its tags.

tifffile reads and writes the pixels. It cannot write the Exif and GPS directories, and Pillow loses
them, so the directory of tags is packed here.

Source: TIFF 6.0; Adobe TIFF Technical Notes (Deflate, Photoshop tags).
"""

from __future__ import annotations

import logging
import struct
import zlib
from io import BytesIO
from typing import Any, Literal

import numpy as np
import tifffile

from defocusfix.errors import InputError
from defocusfix.photo import ifd, metadata
from defocusfix.photo.limits import check_size
from defocusfix.photo.photo import Photo, Pixels, TiffCoding

XMP_TAG, ICC_TAG, LAYERS_TAG, RAW_TAG = 700, 34675, 37724, 50706
PREMULTIPLIED = 1
UNCOMPRESSED, DEFLATE = 1, (8, 32946)

# Tags that say how the pixels are laid out. The writer sets its own.
LAYOUT_TAGS = (
    frozenset(range(254, 260))
    | frozenset(range(262, 267))
    | frozenset(range(277, 282))
    | frozenset(range(322, 326))
    | frozenset(range(338, 342))
    | frozenset(range(512, 522))
    | frozenset(range(529, 533))
    | {273, 284, 288, 289, 292, 293, 297, 317, 320, 330, 332, 334, 347}
    | {XMP_TAG, ICC_TAG, LAYERS_TAG}
)

# What tifffile finds odd about a file goes to a log; without this, Python prints it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def decode_tiff(data: bytes, name: str) -> Photo:
    """A TIFF file as an upright photo.

    Raises InputError if it is damaged or too large, or has something that could not be kept:
    several pictures, another depth, compression or colour model.
    """
    try:
        with tifffile.TiffFile(BytesIO(data)) as file:
            pictures = [page.aspage() for page in file.pages]
            n_pictures = sum(not page.is_reduced for page in pictures)
            page = file.pages.first
            check_size(name, page.imagelength, page.imagewidth)
            _refuse_what_cannot_be_kept(page, n_pictures, name)
            _check_complete(page, len(data))
            values = page.asarray()
        exif_block = _descriptive_tags(data)
    except (
        # What tifffile and zlib raise on damaged files; nothing else of ours runs in here.
        OSError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        ZeroDivisionError,
        OverflowError,
        MemoryError,
        RuntimeError,
        struct.error,
        zlib.error,
        tifffile.TiffFileError,
    ) as error:
        raise InputError(f"{name} cannot be read", why=f"damaged TIFF: {error}") from error

    if values.ndim == 2:
        values = values[:, :, None]
    elif page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        values = np.moveaxis(values, 0, 2)
    values = metadata.turn_upright(values, metadata.orientation_of(exif_block))
    has_alpha = values.shape[2] in (2, 4)
    alpha_kind = int(page.extrasamples[0]) if has_alpha else 2
    alpha = np.ascontiguousarray(values[:, :, -1]) if has_alpha else None
    _refuse_premultiplied(alpha, alpha_kind, name)
    xmp = _bytes_of_tag(page, XMP_TAG)
    return Photo(
        pixels=np.ascontiguousarray(values[:, :, :-1]) if has_alpha else values,
        coding=TiffCoding(
            is_deflated=page.compression != UNCOMPRESSED,
            is_big_endian=data[:2] == b"MM",
            alpha_kind=alpha_kind,
        ),
        alpha=alpha,
        icc_profile=_bytes_of_tag(page, ICC_TAG),
        exif=metadata.upright_exif(exif_block, height=values.shape[0], width=values.shape[1]),
        xmp=xmp and metadata.upright_xmp(xmp),
        notes=_notes(page),
    )


def encode_tiff(photo: Photo, coding: TiffCoding) -> bytes:
    """The bytes of a TIFF with the depth, channels, compression and byte order of the photo."""
    order: Literal["<", ">"] = ">" if coding.is_big_endian else "<"
    tags = _tags_in_order(photo.exif, order)
    alpha = () if photo.alpha is None else (photo.alpha[:, :, None],)
    values = np.concatenate((photo.pixels, *alpha), axis=2)
    file = BytesIO()
    with tifffile.TiffWriter(file, byteorder=order) as writer:
        writer.write(
            values[:, :, 0] if values.shape[2] == 1 else values,
            photometric="rgb" if photo.pixels.shape[2] == 3 else "minisblack",
            planarconfig=None if values.shape[2] == 1 else "contig",
            extrasamples=None if photo.alpha is None else [coding.alpha_kind],
            compression="zlib" if coding.is_deflated else None,
            predictor=coding.is_deflated,
            iccprofile=photo.icc_profile,
            metadata=None,
            software=False,
        )
    if photo.xmp is not None:
        tags += (ifd.Entry(XMP_TAG, ifd.BYTE, len(photo.xmp), photo.xmp),)
    return _with_tags(file.getvalue(), tags, order)


def _refuse_what_cannot_be_kept(page: Any, n_pictures: int, name: str) -> None:
    photometric = page.photometric
    if page.tags.get(RAW_TAG) is not None or photometric == tifffile.PHOTOMETRIC.CFA:
        raise InputError(
            f"{name} is a camera raw file",
            fix="develop it in your raw converter and export a 16-bit TIFF",
        )
    if n_pictures != 1:
        raise InputError(
            f"{name} holds {n_pictures} pictures", fix="save the picture you want on its own"
        )
    if page.compression not in (UNCOMPRESSED, *DEFLATE):
        raise InputError(
            f"{name} is compressed with {_plain_name(page.compression)}",
            why="only uncompressed and Deflate (ZIP) TIFFs can be read",
            fix="save it again as a TIFF with ZIP compression, or without",
        )
    if photometric not in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.MINISBLACK):
        raise InputError(
            f"{name} has the colour model {_plain_name(photometric)}",
            why="only RGB and gray photos can be restored without changing their colours",
            fix="convert it to RGB in your photo editor first",
        )
    if page.dtype not in (np.uint8, np.uint16) or page.bitspersample not in (8, 16):
        raise InputError(
            f"{name} has {page.bitspersample} bits per channel of kind {page.dtype}",
            why="only whole numbers of 8 and 16 bits can be kept exactly",
            fix="save it as a 16-bit TIFF",
        )
    colours = 3 if photometric == tifffile.PHOTOMETRIC.RGB else 1
    if page.samplesperpixel - colours not in (0, 1) or page.imagedepth != 1:
        raise InputError(
            f"{name} has {page.samplesperpixel} channels",
            why="only the colours and one alpha channel can be kept",
            fix="remove the other channels",
        )


def _check_complete(page: Any, n_bytes: int) -> None:
    """Raise ValueError if picture data is missing, which tifffile would fill with zeros."""
    if not page.dataoffsets or len(page.dataoffsets) != len(page.databytecounts):
        raise ValueError("it has no picture data")
    pieces = zip(page.dataoffsets, page.databytecounts, strict=True)
    if any(count == 0 or offset + count > n_bytes for offset, count in pieces):
        raise ValueError("it is cut off")
    if page.compression == UNCOMPRESSED and sum(page.databytecounts) < page.nbytes:
        raise ValueError("it has less picture data than its size needs")


def _refuse_premultiplied(alpha: Pixels | None, kind: int, name: str) -> None:
    if alpha is not None and kind == PREMULTIPLIED and alpha.min() < np.iinfo(alpha.dtype).max:
        raise InputError(
            f"{name} has colours multiplied with their transparency",
            why="restoring would change them where the photo is transparent",
            fix="save it with plain transparency, or flatten it",
        )


def _notes(page: Any) -> tuple[str, ...]:
    if page.tags.get(LAYERS_TAG) is not None:
        return ("Photoshop layers were left out; the flattened picture was restored",)
    return ()


def _descriptive_tags(data: bytes) -> bytes:
    """An EXIF block of all tags that describe the photo instead of its layout."""
    entries = ifd.read_directory(data, ifd.first_directory(data))
    kept = tuple(entry for entry in entries if entry.tag not in LAYOUT_TAGS)
    return ifd.pack_block(kept, ifd.byte_order(data))


def _bytes_of_tag(page: Any, tag: int) -> bytes | None:
    entry = page.tags.get(tag)
    if entry is None:
        return None
    value = entry.value
    return value.encode() if isinstance(value, str) else bytes(value)


def _tags_in_order(exif: bytes | None, order: str) -> tuple[ifd.Entry, ...]:
    """The tags to be written; ValueError if their values are in the other byte order."""
    if exif is None:
        return ()
    if ifd.byte_order(exif) != order:
        raise ValueError("the EXIF block is in the other byte order than the TIFF")
    return ifd.read_directory(exif, ifd.first_directory(exif))


def _with_tags(file: bytes, tags: tuple[ifd.Entry, ...], order: str) -> bytes:
    """A written TIFF whose directory is replaced by one that has `tags` as well, at the end."""
    written = ifd.read_directory(file, ifd.first_directory(file))
    merged = {entry.tag: entry for entry in (*written, *tags)}
    block = bytearray(file) + b"\0" * (len(file) % 2)
    struct.pack_into(order + "I", block, 4, len(block))
    return bytes(block + ifd.pack(tuple(merged.values()), order, len(block)))


def _plain_name(value: Any) -> str:
    """The name of one of tifffile's constants, or the number where it has none."""
    return str(getattr(value, "name", value)).replace("_", " ")
