"""Raw data of cameras in, developed by LibRaw through the extra `raw`.

What comes out is a plain development in sRGB: the camera's white balance, no correction of the
lens, no noise reduction, no look. A raw converter does better, and its 16-bit TIFF is read as well.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from defocusfix.errors import InputError
from defocusfix.photo import ifd, metadata
from defocusfix.photo import jpeg_segments as parts
from defocusfix.photo.coding import RawCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.source import Source
from defocusfix.photo.tiff import descriptive_tags

if TYPE_CHECKING:
    import rawpy

SRGB_CURVE = (2.4, 12.92)  # exponent and slope at black, IEC 61966-2-1
TIFF_STARTS = (b"II*\0", b"MM\0*")
SUBFILE_TYPE, PHOTOMETRIC, SUB_DIRECTORIES, DNG_VERSION = 254, 262, 330, 50706
MOSAIC_TAGS = frozenset({33421, 33422})
RAW_MODELS = frozenset({32803, 34892})  # mosaic and linear


def decode_raw(source: Source) -> Photo:
    """A camera raw file as an upright photo of 16 bits in sRGB.

    Raises InputError if it is too large or of an unknown camera, or the extra is not installed.
    """
    from PIL import ImageCms

    try:
        import rawpy
    except ImportError as error:
        raise InputError(
            f"{source.name} is a camera raw file",
            why="developing these needs an extra that is not installed",
            fix='pip install "defocusfix[raw]", '
            "or develop it in your raw converter and export a 16-bit TIFF",
        ) from error
    try:
        with rawpy.imread(BytesIO(source.all())) as raw:
            source.check_size(raw.sizes.height, raw.sizes.width)
            pixels = raw.postprocess(
                use_camera_wb=True,
                no_auto_bright=True,
                output_color=rawpy.ColorSpace.sRGB,
                gamma=SRGB_CURVE,
                output_bps=16,
            )
            exif = _exif(source, raw)
    except rawpy.LibRawError as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise InputError(
            f"{source.name} cannot be developed",
            why=reason.lower(),
            fix="develop it in your raw converter and export a 16-bit TIFF",
        ) from error
    return Photo(
        pixels=np.ascontiguousarray(pixels),
        coding=RawCoding(),
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        exif=exif and metadata.upright_exif(exif),
        notes=("developed plainly; your raw converter and a 16-bit TIFF will look better",),
    )


def is_raw_tiff(source: Source) -> bool:
    """Whether a file that begins like a TIFF is raw data of a camera."""
    if source[8:10] == b"CR":
        return True
    try:
        places = {p.tag: p for p in ifd.places(source, ifd.first_directory(source))}
        model, kind = (
            ifd.integer_at(source, places[tag]) if tag in places else 0
            for tag in (PHOTOMETRIC, SUBFILE_TYPE)
        )
    except ifd.BrokenTagsError:
        return False
    # Many raw files begin with a preview and have the data in a sub-directory.
    begins_with_preview = bool(kind & 1) and SUB_DIRECTORIES in places
    return DNG_VERSION in places or model in RAW_MODELS or begins_with_preview


def _exif(source: Source, raw: rawpy.RawPy) -> bytes | None:
    """EXIF of the file itself where it is a TIFF, otherwise of the preview inside."""
    import rawpy

    if source[:4] in TIFF_STARTS:
        try:
            return _without_raw_tags(descriptive_tags(source))
        except ifd.BrokenTagsError:
            return None
    try:
        preview = raw.extract_thumb()
        if preview.format != rawpy.ThumbFormat.JPEG:
            return None
        segments, _ = parts.read_segments(bytes(preview.data))
    except (rawpy.LibRawError, ValueError):
        return None
    return parts.first(segments, parts.APP1, parts.EXIF)


def _without_raw_tags(exif: bytes) -> bytes:
    """EXIF without what only the raw data needed: matrices, opcodes, private data of DNG."""
    entries = ifd.read_directory(exif, ifd.first_directory(exif))
    kept = tuple(e for e in entries if e.tag < DNG_VERSION and e.tag not in MOSAIC_TAGS)
    return ifd.pack_block(kept, ifd.layout_of(exif).order)
