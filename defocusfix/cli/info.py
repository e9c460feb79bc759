"""`defocusfix info`: what a photo is, how blurred it is, and what restoring it would do."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defocusfix.cli import options, output
from defocusfix.cli.progress import Advance, track
from defocusfix.errors import DefocusfixError, InputError, PartialError
from defocusfix.jobs.events import SCHEMA, error_to_json
from defocusfix.jobs.plan import Naming
from defocusfix.jobs.treatment import Treatment

if TYPE_CHECKING:
    from collections.abc import Callable

    from defocusfix.jobs.inspection import Inspection
    from defocusfix.photo.camera import Camera

LABEL_WIDTH = 11


def info(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Photos, as for restore.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object a photo, on one line each.")
    ] = False,
    model: options.Model = None,
    engine: options.EngineChoice = "auto",
    device: options.Device = "auto",
    precision: options.PrecisionChoice = "auto",
    threads: options.Threads = None,
    max_megapixels: options.MaxMegapixels = options.LARGEST_MEGAPIXELS,
    max_file_size: options.MaxFileSize = options.LARGEST_FILE_GB,
) -> None:
    """Show what a photo is, how blurred it is, and what restore would do.

    Nothing is written. The blur is looked at in half the photo's size, which takes a quarter of
    the time of restoring it.

    Examples:

      defocusfix info portrait.jpg

      defocusfix info *.jpg --json > photos.jsonl
    """
    if as_json:
        output.answer_in_json()
    limits = options.limits_of(max_megapixels, max_file_size)

    from defocusfix.jobs.inspection import inspect_photo
    from defocusfix.jobs.recipe import restorers

    restorer_for = restorers(
        model, engine=engine, device=device, precision=precision, threads=threads
    )
    failed: list[tuple[Path, DefocusfixError]] = []
    for path in paths:
        try:
            with track(f"Looking at {path.name}", total=100, unit="%") as advance:
                found = inspect_photo(path, restorer_for, limits, _percent(advance))
        except InputError as error:
            if len(paths) == 1:
                raise
            failed.append((path, error))
            output.warn(str(error))
            if as_json:
                failure = {"input": str(path), **error_to_json(error)}
                output.data_json({"schema": SCHEMA, "event": "photo_failed", **failure})
            continue
        if as_json:
            output.data_json(_as_json(path, found))
        else:
            output.data(_as_text(path, found))
    if failed:
        kind = PartialError if len(failed) < len(paths) else type(failed[0][1])
        raise kind(
            f"{len(failed)} of {len(paths)} photos could not be read",
            why=", ".join(str(path) for path, _ in failed),
        )


def _percent(advance: Advance) -> Callable[[float], None]:
    return lambda share: advance(100 * share)


def _as_text(path: Path, found: Inspection) -> str:
    """The facts under each other, each with its label; what is not known is left out."""
    facts = {
        "photo": _photo_in_words(found),
        "camera": found.camera.name,
        "lens": found.camera.lens,
        "exposure": _exposure_in_words(found.camera),
        "focused": _distance_in_words(found.camera.focus_distance),
        "sensor": _sensor_in_words(found),
        "blur": _blur_in_words(found),
        "motion": _motion_in_words(path) if found.looks_moved else "",
        "restore": _forecast_in_words(path, found),
        "time": _time_in_words(found),
    }
    lines = [f"  {label:<{LABEL_WIDTH}}{text}" for label, text in facts.items() if text]
    return "\n".join([str(path), *lines]).replace("\n\t", "\n" + " " * (LABEL_WIDTH + 2))


def _photo_in_words(found: Inspection) -> str:
    photo = found.photo
    kind = "gray, " if photo.pixels.shape[2] == 1 else ""
    alpha = ", with transparency" if photo.alpha is not None else ""
    return (
        f"{photo.width} x {photo.height} ({photo.megapixels:.1f} MP), {photo.format.upper()}, "
        f"{kind}{photo.bits}-bit, {found.profile or 'no colour profile'}{alpha}"
    )


def _exposure_in_words(camera: Camera) -> str:
    facts = []
    if camera.focal_length_mm is not None:
        facts.append(f"{camera.focal_length_mm:g} mm")
        if camera.full_frame_focal_length_mm not in (None, camera.focal_length_mm):
            facts[-1] += f" (like {camera.full_frame_focal_length_mm:g} mm on full frame)"
    if camera.f_number is not None:
        facts.append(f"f/{camera.f_number:g}")
    seconds = camera.exposure_seconds
    if seconds is not None:
        facts.append(f"1/{1 / seconds:.0f} s" if seconds < 0.4 else f"{seconds:g} s")
    if camera.iso is not None:
        facts.append(f"ISO {camera.iso}")
    return ", ".join(facts)


def _distance_in_words(metres: float | None) -> str:
    if metres is None:
        return ""
    return "at infinity" if math.isinf(metres) else f"at {metres:.3g} m, as the camera recorded it"


def _sensor_in_words(found: Inspection) -> str:
    pitch = found.camera.pixel_pitch
    if pitch is None:
        return ""
    width, height = (pitch.micrometres * n / 1000 for n in (found.photo.width, found.photo.height))
    return (
        f"{width:.1f} x {height:.1f} mm, {pitch.micrometres:.3g} micrometres a pixel "
        f"(from {pitch.source})"
    )


def _blur_in_words(found: Inspection) -> str:
    blur, pitch = found.blur, found.camera.pixel_pitch
    if blur is None:
        return "not known: the model gives no map"

    def radius(pixels: float) -> str:
        if pitch is None:
            return f"{pixels:.1f} px"
        micrometres = pixels * pitch.micrometres
        return f"{pixels:.1f} px ({micrometres:.{0 if micrometres >= 10 else 1}f} micrometres)"

    return (
        f"{blur.share_out_of_focus:.0%} of the frame is out of focus\n\t"
        f"radius: median {radius(blur.median_px)}, "
        f"95th percentile {radius(blur.percentile_95_px)}"
    )


def _motion_in_words(path: Path) -> str:
    return (
        "the blur runs in one direction, as of a camera that moved, not one out of focus\n\t"
        f"try: defocusfix restore -m nafnet-motion {path}"
    )


def _forecast_in_words(path: Path, found: Inspection) -> str:
    if found.forecast is None:
        return f"writes {_output_name(path)}"
    words = {1: "at full size", 2: "at half size or less", 0: "is left as it is"}
    shares = [f"{share:.0%} {words[factor]}" for factor, share in found.forecast.scales.items()]
    return f"writes {_output_name(path)}; {', '.join(shares)}"


def _time_in_words(found: Inspection) -> str:
    method = found.method
    by = f"{method.model}, {method.engine} on {method.device} in {method.precision}"
    if found.forecast is None:
        return f"not known, by {by}"
    return f"about {_round(found.forecast.seconds):g} s, by {by}"


def _round(seconds: float) -> float:
    """Two digits at most: it is an estimate."""
    return float(f"{seconds:.2g}") if seconds >= 1 else round(seconds, 1)


def _output_name(path: Path) -> str:
    from defocusfix.jobs.restoring import output_suffix

    suffix = output_suffix(Treatment(program=options.PROGRAM), path)
    return f"{path.stem}{Naming().ending}{suffix}"


def _as_json(path: Path, found: Inspection) -> dict[str, object]:
    photo, camera, pitch = found.photo, found.camera, found.camera.pixel_pitch
    facts: dict[str, object] = {
        "schema": SCHEMA,
        "event": "info",
        "input": str(path),
        "width": photo.width,
        "height": photo.height,
        "bits": photo.bits,
        "format": photo.format,
        "channels": photo.pixels.shape[2],
        "has_alpha": photo.alpha is not None,
        "profile": found.profile,
        "camera": {
            "name": camera.name,
            "lens": camera.lens,
            "f_number": camera.f_number,
            "focal_length_mm": camera.focal_length_mm,
            "full_frame_focal_length_mm": camera.full_frame_focal_length_mm,
            "focus_distance_m": _json_distance(camera.focus_distance),
            "exposure_seconds": camera.exposure_seconds,
            "iso": camera.iso,
            "pixel_pitch_um": None if pitch is None else pitch.micrometres,
            "pixel_pitch_source": None if pitch is None else pitch.source,
        },
        "method": found.method.to_json(),
    }
    if found.blur is not None:
        blur = found.blur
        facts |= blur.to_json() | {"looks_moved": found.looks_moved}
        if pitch is not None:
            facts["radius_um"] = {
                "median": blur.median_px * pitch.micrometres,
                "percentile_95": blur.percentile_95_px * pitch.micrometres,
            }
    if found.forecast is not None:
        facts["restore"] = {
            "output": str(path.with_name(_output_name(path))),
            "scales": {str(factor): share for factor, share in found.forecast.scales.items()},
            "seconds": found.forecast.seconds,
        }
    return facts


def _json_distance(metres: float | None) -> float | str | None:
    """A distance for JSON, which has no number for infinity."""
    return "infinity" if metres is not None and math.isinf(metres) else metres
