"""TIFF out: one picture in strips, then one directory with all its tags.

Source: TIFF 6.0; BigTIFF (Aware Systems, 2007).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import BinaryIO, Literal, TypeAlias

import numpy as np

from defocusfix.photo import ifd
from defocusfix.photo.coding import TiffCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.pixels import Pixels, with_alpha
from defocusfix.photo.tiff_segments import compress_lzw

Order: TypeAlias = Literal["<", ">"]

IPTC_TAG, RESOURCES_TAG, ICC_TAG, XMP_TAG = 33723, 34377, 34675, 700
STRIP_BYTES = 2**20
DEFLATE_LEVEL = 4  # on a photo, within 3 % of the size that level 6 takes longer for
THREADS = min(8, os.cpu_count() or 1)
COMPRESSION_NUMBERS = {"none": 1, "lzw": 5, "deflate": 8}
ROOM_FOR_TAGS = 2**24  # bytes, beside the blocks of metadata


def encode_tiff(photo: Photo, coding: TiffCoding, file: BinaryIO) -> None:
    """Write a TIFF with the depth, channels, compression and byte order of the photo.

    It becomes a BigTIFF where a classic one could not hold the pixels. The byte order is that of
    the EXIF block where there is one.
    """
    is_big = coding.is_big or _most_bytes(photo, coding) >= 2**32
    order = _order(photo, coding)
    layout = ifd.Layout(order, is_big)
    file.write(layout.header(0))
    offsets, byte_counts = [], []
    for strip in _strips(photo, coding, order):
        offsets.append(file.tell())
        byte_counts.append(len(strip))
        file.write(strip)
    file.write(bytes(file.tell() % 2))
    first = file.tell()
    tags = {entry.tag: entry for entry in _descriptive(photo, coding)}
    tags |= {entry.tag: entry for entry in _layout_tags(photo, coding, layout)}
    tags[273] = _numbers(273, ifd.LONG8 if is_big else ifd.LONG, offsets, layout.order)
    tags[279] = _numbers(279, ifd.LONG8 if is_big else ifd.LONG, byte_counts, layout.order)
    file.write(ifd.pack(tuple(tags.values()), layout, first))
    file.seek(0)
    file.write(layout.header(first))


def _most_bytes(photo: Photo, coding: TiffCoding) -> int:
    """How large the file can become at most."""
    n_bytes = photo.pixels.nbytes + (0 if photo.alpha is None else photo.alpha.nbytes)
    if coding.compression == "lzw":
        n_bytes = n_bytes * 3 // 2  # noise takes 12 bits for every byte
    blocks = (photo.exif, photo.xmp, photo.iptc, photo.icc_profile, coding.resources)
    return n_bytes + sum(len(block) for block in blocks if block) + ROOM_FOR_TAGS


def _order(photo: Photo, coding: TiffCoding) -> Order:
    if photo.exif is None:
        return ">" if coding.is_big_endian else "<"
    return ">" if photo.exif.startswith(b"MM") else "<"


def _strips(photo: Photo, coding: TiffCoding, order: Order) -> Iterator[bytes | memoryview]:
    """The strips as they stand in the file, compressed a few at a time by several threads."""
    starts = range(0, photo.height, _rows_per_strip(photo))
    pack = partial(_strip, photo, coding, order)
    if coding.compression == "none":
        yield from map(pack, starts)
        return
    with ThreadPoolExecutor(THREADS) as pool:
        for number in range(0, len(starts), 2 * THREADS):
            yield from pool.map(pack, starts[number : number + 2 * THREADS])


def _strip(photo: Photo, coding: TiffCoding, order: Order, start: int) -> bytes | memoryview:
    rows = slice(start, start + _rows_per_strip(photo))
    alpha = None if photo.alpha is None else photo.alpha[rows]
    values = with_alpha(photo.pixels[rows], alpha)
    if coding.compression == "none":
        return _ordered(values, order).data.cast("B")
    if values.dtype.kind == "u":
        values = np.diff(values, axis=1, prepend=values.dtype.type(0))
    stored = _ordered(values, order)
    if coding.compression == "deflate":
        return zlib.compress(stored.data, DEFLATE_LEVEL)
    return compress_lzw(stored.view(np.uint8).reshape(len(values), -1))


def _ordered(values: Pixels, order: Order) -> Pixels:
    """The values in the byte order of the file, in one piece."""
    return np.ascontiguousarray(values, values.dtype.newbyteorder(order))


def _rows_per_strip(photo: Photo) -> int:
    return max(1, STRIP_BYTES // int(photo.pixels[0].nbytes))


def _layout_tags(photo: Photo, coding: TiffCoding, layout: ifd.Layout) -> Iterator[ifd.Entry]:
    """How the pixels are laid out, but for where they are."""
    order = layout.order
    colours = photo.pixels.shape[2]
    channels = colours + (photo.alpha is not None)
    is_float = photo.pixels.dtype.kind == "f"
    yield _numbers(256, ifd.LONG, [photo.width], order)
    yield _numbers(257, ifd.LONG, [photo.height], order)
    yield _numbers(258, ifd.SHORT, [photo.bits] * channels, order)
    yield _numbers(259, ifd.SHORT, [COMPRESSION_NUMBERS[coding.compression]], order)
    yield _numbers(262, ifd.SHORT, [2 if colours == 3 else 1], order)
    yield _numbers(277, ifd.SHORT, [channels], order)
    yield _numbers(278, ifd.LONG, [min(photo.height, _rows_per_strip(photo))], order)
    yield _numbers(284, ifd.SHORT, [1], order)
    if coding.compression != "none" and not is_float:
        yield _numbers(317, ifd.SHORT, [2], order)
    if photo.alpha is not None:
        yield _numbers(338, ifd.SHORT, [coding.alpha_kind], order)
    if is_float:
        yield _numbers(339, ifd.SHORT, [3] * channels, order)


def _descriptive(photo: Photo, coding: TiffCoding) -> Iterator[ifd.Entry]:
    """What the photo says about itself."""
    if photo.exif is not None:
        yield from ifd.read_directory(photo.exif, ifd.first_directory(photo.exif))
    for tag, kind, value in (
        (XMP_TAG, ifd.BYTE, photo.xmp),
        (IPTC_TAG, ifd.UNDEFINED, photo.iptc),
        (RESOURCES_TAG, ifd.BYTE, coding.resources),
        (ICC_TAG, ifd.UNDEFINED, photo.icc_profile),
    ):
        if value:
            yield ifd.Entry(tag, kind, len(value), value)


def _numbers(tag: int, kind: int, numbers: list[int], order: str) -> ifd.Entry:
    value = struct.pack(f"{order}{len(numbers)}{ifd.LETTERS[kind]}", *numbers)
    return ifd.Entry(tag, kind, len(numbers), value)
