"""HEIC in, through the extra `heif`. It is not written, since the encoders are patented.

Source: ISO/IEC 23008-12.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from defocusfix.errors import InputError
from defocusfix.photo import metadata
from defocusfix.photo.coding import HeicCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.pixels import from_depth
from defocusfix.photo.source import Source

MODES = {"L": 1, "I": 1, "LA": 2, "RGB": 3, "RGBA": 4}  # I is deeper gray
UNSAID = 2  # colour code of H.273


def decode_heic(source: Source) -> Photo:
    """A HEIC file as an upright photo.

    Raises InputError if it is too large, or the extra is not installed.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(
            f"{source.name} is a HEIC photo",
            why="reading these needs an extra that is not installed",
            fix='pip install "defocusfix[heif]"',
        ) from error
    file = pillow_heif.open_heif(
        BytesIO(source.all()), convert_hdr_to_8bit=False, hdr_to_16bit=False
    )
    source.check_size(file.size[1], file.size[0])
    mode, _, depth = file.mode.partition(";")
    if mode not in MODES:
        raise InputError(
            f"{source.name} has the colour model {file.mode}",
            why="only RGB and gray photos can be restored without changing their colours",
            fix="convert it to RGB in your photo editor first",
        )
    # The picture comes turned as it should be seen, whatever EXIF says.
    values = np.array(file).reshape(file.size[1], file.size[0], MODES[mode])
    if depth and depth != "16":
        values = from_depth(values, int(depth))
    exif = file.info.get("exif")
    exif = exif and exif.removeprefix(b"Exif\0\0")
    xmp = file.info.get("xmp")
    has_alpha = MODES[mode] in (2, 4)
    has_more = len(file) > 1 or bool(file.info.get("aux")) or bool(file.info.get("depth_images"))
    return Photo(
        pixels=np.ascontiguousarray(values[:, :, :-1]) if has_alpha else values,
        coding=HeicCoding(),
        alpha=np.ascontiguousarray(values[:, :, -1]) if has_alpha else None,
        icc_profile=file.info.get("icc_profile") or None,
        colour_codes=_colour_codes(file.info.get("nclx_profile")),
        exif=(exif and metadata.upright_exif(exif)) or None,
        xmp=(xmp and metadata.upright_xmp(xmp)) or None,
        iptc=next((m["data"] for m in file.info["metadata"] if m["type"] == "iptc"), None),
        notes=("further pictures (HDR gain map, depth) were left out",) if has_more else (),
        has_lost=True,
    )


def _colour_codes(profile: dict[str, Any] | None) -> tuple[int, int] | None:
    if not profile:
        return None
    codes = int(profile["color_primaries"]), int(profile["transfer_characteristics"])
    return None if codes == (UNSAID, UNSAID) else codes
