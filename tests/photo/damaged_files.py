"""Damaged and hostile photos, made from sound ones: cut off, with wrong bytes, lying."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from defocusfix.photo import ifd
from tests.photo import sample_files as samples

SOUND = {
    "jpg": samples.jpeg(
        samples.scene(), exif=samples.canon_exif(), icc_profile=samples.PROFILE, xmp=samples.XMP
    ),
    "progressive.jpg": samples.jpeg(samples.scene(), progressive=True),
    "png": samples.png(samples.scene(), exif=samples.canon_exif(), icc_profile=samples.PROFILE),
    "16.png": samples.png(samples.scene(channels=1, bits=16)),
    "webp": samples.webp(samples.scene(), exif=samples.exif(), xmp=samples.XMP),
    "avif": samples.avif(samples.scene(), exif=samples.exif(), icc_profile=samples.PROFILE),
    "10.avif": samples.deep_avif(samples.scene(bits=16)),
    "tif": samples.tiff_with_exif(samples.scene()),
    "deflate.tif": samples.tiff(samples.scene(bits=16), compression="zlib", predictor=True),
    "lzw.tif": samples.libtiff(samples.scene(), compression="tiff_lzw"),
    "jpeg.tif": samples.libtiff(samples.scene(), compression="jpeg"),
    "tiles.tif": samples.tiff(samples.scene(), tile=(16, 16), byteorder=">"),
    "big.tif": samples.tiff(samples.scene(bits=16), bigtiff=True),
    "float.tif": samples.tiff(samples.scene().astype(np.float32) / 255),
    "bmp": samples.bmp(samples.scene()),
    "jp2": samples.jpeg2000(samples.scene()),
}
SHARES_KEPT = (0.02, 0.3, 0.7, 0.98)
N_FLIPS = 3  # damaged copies of every sound file, with eight wrong bytes each


def damaged_files() -> dict[str, bytes]:
    """File names and contents; the same ones every time."""
    return dict(_cut_off()) | dict(_with_wrong_bytes()) | dict(_lying())


def _cut_off() -> Iterator[tuple[str, bytes]]:
    for name, file in SOUND.items():
        for share in SHARES_KEPT:
            yield f"cut_{share}.{name}", file[: int(len(file) * share)]


def _with_wrong_bytes() -> Iterator[tuple[str, bytes]]:
    for number, (name, file) in enumerate(SOUND.items()):
        for copy in range(N_FLIPS):
            rng = np.random.default_rng((number, copy))
            damaged = bytearray(file)
            # Half of them near the beginning, where headers are.
            for end in (min(len(file), 200), len(file)):
                for place in rng.integers(4, end, 4):
                    damaged[place] = rng.integers(256)
            yield f"flipped_{copy}.{name}", bytes(damaged)


def _lying() -> Iterator[tuple[str, bytes]]:
    """Headers that do not tell the truth, and files that are none."""
    yield "empty.jpg", b""
    yield "zeros.png", bytes(5000)
    yield "text.tif", b"This is not a photo. " * 100
    for magic in (
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"II*\0",
        b"MM\0+",
        b"BM",
        b"RIFF0000WEBP",
    ):
        yield f"only_{magic[:3].hex()}.jpg", magic
        yield f"zeros_after_{magic[:3].hex()}.jpg", magic + bytes(1000)
    yield "ftyp_only.avif", b"\0\0\0\x18ftypavif" + bytes(12)
    yield "crossed.png", SOUND["jpg"][:200] + SOUND["png"]

    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 16, 6, 0, 0, 0)
    yield "huge.png", _with_header(SOUND["png"], header)
    yield "no_size.png", _with_header(SOUND["png"], struct.pack(">IIBBBBB", 0, 0, 8, 2, 0, 0, 0))
    yield "taller.png", _with_header(SOUND["png"], struct.pack(">IIBBBBB", 64, 999, 8, 2, 0, 0, 0))
    bomb = samples.png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(3 * 10**7), 9))
    yield "profile_bomb.png", SOUND["png"][:33] + bomb + SOUND["png"][33:]

    frame = SOUND["jpg"].index(b"\xff\xc0")
    yield "huge.jpg", _patched(SOUND["jpg"], frame + 5, struct.pack(">HH", 65000, 65000))
    yield "flat.jpg", _patched(SOUND["jpg"], frame + 5, struct.pack(">HH", 48, 0))
    yield "huge.bmp", _patched(SOUND["bmp"], 18, struct.pack("<ii", 10**6, 10**6))
    yield "negative.bmp", _patched(SOUND["bmp"], 18, struct.pack("<ii", -64, 48))
    size = SOUND["jp2"].index(b"\xff\x4f\xff\x51")
    yield "huge.jp2", _patched(SOUND["jp2"], size + 8, struct.pack(">II", 2**31, 2**31))

    for tag, value, word in (
        (256, 2**31, "wide"),
        (257, 2**31, "tall"),
        (257, 0, "flat"),
        (258, 5, "5_bits"),
        (259, 99, "compression"),
        (262, 77, "model"),
        (273, 2**32 - 5, "offset"),
        (277, 60000, "channels"),
        (279, 2**32 - 5, "count"),
        (284, 2, "planes"),
    ):
        yield f"{word}.tif", _with_tag(SOUND["tif"], tag, value)
        yield f"{word}.deflate.tif", _with_tag(SOUND["deflate.tif"], tag, value)
    first = ifd.first_directory(SOUND["tif"])
    loop = ifd.next_pointer(SOUND["tif"], first)
    yield "loop.tif", _patched(SOUND["tif"], loop, struct.pack("<I", first))
    yield "bomb.tif", _deflate_bomb()


def _with_header(file: bytes, header: bytes) -> bytes:
    return _patched(file, 8, samples.png_chunk(b"IHDR", header))


def _with_tag(file: bytes, tag: int, value: int) -> bytes:
    damaged = bytearray(file)
    for place in ifd.places(damaged, ifd.first_directory(damaged)):
        if place.tag == tag:
            kind = {ifd.SHORT: "<H", ifd.LONG: "<I"}[place.kind]
            limited = min(value, 2 ** (8 * struct.calcsize(kind)) - 1)
            struct.pack_into(kind, damaged, place.value_position, limited)
    return bytes(damaged)


def _deflate_bomb() -> bytes:
    """A strip that becomes 100 MB where 9 kB are due."""
    bomb = zlib.compress(bytes(10**8), 9)
    file = samples.tiff(samples.scene(), compression="zlib", rowsperstrip=48)
    start = len(file)
    for tag, value in ((273, start), (279, len(bomb))):
        file = _with_tag(file, tag, value)
    return file + bomb


def _patched(file: bytes, position: int, content: bytes) -> bytes:
    return file[:position] + content + file[position + len(content) :]
