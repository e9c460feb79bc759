"""Files of several writers, compared tag by tag before and after with exifread and exiftool."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import cv2
import exifread
import numpy as np
import pytest

from defocusfix.photo.coding import JpegCoding, PngCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.photo.write import encode_photo, write_photo
from tests.photo import sample_files as samples
from tests.photo.test_metadata import small_jpeg

IPTC = b"\x1c\x02\x05\x00\x04Name\x1c\x02\x19\x00\x03key\x1c\x02\x74\x00\x02me"
RESOURCES = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + len(IPTC).to_bytes(4, "big") + IPTC + b"\0"
IPTC_SEGMENT = b"\xff\xed" + (len(RESOURCES) + 2).to_bytes(2, "big") + RESOURCES
XMP = samples.XMP.replace(b'tiff:Orientation="1"', b'tiff:Orientation="6" tiff:Make="Canon"')


def _opencv(suffix: str, image: np.ndarray) -> bytes:
    kinds = (cv2.IMAGE_METADATA_EXIF, cv2.IMAGE_METADATA_XMP, cv2.IMAGE_METADATA_ICCP)
    start = b"Exif\0\0" if suffix == ".avif" else b""
    contents = (start + samples.canon_exif(), samples.XMP, samples.PROFILE)
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    arrays = [np.frombuffer(content, np.uint8) for content in contents]
    return cv2.imencodeWithMetadata(suffix, bgr, kinds, arrays)[1].tobytes()


def _gps_tiff(bits: int, **options: object) -> bytes:
    """As a raw converter exports: tags of libtiff's order, sub-directories with GPS."""
    plain = samples.tiff(samples.scene(bits=bits), iccprofile=samples.PROFILE, **options)
    photo = read_photo(plain)
    return encode_photo(
        Photo(photo.pixels, photo.coding, exif=samples.canon_exif(), xmp=samples.XMP)
    )


FILES = {
    "a JPEG of a camera, turned": samples.jpeg(
        samples.scene(),
        exif=samples.canon_exif(orientation=6, thumbnail=small_jpeg(90)),
        xmp=XMP,
        extra=IPTC_SEGMENT,
        icc_profile=samples.PROFILE,
        dpi=(300, 300),
        comment=b"a comment",
    ),
    "a gray JPEG": samples.jpeg(
        samples.scene(channels=1), exif=samples.canon_exif(), xmp=samples.XMP
    ),
    "a PNG of Pillow": samples.png(
        samples.scene(), exif=samples.canon_exif(), icc_profile=samples.PROFILE, dpi=(300, 300)
    ),
    "a PNG of OpenCV, 16 bits": _opencv(".png", samples.scene(bits=16)),
    "a WebP of Pillow": samples.webp(
        samples.scene(), exif=samples.canon_exif(), icc_profile=samples.PROFILE, xmp=samples.XMP
    ),
    "a WebP of OpenCV": _opencv(".webp", samples.scene()),
    "an AVIF of Pillow": samples.avif(
        samples.scene(), exif=samples.canon_exif(), icc_profile=samples.PROFILE, xmp=samples.XMP
    ),
    "an AVIF of OpenCV": _opencv(".avif", samples.scene()),
    "a TIFF of Pillow": samples.tiff_with_exif(samples.scene()),
    "a TIFF with GPS, 16 bits": _gps_tiff(16),
    "a big-endian BigTIFF of tifffile": samples.tiff(
        samples.scene(bits=16),
        bigtiff=True,
        byteorder=">",
        iccprofile=samples.PROFILE,
        resolution=(300, 300),
        extratags=[(315, 2, 0, "Somebody", True), (33723, 7, len(IPTC), IPTC, True)],
    ),
}
PLAIN = {
    ".jpg": samples.jpeg(samples.scene(), icc_profile=samples.PROFILE),
    ".png": samples.png(samples.scene(), icc_profile=samples.PROFILE),
    ".tif": samples.tiff(samples.scene(bits=16), iccprofile=samples.PROFILE),
    ".webp": samples.webp(samples.scene(), icc_profile=samples.PROFILE),
}
WRITTEN_BY_EXIFTOOL = (
    *("-EXIF:GPSLatitude=52.5", "-EXIF:GPSLatitudeRef=N", "-EXIF:GPSAltitude=34"),
    *("-EXIF:Artist=Somebody", "-EXIF:Copyright=(c)", "-EXIF:UserComment=für 写真"),
    *("-EXIF:LensModel=85 mm", "-EXIF:FNumber=1.8", "-EXIF:DateTimeOriginal=2026:05:04 12:30:45"),
    *("-EXIF:OffsetTimeOriginal=+02:00", "-EXIF:XResolution=300", "-EXIF:YResolution=300"),
    *("-XMP:Title=Sharp", "-XMP:Subject=focus", "-XMP:Subject=lens", "-XMP:Rating=4"),
    *("-IPTC:Keywords=focus", "-IPTC:City=Berlin", "-IPTC:By-line=Somebody"),
)
needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
UNKNOWN = {"WebP", "BigTIFF"}  # to exifread
# What upright pixels make true, who wrote it, and where in the file things are.
MAY_DIFFER = (
    *("Orientation", "ImageSize", "File:Image", "ExifImage", "Thumbnail"),
    *("Software", "CreatorTool", "ProfileName"),
    *("StripOffsets", "ExifOffset", "GPSInfo", "MediaData"),
)


def _compared(found: dict[str, object]) -> dict[str, str]:
    return {
        name: str(value)
        for name, value in found.items()
        if not any(part in name for part in MAY_DIFFER)
    }


@pytest.mark.parametrize("kind", [kind for kind in FILES if not UNKNOWN & set(kind.split())])
def test_exifread_finds_the_same_tags_with_the_same_values(kind):
    before = _compared(exifread.process_file(io.BytesIO(FILES[kind]), details=True))
    written = encode_photo(read_photo(FILES[kind]).signed("defocusfix"))
    after = _compared(exifread.process_file(io.BytesIO(written), details=True))
    assert len(before) >= 4
    assert after == before


@pytest.mark.slow
@needs_exiftool
@pytest.mark.parametrize("kind", FILES)
def test_exiftool_finds_the_same_tags_with_the_same_values(kind, tmp_path):
    (tmp_path / "before").write_bytes(FILES[kind])
    _compare_with_exiftool(tmp_path)


@pytest.mark.slow
@needs_exiftool
@pytest.mark.parametrize("suffix", PLAIN)
def test_what_exiftool_wrote_into_a_photo_is_there_afterwards(suffix, tmp_path):
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(PLAIN[suffix])
    subprocess.run(["exiftool", "-q", *WRITTEN_BY_EXIFTOOL, path], check=True)
    path.rename(tmp_path / "before")
    n_tags = _compare_with_exiftool(tmp_path)
    assert n_tags > 40


def _compare_with_exiftool(folder: Path) -> int:
    """Read and write `before` and compare all tags; how many there were."""
    photo = read_photo(folder / "before")
    write_photo(photo.signed("defocusfix 1.0"), folder / "after")
    before, after = _exiftool(folder / "before"), _exiftool(folder / "after")
    assert "Error" not in " ".join(after)
    assert next(v for k, v in after.items() if k.endswith("IFD0:Software")) == "defocusfix 1.0"
    assert _compared(after) == _compared(before)
    return len(_compared(before))


def _exiftool(path: Path) -> dict[str, object]:
    words = ["exiftool", "-j", "-a", "-u", "-n", "-G0:1:4", "-api", "LargeFileSupport=1", path]
    told = subprocess.run(words, capture_output=True, check=True).stdout
    ours = ("File:System", "SourceFile", "ExifTool")
    return {k: v for k, v in json.loads(told)[0].items() if not k.startswith(ours)}


@pytest.mark.parametrize("kind", FILES)
def test_profile_xmp_iptc_and_maker_note_are_the_same_bytes(kind):
    photo = read_photo(FILES[kind])
    again = read_photo(encode_photo(photo))
    assert again.icc_profile == photo.icc_profile
    assert again.iptc == photo.iptc
    assert again.xmp == photo.xmp
    assert again.notes == photo.notes
    if b"Canon EOS R5".ljust(32, b"\0") in FILES[kind]:
        assert b"Canon EOS R5".ljust(32, b"\0") in again.exif
    if isinstance(photo.coding, JpegCoding | PngCoding):
        assert again.coding == photo.coding


def test_the_profile_of_the_file_is_the_one_that_was_put_in():
    for kind in ("a JPEG of a camera, turned", "an AVIF of Pillow", "a PNG of OpenCV, 16 bits"):
        assert read_photo(FILES[kind]).icc_profile == samples.PROFILE
    assert read_photo(FILES["a JPEG of a camera, turned"]).iptc == IPTC
