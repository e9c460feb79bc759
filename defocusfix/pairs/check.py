"""Whether pairs of photos are fit to learn from, and why not, pair by pair and as a set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.errors import InputError
from defocusfix.figures.thumbnail import thumbnail
from defocusfix.pairs.blur import PairBlur, training_scale
from defocusfix.pairs.find import PairFiles, Pairing
from defocusfix.pairs.geometry import PairGeometry, matrix_at
from defocusfix.pairs.judgement import limiting_flaws, problems, rejecting_flaws, remarks
from defocusfix.pairs.measures import PairMeasures
from defocusfix.pairs.pixels import as_float, reduced
from defocusfix.pairs.report import DataReport, PairReport, Sharper, Thumbnails, Verdict
from defocusfix.pairs.signature import Signature, signature_of
from defocusfix.pairs.split import scenes_of
from defocusfix.photo.pixels import Pixels
from defocusfix.photo.read import read_photo
from defocusfix.registration.exposure import with_gains
from defocusfix.registration.warp import FloatImage, affine_flow, inside

SAME_FILE: Final = "both photos are the same file"
LEAST_SIDE_PX: Final = 128  # a crop, and room to move it
LEAST_SPREAD: Final = 0.008  # standard deviation of a photo that is not blank
EQUAL_SHARE: Final = 0.05  # of the tiles; up to here a difference in sharpness is chance
SMALL_PX: Final = 48
SAME_DIFFERENCE: Final = 0.002  # mean, of small copies of one photo
TREND_PX: Final = 12.0  # on small copies: what varies more slowly is light, not place
LEAST_WEIGHT: Final = 0.1
THUMBNAIL_PX: Final = 320
DETAIL_PX: Final = 160

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Checked:
    """A report, with what is needed to compare its pair with the others."""

    report: PairReport
    signature: Signature | None = None
    small: FloatArray | None = None
    """Small copies of both photos, (2, 48, 48, 3)."""


def check_pairs(
    pairs: Pairing | Sequence[PairFiles],
    *,
    report: Callable[[PairReport], None] | None = None,
    with_thumbnails: bool = False,
    cache: Path | None = None,
) -> DataReport:
    """Measure every pair and judge the set. A photo that cannot be read rejects its pair.

    report: is told of each pair as soon as it is done. with_thumbnails: for a page. cache: folder
    in which what was measured is kept, and found again by those who train on the pairs.
    At most one pair is in memory at a time. Raises OutputError if the folder takes no files.
    """
    measures = PairMeasures(cache)
    files = pairs.pairs if isinstance(pairs, Pairing) else tuple(pairs)
    checked: list[_Checked] = []
    for pair in files:
        found = _compared(_checked(pair, measures, with_thumbnails), checked)
        checked.append(found)
        if report is not None:
            report(found.report)
    scenes = scenes_of(files, [found.signature for found in checked])
    reports = tuple(
        replace(found.report, scene=scene) for found, scene in zip(checked, scenes, strict=True)
    )
    unmatched: tuple[Path, ...] = ()
    if isinstance(pairs, Pairing):
        unmatched = (*pairs.blurred_alone, *pairs.sharp_alone)
    return DataReport(
        pairs=reports,
        unmatched=unmatched,
        problems=tuple(problems(reports)),
        remarks=tuple(remarks(reports, unmatched)),
        paired_by=pairs.by if isinstance(pairs, Pairing) else "list",
    )


def _checked(files: PairFiles, measures: PairMeasures, with_thumbnails: bool) -> _Checked:
    if files.blurred.resolve() == files.all_in_focus.resolve():
        return _Checked(PairReport(files=files, verdict="reject", reasons=(SAME_FILE,)))
    photos = []
    for kind, path in (("blurry", files.blurred), ("sharp", files.all_in_focus)):
        try:
            photos.append(read_photo(path).pixels)
        except InputError as error:
            reason = f"the {kind} photo {error.what.removeprefix(path.name).strip()}"
            reason += f" ({error.why})" if error.why else ""
            return _Checked(PairReport(files=files, verdict="reject", reasons=(reason,)))
    blurred, sharp = photos
    sizes = [(int(photo.shape[1]), int(photo.shape[0])) for photo in (blurred, sharp)]
    known = PairReport(
        files=files, verdict="good", reasons=(), blurred_size=sizes[0], sharp_size=sizes[1]
    )
    small = np.stack([_small(photo) for photo in (blurred, sharp)])
    checked = _Checked(known, signature_of(sharp), small)
    flaw = _flaw_at_first_sight(blurred, sharp, small)
    if flaw:
        return replace(checked, report=replace(known, verdict="reject", reasons=(flaw,)))
    geometry = measures.geometry(files, lambda: (blurred, sharp))
    blur = measures.blur(files, lambda: (blurred, sharp)).blur
    measured = _measured(known, geometry, blur)
    if geometry.is_found:
        measured = replace(measured, tone_difference=_tone_difference(blurred, sharp, geometry))
    rejecting, limiting = tuple(rejecting_flaws(measured)), tuple(limiting_flaws(measured))
    verdict: Verdict = "reject" if rejecting else "usable" if limiting else "good"
    judged = replace(measured, verdict=verdict, reasons=rejecting + limiting)
    if with_thumbnails:
        judged = replace(judged, thumbnails=_thumbnails(blurred, sharp, geometry, judged.scale))
    return replace(checked, report=judged)


def _measured(known: PairReport, geometry: PairGeometry, blur: PairBlur) -> PairReport:
    scale = training_scale(blur)
    if not geometry.is_found:
        return known
    width, height = known.blurred_size or (0, 0)
    red, green, blue = (float(gain) for gain in geometry.gains)
    brightness = max(0.299 * red + 0.587 * green + 0.114 * blue, 1e-6)
    return replace(
        known,
        exposure_stops=math.log2(brightness),
        gains=(red, green, blue),
        shift_px=math.hypot(*geometry.shift_at((width - 1) / 2, (height - 1) / 2)),
        rotation_deg=geometry.rotation_deg,
        zoom=geometry.zoom,
        common_share=geometry.common_share((height, width)),
        sharper=_sharper(blur),
        blur=blur,
        scale=scale,
    )


def _sharper(blur: PairBlur) -> Sharper:
    if blur.tiles == 0:
        return "unknown"
    if max(blur.share_blurred, blur.share_reversed) <= EQUAL_SHARE:
        return "equal"
    return "sharp" if blur.share_blurred >= blur.share_reversed else "blurry"


def _flaw_at_first_sight(blurred: Pixels, sharp: Pixels, small: FloatArray) -> str | None:
    """Why there is nothing to measure, if there is not."""
    if blurred.shape[:2] != sharp.shape[:2]:
        sizes = [f"{photo.shape[1]} x {photo.shape[0]}" for photo in (blurred, sharp)]
        return f"the photos differ in size: {sizes[0]} and {sizes[1]} pixels"
    if min(blurred.shape[:2]) < LEAST_SIDE_PX:
        return f"smaller than {LEAST_SIDE_PX} px"
    for name, copy in zip(("blurry", "sharp"), small, strict=True):
        if copy.std(axis=(0, 1)).max() < LEAST_SPREAD:
            return f"the {name} photo is blank"
    if blurred.dtype == sharp.dtype and np.array_equal(blurred, sharp):
        return "both photos are the same picture"
    return None


def _compared(found: _Checked, earlier: Sequence[_Checked]) -> _Checked:
    """The same, rejected if an earlier pair has the same two photos."""
    if found.small is None or found.report.verdict == "reject":
        return found
    for other in earlier:
        if other.small is None or other.report.duplicate_of is not None:
            continue
        difference = np.abs(found.small - other.small).mean(axis=(1, 2, 3)).max()
        if difference < SAME_DIFFERENCE and _equally_blurred(found.report, other.report):
            reason = f"the same two photos as {other.report.name}"
            reasons = (reason, *found.report.reasons)
            report = replace(
                found.report, verdict="reject", reasons=reasons, duplicate_of=other.report.name
            )
            return replace(found, report=report)
    return found


def _tone_difference(blurred: Pixels, sharp: Pixels, geometry: PairGeometry) -> float:
    """What one gain for the whole photo leaves of a difference in brightness."""
    factor = max(1, min(blurred.shape[:2]) // (4 * SMALL_PX))
    below, above = _in_line(blurred, sharp, geometry, factor)
    height, width = below.shape[:2]
    flow = affine_flow(matrix_at(geometry.matrix, factor), (height, width))
    weight = cv2.GaussianBlur(inside(flow).astype(np.float32), (0, 0), TREND_PX)
    difference = (below - above).mean(axis=2) * inside(flow)
    trend = cv2.GaussianBlur(difference, (0, 0), TREND_PX) / np.maximum(weight, LEAST_WEIGHT)
    return float(np.abs(trend[inside(flow)]).mean())


def _equally_blurred(one: PairReport, other: PairReport) -> bool:
    if one.blur is None or other.blur is None:
        return one.blur is other.blur
    # One scene focused near and far may have the same blur in the middle, but not at the end.
    radii = ((blur.median_px, blur.high_px) for blur in (one.blur, other.blur))
    return all(
        math.isclose(here, there, rel_tol=0.05, abs_tol=0.1)
        for here, there in zip(*radii, strict=True)
    )


def _small(pixels: Pixels) -> FloatArray:
    factor = max(1, min(pixels.shape[:2]) // (4 * SMALL_PX))
    image = as_float(reduced(pixels, factor))
    return np.asarray(cv2.resize(image, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA))


def _thumbnails(
    blurred: Pixels, sharp: Pixels, geometry: PairGeometry, scale: int | None
) -> Thumbnails:
    """Whole photos, and the place with most detail at the scale of training."""
    factor = max(1, min(blurred.shape[:2]) // THUMBNAIL_PX)
    whole = [_in_line(blurred, sharp, geometry, f) for f in (factor, scale or factor)]
    (below, above), (coarse, fine) = whole
    place = _most_detail(fine)
    return Thumbnails(
        blurred=thumbnail(below, THUMBNAIL_PX),
        sharp=thumbnail(above, THUMBNAIL_PX),
        blurred_detail=thumbnail(coarse[place], DETAIL_PX),
        sharp_detail=thumbnail(fine[place], DETAIL_PX),
    )


def _in_line(
    blurred: Pixels, sharp: Pixels, geometry: PairGeometry, factor: int
) -> tuple[FloatImage, FloatImage]:
    """Both photos reduced, the sharp one laid over the blurred one, at its exposure."""
    below, above = (as_float(reduced(photo, factor)) for photo in (blurred, sharp))
    height, width = below.shape[:2]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(above, matrix_at(geometry.matrix, factor), (width, height), flags=flags)
    return below, with_gains(np.asarray(moved, np.float32), geometry.gains)


def _most_detail(image: FloatImage) -> tuple[slice, slice]:
    """The square of the image with the most varied slopes."""
    height, width = image.shape[:2]
    side = min(DETAIL_PX, height, width)
    slopes = np.square(cv2.Laplacian(image, cv2.CV_32F)).sum(axis=2)
    # Roots, so that one bright edge does not count for more than texture.
    detail = cv2.boxFilter(np.sqrt(slopes), -1, (side, side), anchor=(0, 0))
    top, left = np.unravel_index(
        int(detail[: height - side + 1, : width - side + 1].argmax()),
        (height - side + 1, width - side + 1),
    )
    return slice(int(top), int(top) + side), slice(int(left), int(left) + side)
