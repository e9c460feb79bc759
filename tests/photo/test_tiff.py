"""TIFFs of all kinds, written by tifffile and by libtiff, against what these programs read."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from defocusfix.photo.coding import TiffCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.photo.tiff_segments import compress_lzw
from defocusfix.photo.write import encode_photo
from tests.photo import sample_files as samples

FLOAT = (samples.scene(bits=16) / np.float32(40000)).astype(np.float32)  # up to 1.6, beyond white

EXACT = {
    "strips of LZW": (samples.libtiff(samples.scene(), compression="tiff_lzw"), samples.scene()),
    "gray LZW": (
        samples.libtiff(samples.scene(channels=1), compression="tiff_lzw"),
        samples.scene(channels=1),
    ),
    "LZW with differences": (
        samples.libtiff(samples.scene(), compression="tiff_lzw", tiffinfo={317: 2}),
        samples.scene(),
    ),
    "PackBits": (samples.libtiff(samples.scene(), compression="packbits"), samples.scene()),
    "Deflate of libtiff": (
        samples.libtiff(samples.scene(), compression="tiff_adobe_deflate"),
        samples.scene(),
    ),
    "tiles": (samples.tiff(samples.scene(bits=16), tile=(16, 32)), samples.scene(bits=16)),
    "tiles of Deflate": (
        samples.tiff(samples.scene(50, 70, bits=16), tile=(16, 32), compression="zlib"),
        samples.scene(50, 70, bits=16),
    ),
    "big-endian tiles with differences": (
        samples.tiff(
            samples.scene(bits=16), tile=(16, 32), compression="zlib", predictor=2, byteorder=">"
        ),
        samples.scene(bits=16),
    ),
    "one row per strip": (samples.tiff(samples.scene(), rowsperstrip=1), samples.scene()),
    "planes of Deflate": (
        samples.tiff(
            np.moveaxis(samples.scene(bits=16), 2, 0), planarconfig="separate", compression="zlib"
        ),
        samples.scene(bits=16),
    ),
    "planes in tiles": (
        samples.tiff(np.moveaxis(samples.scene(), 2, 0), planarconfig="separate", tile=(16, 16)),
        samples.scene(),
    ),
    "floating point": (samples.tiff(FLOAT), FLOAT),
    "big-endian floating point": (samples.tiff(FLOAT, byteorder=">"), FLOAT),
    "floating point with differences": (
        cv2.imencode(
            ".tif",
            FLOAT[:, :, ::-1],
            [cv2.IMWRITE_TIFF_COMPRESSION, 8, cv2.IMWRITE_TIFF_PREDICTOR, 3],
        )[1].tobytes(),
        FLOAT,
    ),
    "BigTIFF": (samples.tiff(samples.scene(bits=16), bigtiff=True), samples.scene(bits=16)),
    "big-endian BigTIFF": (
        samples.tiff(samples.scene(bits=16), bigtiff=True, byteorder=">", compression="zlib"),
        samples.scene(bits=16),
    ),
}


@pytest.mark.parametrize("kind", EXACT)
def test_every_kind_is_read_exactly_and_stays_what_it_is(kind):
    file, image = EXACT[kind]
    photo = read_photo(file)
    assert photo.pixels.dtype == image.dtype
    assert np.array_equal(photo.pixels, image)
    assert photo.pixels.flags.writeable
    again = read_photo(encode_photo(photo))
    assert np.array_equal(again.pixels, image)
    assert again.coding == photo.coding


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("strip_size", [1000, 10**6])
def test_jpeg_in_tiff_looks_as_libtiff_shows_it_and_is_not_compressed_with_loss_again(
    subsampling, strip_size
):
    file = samples.libtiff(
        samples.scene(50, 70),
        compression="jpeg",
        quality=90,
        strip_size=strip_size,
        tiffinfo={530: (2, 2)} if subsampling else {},
    )
    photo = read_photo(file)
    assert np.array_equal(photo.pixels, np.asarray(Image.open(io.BytesIO(file)).convert("RGB")))
    assert photo.has_lost
    assert not photo.second_loss
    assert np.array_equal(read_photo(encode_photo(photo)).pixels, photo.pixels)


def test_gray_jpeg_in_tiff_is_read():
    file = samples.libtiff(samples.scene(channels=1), compression="jpeg")
    shown = np.asarray(Image.open(io.BytesIO(file)))
    assert np.array_equal(read_photo(file).pixels[:, :, 0], shown)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    channels=st.sampled_from([1, 3]),
    has_alpha=st.booleans(),
    compression=st.sampled_from(["none", "lzw", "deflate"]),
    is_big_endian=st.booleans(),
    is_big=st.booleans(),
    seed=st.integers(0, 9),
)
def test_tifffile_reads_what_we_write_and_so_do_we(
    height, width, dtype, channels, has_alpha, compression, is_big_endian, is_big, seed
):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, (height, width, channels + has_alpha)).astype(dtype)
    values *= values.dtype.type(1.5 if dtype == "float32" else 1)
    coding = TiffCoding(compression=compression, is_big_endian=is_big_endian, is_big=is_big)
    alpha = values[:, :, -1].copy() if has_alpha else None
    file = encode_photo(Photo(values[:, :, :channels].copy(), coding, alpha=alpha))
    again = read_photo(file)
    assert np.array_equal(again.pixels, values[:, :, :channels])
    assert not has_alpha or np.array_equal(again.alpha, alpha)
    assert again.coding == coding
    if compression != "lzw":  # tifffile needs another package for it
        with tifffile.TiffFile(io.BytesIO(file)) as tiff:
            assert np.array_equal(
                tiff.asarray(), values.squeeze(2) if values.shape[2] == 1 else values
            )
            assert tiff.byteorder == (">" if is_big_endian else "<")
            assert tiff.is_bigtiff == is_big


@given(height=st.integers(1, 9), width=st.integers(1, 300), seed=st.integers(0, 9))
def test_libtiff_reads_our_lzw(height, width, seed):
    image = np.random.default_rng(seed).integers(0, 4, (height, width, 3), dtype=np.uint8)
    file = encode_photo(Photo(image, TiffCoding(compression="lzw")))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(file))), image)
    assert compress_lzw(image[:, :, 0])


def test_a_photo_is_written_in_the_byte_order_of_its_exif():
    exif = samples.exif()
    photo = Photo(samples.scene(), TiffCoding(is_big_endian=exif.startswith(b"II")), exif=exif)
    assert encode_photo(photo)[:2] == exif[:2]


def test_pages_that_are_smaller_copies_do_not_count():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(samples.scene(), photometric="rgb", metadata=None)
        writer.write(samples.scene(24, 32), photometric="rgb", metadata=None, subfiletype=1)
    photo = read_photo(buffer.getvalue())
    assert photo.height == 48
    assert photo.notes == ("pages with the picture in another size were left out",)


def test_pictures_in_subdirectories_are_left_out_with_a_word():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(samples.scene(), photometric="rgb", metadata=None, subifds=1)
        writer.write(samples.scene(24, 32), photometric="rgb", metadata=None, subfiletype=1)
    photo = read_photo(buffer.getvalue())
    assert photo.height == 48
    assert photo.notes == ("pictures that belong to this one (SubIFDs) were left out",)
    assert read_photo(encode_photo(photo)).notes == ()


def test_layers_of_photoshop_are_left_out_with_a_word():
    file = samples.tiff(samples.scene(), extratags=[(37724, 7, 6, b"layers", True)])
    photo = read_photo(file)
    assert any("layers" in note for note in photo.notes)
    assert b"layers" not in encode_photo(photo)


def test_photoshop_resources_stay_but_for_the_thumbnail():
    iptc = b"\x1c\x02\x05\x00\x04Name"
    block = b"8BIM" + (0x040C).to_bytes(2, "big") + b"\0\0" + (6).to_bytes(4, "big") + b"thumbs"
    other = b"8BIM" + (0x040A).to_bytes(2, "big") + b"\0\0" + (2).to_bytes(4, "big") + b"\1\0"
    file = samples.tiff(
        samples.scene(),
        extratags=[
            (34377, 1, len(block + other), block + other, True),
            (33723, 7, len(iptc), iptc, True),
        ],
    )
    photo = read_photo(file)
    assert photo.iptc == iptc
    assert photo.coding.resources == other
    again = read_photo(encode_photo(photo))
    assert (again.iptc, again.coding) == (photo.iptc, photo.coding)


def test_iptc_that_was_swapped_as_numbers_is_put_right():
    iptc = b"\x1c\x02\x05\x00\x04Name\0\0\0"
    swapped = np.frombuffer(iptc, ">u4").astype("<u4").tobytes()
    file = samples.tiff(samples.scene(), extratags=[(33723, 7, len(iptc), swapped, True)])
    assert read_photo(file).iptc == iptc
