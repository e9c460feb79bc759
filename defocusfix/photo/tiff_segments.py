"""The pixels of a TIFF: its strips or tiles, decompressed one by one into the picture.

LZW, PackBits and JPEG are decompressed by libtiff and libjpeg through Pillow, which is handed one
strip at a time: whole TIFFs it would cut to 8 bits.

Source: TIFF 6.0, sections 3, 9, 13 to 15 and 22; Adobe TIFF Technical Notes 1 to 3 (Deflate, tables
of JPEG, predictor of floating point).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, JpegImagePlugin, TiffImagePlugin

from defocusfix.photo import ifd
from defocusfix.photo.pixels import Pixels
from defocusfix.photo.source import Source

UNCOMPRESSED, LZW, JPEG, PACKBITS = 1, 5, 7, 32773
DEFLATE = (8, 32946)
DIFFERENCES, FLOAT_DIFFERENCES = 2, 3
# Says how the three channels of a JPEG strip are to be read, since a strip has no word on it.
ADOBE_SEGMENT = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
AS_RGB, AS_YCBCR = b"\x00", b"\x01"


@dataclass(frozen=True, slots=True)
class Picture:
    """How the pixels of one picture are laid out in a TIFF."""

    height: int
    width: int
    channels: int
    """Colours and alpha together."""
    colours: int
    """3 or 1."""
    dtype: np.dtype[np.generic]
    """Of one value, in the byte order of the file."""
    compression: int
    predictor: int
    is_planar: bool
    """Whether each channel has strips of its own."""
    is_ycbcr: bool
    segment_height: int
    segment_width: int
    is_tiled: bool
    offsets: tuple[int, ...]
    byte_counts: tuple[int, ...]
    jpeg_tables: bytes

    def segments(self) -> Iterator[tuple[int, int, int, int]]:
        """Number, plane, row and column of every strip or tile."""
        number = 0
        for plane in range(self.channels if self.is_planar else 1):
            for row in range(0, self.height, self.segment_height):
                for column in range(0, self.width, self.segment_width):
                    yield number, plane, row, column
                    number += 1

    @property
    def n_segments(self) -> int:
        """How many strips or tiles there must be."""
        down = -(-self.height // self.segment_height)
        across = -(-self.width // self.segment_width)
        return down * across * (self.channels if self.is_planar else 1)


def read_pixels(source: Source, picture: Picture) -> tuple[Pixels, Pixels | None]:
    """The colours (H, W, 1|3) and the alpha channel (H, W), in the byte order of this machine.

    Raises ValueError, or what Pillow and zlib raise, if any strip is missing or damaged.
    """
    _check_complete(source, picture)
    native = picture.dtype.newbyteorder("=")
    pixels = np.empty((picture.height, picture.width, picture.colours), native)
    has_alpha = picture.channels > picture.colours
    alpha = np.empty((picture.height, picture.width), native) if has_alpha else None
    if picture.compression == UNCOMPRESSED and _is_plain(picture):
        _read_strips(source, picture, pixels)
        return pixels, alpha
    for number, plane, row, column in picture.segments():
        start = picture.offsets[number]
        data = source[start : start + picture.byte_counts[number]]
        height = picture.segment_height
        if not picture.is_tiled:
            height = min(height, picture.height - row)
        values = _decompressed(data, picture, height)
        values = values[: picture.height - row, : picture.width - column]
        rows, columns = slice(row, row + len(values)), slice(column, column + values.shape[1])
        if not picture.is_planar:
            pixels[rows, columns] = values[:, :, : picture.colours]
            if alpha is not None:
                alpha[rows, columns] = values[:, :, picture.colours]
        elif plane < picture.colours:
            pixels[rows, columns, plane] = values[:, :, 0]
        elif alpha is not None:
            alpha[rows, columns] = values[:, :, 0]
    return pixels, alpha


def compress_lzw(rows: Pixels) -> bytes:
    """Rows of bytes (H, W) uint8 as one strip of LZW."""
    file = BytesIO()
    Image.fromarray(rows).save(file, "TIFF", compression="tiff_lzw", strip_size=rows.nbytes)
    data = file.getvalue()
    tags = {entry.tag: entry for entry in ifd.read_directory(data, ifd.first_directory(data))}
    order = ifd.layout_of(data).order
    (start,), (n_bytes,) = tags[273].numbers(order), tags[279].numbers(order)
    return data[start : start + n_bytes]


def _check_complete(source: Source, picture: Picture) -> None:
    if not len(picture.offsets) == len(picture.byte_counts) == picture.n_segments:
        raise ValueError("it has no picture data, or not all of it")
    pieces = zip(picture.offsets, picture.byte_counts, strict=True)
    if any(count == 0 or offset + count > len(source) for offset, count in pieces):
        raise ValueError("it is cut off")


def _is_plain(picture: Picture) -> bool:
    """Whether the strips one after the other are the picture as it lies in memory."""
    return not picture.is_tiled and not picture.is_planar and picture.channels == picture.colours


def _read_strips(source: Source, picture: Picture, pixels: Pixels) -> None:
    """Read strips straight into `pixels`, so that a large photo is in memory once."""
    for number, _, row, _ in picture.segments():
        strip = pixels[row : row + picture.segment_height]
        if picture.byte_counts[number] < strip.nbytes:
            raise ValueError("it has less picture data than its size needs")
        source.read_into(picture.offsets[number], strip.data.cast("B"))
    if picture.dtype.byteorder not in ("|", pixels.dtype.byteorder) and not picture.dtype.isnative:
        pixels.byteswap(inplace=True)


def _decompressed(data: bytes, picture: Picture, height: int) -> Pixels:
    """One strip or tile of `height` rows, (H, W, channels of it)."""
    channels = 1 if picture.is_planar else picture.channels
    shape = (height, picture.segment_width, channels)
    if picture.compression == JPEG:
        return _jpeg(data, picture, shape)
    row_bytes = shape[1] * channels * picture.dtype.itemsize
    if picture.compression == UNCOMPRESSED:
        raw = data[: height * row_bytes]
    elif picture.compression in DEFLATE:
        raw = zlib.decompressobj().decompress(data, height * row_bytes)
    else:
        raw = _libtiff(data, picture.compression, height, row_bytes)
    if len(raw) < height * row_bytes:
        raise ValueError("it has less picture data than its size needs")
    if picture.predictor == FLOAT_DIFFERENCES:
        return _from_float_differences(raw, shape)
    values = np.frombuffer(raw, picture.dtype).reshape(shape)
    if picture.predictor == DIFFERENCES:
        whole = np.dtype(f"u{picture.dtype.itemsize}")
        sums = values.astype(picture.dtype.newbyteorder("=")).view(whole)
        return np.cumsum(sums, axis=1, dtype=whole, out=sums).view(values.dtype.newbyteorder("="))
    return values


def _from_float_differences(raw: bytes, shape: tuple[int, int, int]) -> Pixels:
    """Float32 whose bytes were put in planes, the highest first, and stored as differences."""
    height, width, channels = shape
    steps = np.frombuffer(raw, np.uint8).reshape(height, 4 * width, channels)
    planes = np.cumsum(steps, axis=1, dtype=np.uint8).reshape(height, 4, width * channels)
    big_endian = np.ascontiguousarray(np.moveaxis(planes, 1, 2))
    return big_endian.view(">f4").reshape(shape)


def _libtiff(data: bytes, compression: int, height: int, row_bytes: int) -> bytes:
    """What libtiff makes of one strip: bytes, in a gray TIFF around it that is as wide as a row."""
    tags = {256: row_bytes, 257: height, 258: 8, 259: compression, 262: 1}
    tags |= {273: 8, 277: 1, 278: height, 279: len(data)}
    directory = tuple(
        ifd.Entry(tag, ifd.LONG, 1, value.to_bytes(4, "little")) for tag, value in tags.items()
    )
    start = 8 + len(data) + len(data) % 2
    header = ifd.Layout("<").header(start)
    file = header + data + bytes(len(data) % 2) + ifd.pack(directory, ifd.Layout("<"), start)
    return TiffImagePlugin.TiffImageFile(BytesIO(file)).tobytes()


def _jpeg(data: bytes, picture: Picture, shape: tuple[int, int, int]) -> Pixels:
    adobe = ADOBE_SEGMENT + (AS_YCBCR if picture.is_ycbcr else AS_RGB)
    head = (
        b"\xff\xd8"
        + adobe
        + picture.jpeg_tables.removeprefix(b"\xff\xd8").removesuffix(b"\xff\xd9")
    )
    image = JpegImagePlugin.JpegImageFile(BytesIO(head + data.removeprefix(b"\xff\xd8")))
    if (image.height, image.width, len(image.getbands())) != shape:
        raise ValueError("a part of it has another size than it should")
    return np.asarray(image).reshape(shape)
