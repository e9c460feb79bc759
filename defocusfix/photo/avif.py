"""AVIF both ways: 8 bits through Pillow, 10 and 12 through OpenCV, since Pillow cuts these to 8.

An AVIF does not say how strongly it was compressed, so it is written with a high quality.

Source: AV1 Image File Format 1.1; AV1-ISOBMFF 2.3.3 (depth and subsampling).
"""

from __future__ import annotations

from io import BytesIO
from typing import BinaryIO, Literal

import numpy as np
from PIL import AvifImagePlugin, Image

from defocusfix.errors import InputError
from defocusfix.photo import isobmff, metadata, opencv
from defocusfix.photo.coding import AvifCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.pixels import from_depth, from_pillow, to_depth, turn_upright, with_alpha
from defocusfix.photo.source import Source

UNSAID = 2  # colour code of H.273
LOSSLESS = 100  # quality
SPEED = 6  # of the encoder, 0 to 10, as in Pillow
NCLX = b"colrnclx"
EXIF_START = b"Exif\0\0"  # ahead of EXIF as cameras write it; some programs look for it


def decode_avif(source: Source) -> Photo:
    """An AVIF file as an upright photo. Raises InputError if it is animated or too large."""
    data = source.all()
    image = AvifImagePlugin.AvifImageFile(BytesIO(data))
    source.check_size(image.height, image.width)
    if image.is_animated:
        raise InputError(
            f"{source.name} is an animation", fix="save the picture you want on its own"
        )
    properties = isobmff.properties(data)
    coding = _coding(properties)
    values = (
        from_pillow(image) if coding.depth == 8 else from_depth(opencv.decode(data), coding.depth)
    )
    if coding.subsampling == "4:0:0" and values.shape[2] > 2:
        values = values[:, :, (0, 3) if values.shape[2] == 4 else (0,)]
    turn = image.info.get("exif", b"").removeprefix(EXIF_START)  # what the container says
    values = turn_upright(values, metadata.orientation_of(turn))
    has_alpha = values.shape[2] in (2, 4)
    exif, xmp = _exif(data), image.info.get("xmp")
    has_gain_map = isobmff.item(data, b"tmap") is not None
    return Photo(
        pixels=np.ascontiguousarray(values[:, :, :-1]) if has_alpha else values,
        coding=coding,
        alpha=np.ascontiguousarray(values[:, :, -1]) if has_alpha else None,
        icc_profile=image.info.get("icc_profile"),
        colour_codes=_colour_codes(properties),
        exif=exif and metadata.upright_exif(exif),
        xmp=xmp and metadata.upright_xmp(xmp),
        notes=("the HDR gain map was left out",) if has_gain_map else (),
        has_lost=True,
    )


def encode_avif(photo: Photo, coding: AvifCoding, file: BinaryIO) -> None:
    """Write an AVIF with the depth of `coding`."""
    encoded = _eight_bits(photo, coding) if coding.depth == 8 else _deeper(photo, coding)
    at = encoded.find(NCLX)
    if photo.colour_codes is not None and at >= 0:
        primaries, transfer = photo.colour_codes
        codes = primaries.to_bytes(2, "big") + transfer.to_bytes(2, "big")
        at += len(NCLX)
        encoded = encoded[:at] + codes + encoded[at + 4 :]
    file.write(encoded)


def _coding(properties: list[isobmff.Box]) -> AvifCoding:
    configuration = isobmff.first(properties, b"av1C")
    if configuration is None or len(configuration.content) < 4:
        raise ValueError("it does not say how it is coded")
    flags = configuration.content[2]
    depth: Literal[8, 10, 12] = (12 if flags & 0x20 else 10) if flags & 0x40 else 8
    names: dict[int, Literal["4:4:4", "4:2:2", "4:2:0", "4:0:0"]]
    names = {0: "4:4:4", 0x08: "4:2:2", 0x0C: "4:2:0"}
    subsampling = "4:0:0" if flags & 0x10 else names.get(flags & 0x0C, "4:4:4")
    return AvifCoding(depth=depth, subsampling=subsampling)


def _colour_codes(properties: list[isobmff.Box]) -> tuple[int, int] | None:
    for box in properties:
        if box.kind == b"colr" and box.content[:4] == b"nclx" and len(box.content) >= 8:
            primaries = int.from_bytes(box.content[4:6], "big")
            transfer = int.from_bytes(box.content[6:8], "big")
            is_said = (primaries, transfer) != (UNSAID, UNSAID)
            return (primaries, transfer) if is_said else None
    return None


def _exif(data: bytes) -> bytes | None:
    """The EXIF block as it is in the file; Pillow packs it anew where the photo is turned."""
    content = isobmff.item(data, b"Exif")
    if content is None or len(content) < 4:
        return None
    return content[4 + int.from_bytes(content[:4], "big") :]


def _eight_bits(photo: Photo, coding: AvifCoding) -> bytes:
    values = with_alpha(photo.pixels, photo.alpha, as_rgb=photo.alpha is not None)
    # Pillow packs an EXIF block with an orientation anew, which moves the maker notes.
    exif = photo.exif or b""
    unturned = metadata.without_orientation(exif)
    encoded = BytesIO()
    Image.fromarray(values if values.shape[2] > 1 else values[:, :, 0]).save(
        encoded,
        "AVIF",
        quality=coding.quality,
        subsampling="4:0:0" if photo.pixels.shape[2] == 1 else coding.subsampling,
        speed=SPEED,
        icc_profile=photo.icc_profile or b"",
        exif=EXIF_START + unturned if exif else b"",
        xmp=photo.xmp or b"",
    )
    return encoded.getvalue().replace(unturned, exif, 1) if exif else encoded.getvalue()


def _deeper(photo: Photo, coding: AvifCoding) -> bytes:
    import cv2

    # OpenCV writes chroma at half size, or at full size without any loss.
    has_small_chroma = coding.subsampling in ("4:2:0", "4:0:0")
    values = with_alpha(photo.pixels, photo.alpha, as_rgb=photo.alpha is not None)
    return opencv.encode(
        ".avif",
        to_depth(values, coding.depth),
        {
            cv2.IMWRITE_AVIF_QUALITY: coding.quality if has_small_chroma else LOSSLESS,
            cv2.IMWRITE_AVIF_DEPTH: coding.depth,
            cv2.IMWRITE_AVIF_SPEED: SPEED,
        },
        {
            cv2.IMAGE_METADATA_EXIF: photo.exif and EXIF_START + photo.exif,
            cv2.IMAGE_METADATA_XMP: photo.xmp,
            cv2.IMAGE_METADATA_ICCP: photo.icc_profile,
        },
    )
