"""What a photo says about the camera that took it. Every fact may be missing, wrong or broken.

Source: Exif 2.32, sections 4.6.4 and 4.6.5; Canon's focus distance as ExifTool documents it
(ShotInfo, entry 19, in centimetres); lens and distance in XMP as Adobe's `aux` schema has them.
"""

from __future__ import annotations

import io
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import exifread

from defocusfix.photo.photo import Photo
from defocusfix.photo.webp import exif_in_webp

FULL_FRAME_DIAGONAL_MM = math.hypot(36, 24)
MILLIMETRES_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # FocalPlaneResolutionUnit
INCH = 2  # the unit where none is given
SENSOR_DIAGONALS_MM = (2.0, 90.0)  # smallest phone camera to medium format
AGREEMENT = 1.25  # two ways to a pixel's size that differ by more contradict each other
INFINITY_IN_EXIF = 0xFFFFFFFF
INFINITY_OF_CANON = 0xFFFF
CANON_LENS = "MakerNote LensModel"

# exifread writes what it stumbles over to stderr, where nobody has set up logging.
logging.getLogger("exifread").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class PixelPitch:
    """Distance between two pixels of a photo, on the sensor."""

    micrometres: float
    source: str
    """The tags it was worked out from. A photo that was cropped or made smaller may mislead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Camera, lens and how they were set; None for what the photo does not say."""

    name: str | None
    """Make and model."""
    lens: str | None
    f_number: float | None
    focal_length_mm: float | None
    full_frame_focal_length_mm: float | None
    """Focal length with the same view on a sensor of 36 x 24 mm."""
    focus_distance: float | None
    """In metres, as the camera recorded it; inf is allowed."""
    exposure_seconds: float | None
    iso: int | None
    pixel_pitch: PixelPitch | None
    """None also if two ways to work it out contradict each other."""


def camera_of(photo: Photo) -> Camera:
    """The camera facts of a photo. Raises nothing: what cannot be understood is None."""
    tags = _tags(photo.exif)
    xmp = photo.xmp or b""
    focal_length = _positive(tags, "EXIF FocalLength")
    full_frame = _positive(tags, "EXIF FocalLengthIn35mmFilm")
    iso = _positive(tags, "EXIF ISOSpeedRatings")
    return Camera(
        name=_camera_name(_text(tags, "Image Make"), _text(tags, "Image Model")),
        lens=_text(tags, "EXIF LensModel") or _in_xmp(xmp, "Lens") or _text(tags, CANON_LENS),
        f_number=_positive(tags, "EXIF FNumber"),
        focal_length_mm=focal_length,
        full_frame_focal_length_mm=full_frame,
        focus_distance=_focus_distance(tags, xmp),
        exposure_seconds=_positive(tags, "EXIF ExposureTime"),
        iso=None if iso is None else round(iso),
        pixel_pitch=_pixel_pitch(tags, focal_length, full_frame, photo.width, photo.height),
    )


def taken_at(path: Path) -> datetime | None:
    """When a photo was taken, by its camera's clock; None if its file does not say.

    The picture itself is not read. Raises nothing: what cannot be understood is None.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    tags = _tags(exif_in_webp(data) or data)  # exifread finds its way in the other formats
    text = _text(tags, "EXIF DateTimeOriginal") or ""
    fraction = re.sub(r"\D", "", _text(tags, "EXIF SubSecTimeOriginal") or "")
    try:
        return datetime.strptime(f"{text}.{fraction[:6] or 0}", "%Y:%m:%d %H:%M:%S.%f")
    except ValueError:
        return None


def _tags(exif: bytes | None) -> Mapping[str, object]:
    """Tags by exifread's names, with the maker's own if they can be read, else without."""
    if exif is None:
        return {}
    for with_maker_notes in (True, False):
        try:
            tags: Mapping[str, object] = exifread.process_file(
                io.BytesIO(exif), details=with_maker_notes, extract_thumbnail=False
            )
        except Exception:  # noqa: BLE001  a broken block can make exifread raise anything
            continue
        return tags
    return {}


def _values(tags: Mapping[str, object], key: str) -> list[object]:
    """The values of a tag, in a flat list; empty if there is no such tag."""
    values = getattr(tags.get(key), "values", [])
    if not isinstance(values, list | tuple):
        return [values]
    flat: list[object] = []
    for value in values:
        flat.extend(value if isinstance(value, tuple) else [value])
    return flat


def _number(tags: Mapping[str, object], key: str) -> float | None:
    values = _values(tags, key)
    try:
        number = float(values[0])  # type: ignore[arg-type]
    except (IndexError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _positive(tags: Mapping[str, object], key: str) -> float | None:
    number = _number(tags, key)
    return number if number is not None and number > 0 else None


def _text(tags: Mapping[str, object], key: str) -> str | None:
    values = _values(tags, key)
    if not values or not isinstance(values[0], str):
        return None
    return _printable(values[0])


def _printable(text: str) -> str | None:
    """A single line without control characters, or None if nothing is left."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line or None


def _camera_name(make: str | None, model: str | None) -> str | None:
    """Make and model, the make only once: "NIKON CORPORATION" and "NIKON Z 6" are NIKON Z 6."""
    if make is None or model is None:
        return model or make
    is_named = model.lower().startswith(make.split()[0].lower())
    return model if is_named else f"{make} {model}"


def _in_xmp(xmp: bytes, name: str) -> str | None:
    """A property of Adobe's `aux` schema, written as an attribute or as an element."""
    pattern = rb"aux:%b(?:\s*=\s*[\"']([^\"'<]{1,200})|>([^<]{1,200})<)" % name.encode()
    found = re.search(pattern, xmp)
    if found is None:
        return None
    return _printable((found[1] or found[2]).decode("utf-8", "replace"))


def _focus_distance(tags: Mapping[str, object], xmp: bytes) -> float | None:
    """In metres. 0 stands for unknown wherever a distance is recorded."""
    in_exif = _positive(tags, "EXIF SubjectDistance")
    if in_exif is not None:
        return math.inf if in_exif >= INFINITY_IN_EXIF else in_exif
    in_xmp = _fraction(_in_xmp(xmp, "ApproximateFocusDistance"))
    if in_xmp is not None:
        return math.inf if in_xmp >= INFINITY_IN_EXIF else in_xmp
    of_canon = _positive(tags, "MakerNote SubjectDistance")
    if of_canon is not None:
        return math.inf if of_canon >= INFINITY_OF_CANON else of_canon / 100
    return None


def _fraction(text: str | None) -> float | None:
    """The number that "256/100" or "2.56" says, if it is above 0."""
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)(?:/(\d{1,12}))?", text or "")
    if found is None or found[2] == "0":
        return None
    return float(found[1]) / float(found[2] or 1) or None


def _pixel_pitch(
    tags: Mapping[str, object],
    focal_length_mm: float | None,
    full_frame_mm: float | None,
    width: int,
    height: int,
) -> PixelPitch | None:
    diagonal = math.hypot(width, height)
    ways = []
    per_unit = _positive(tags, "EXIF FocalPlaneXResolution")
    unit = _number(tags, "EXIF FocalPlaneResolutionUnit") or INCH
    if per_unit is not None and unit in MILLIMETRES_PER_UNIT:
        pitch_um = 1000 * MILLIMETRES_PER_UNIT[int(unit)] / per_unit
        smallest, largest = SENSOR_DIAGONALS_MM
        if smallest <= pitch_um * diagonal / 1000 <= largest:
            ways.append(PixelPitch(pitch_um, "FocalPlaneXResolution"))
    if focal_length_mm is not None and full_frame_mm is not None:
        sensor_mm = FULL_FRAME_DIAGONAL_MM * focal_length_mm / full_frame_mm
        pitch_um = 1000 * sensor_mm / diagonal
        ways.append(PixelPitch(pitch_um, "the 35 mm equivalent focal length"))
    if not ways:
        return None
    sizes = [way.micrometres for way in ways]
    return ways[0] if max(sizes) <= AGREEMENT * min(sizes) else None
