"""Pairs from a light field: photos through synthetic apertures, and the middle view as target.

Folder: `blurry/NAME.png` and `sharp/NAME.png`, names as SCENE_apRRR_fN, with RRR the aperture's
radius in hundredths of a view step and N the focal plane, 1 being the farthest; the radius maps in
`radius/` where the disparity was given, in `estimated-radius/` where it was not; `SCENE.json`
with what was made. The target is repeated for each of its photos: every command pairs by equal
names, and a looser rule would pair photos that only happen to be called alike.

All pairs of a scene are cut to the largest rectangle that every view of every aperture shows, so
none has a border where the aperture is cut.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from defocusfix.errors import InputError, OutputError, UsageError
from defocusfix.optics.light_field import (
    FloatArray,
    LightField,
    Mask,
    pieces_per_step,
    refocus,
    sample_pupil,
    signed_radius,
    view_slopes,
)
from defocusfix.optics.psf import Aperture
from defocusfix.pairs.light_field_slopes import Slopes
from defocusfix.pairs.light_field_views import StoredLightField
from defocusfix.photo.coding import PngCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.pixels import Pixels, with_depth
from defocusfix.photo.safe_write import safe_write
from defocusfix.photo.write import encode_photo

Shape = Literal["disc", "pentagon", "hexagon", "octagon", "square"]
SHAPES: Final[dict[Shape, Aperture]] = {
    "disc": Aperture(),
    "pentagon": Aperture(blades=5, rotation=-math.pi / 2),
    "hexagon": Aperture(blades=6),
    "octagon": Aperture(blades=8, rotation=math.pi / 8),
    "square": Aperture(blades=4, rotation=math.pi / 4),
}
STOPS: Final = (1.0, 1 / math.sqrt(2), 0.5)  # of the largest aperture: 0, 1 and 2 stops down
SCENE_PERCENT: Final = (2.0, 98.0)  # of slopes, between which focal planes are spread
LEAST_SIDE_PX: Final = 64
EncodeRadius = Callable[[FloatArray], bytes]
"""A map (H, W), radius in pixels, not negative, as the bytes of a file."""


@dataclass(frozen=True, slots=True)
class LightFieldSettings:
    """Through which apertures, and focused where."""

    shape: Shape = "disc"
    radii_steps: tuple[float, ...] | None = None
    """Of the circle around the aperture, in view steps; None takes the largest round one within
    the views, and one and two stops down."""
    planes: int = 3
    """Focal planes, evenly spread in slope from the farthest to the nearest part of the scene."""
    focus_slopes: tuple[float, ...] | None = None
    """Focal planes as slopes, instead."""
    largest_step_px: float = 1.0
    """Between the samples of a blur; where views lie farther apart, views are made between them."""

    def __post_init__(self) -> None:
        if self.radii_steps is not None and not all(
            math.isfinite(radius) and radius > 0 for radius in self.radii_steps
        ):
            raise ValueError("an aperture's radius is above 0")
        if self.focus_slopes is not None and not all(map(math.isfinite, self.focus_slopes)):
            raise ValueError("the slope of a focal plane is a finite number")
        if self.planes < 1 or not self.largest_step_px > 0:
            raise ValueError("there is at least one focal plane, and a step is above 0")


@dataclass(frozen=True, slots=True, eq=False)
class LightFieldPair:
    """A photo through one aperture, focused at one slope."""

    name: str
    blurred: FloatArray
    """(H, W, 3), linear light."""
    radius_px: FloatArray
    """(H, W), signed, positive behind the plane of focus."""
    whole: Mask
    """(H, W), where every view of the aperture shows something."""
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where and how pairs are written."""

    folder: Path
    """Made if it is missing."""
    encode_radius: EncodeRadius
    map_suffix: str
    """Of the files that `encode_radius` makes, as in ".png"."""
    may_overwrite: bool = False


def count_of(settings: LightFieldSettings) -> int:
    """Number of pairs that one scene gives."""
    apertures = STOPS if settings.radii_steps is None else settings.radii_steps
    planes = settings.planes if settings.focus_slopes is None else len(settings.focus_slopes)
    return len(apertures) * planes


def pairs_of(
    stored: StoredLightField, slopes: Slopes, settings: LightFieldSettings
) -> Iterator[LightFieldPair]:
    """Every aperture with every focal plane. Raises UsageError if an aperture does not fit."""
    field, shape = stored.field, SHAPES[settings.shape]
    radii = settings.radii_steps or tuple(field.largest_radius_steps * stop for stop in STOPS)
    planes = settings.focus_slopes or _spread(slopes.values[_middle_seen(field)], settings.planes)
    of_views: FloatArray | None = None
    for radius in radii:
        for number, focus in enumerate(sorted(planes), start=1):
            pieces = pieces_per_step(slopes.values, focus, settings.largest_step_px)
            if pieces > 1 and of_views is None:
                of_views = view_slopes(slopes.values, field.grid)
            try:
                pupil = sample_pupil(field, shape, radius, pieces)
            except ValueError as error:
                raise UsageError(
                    f"{stored.scene}: an aperture of radius {radius:g} does not fit",
                    why=str(error),
                    fix="a smaller --aperture",
                ) from error
            photo = refocus(field, pupil, focus, of_views)
            radius_px = signed_radius(slopes.values, focus, pupil.radius_steps)
            facts = {
                "aperture_radius_steps": round(radius, 4),
                "radius_of_its_blur_steps": round(pupil.radius_steps, 4),
                "focus_slope": round(float(focus), 4),
                "pieces_per_step": pieces,
                "samples": len(pupil.samples),
                "views_dropped": pupil.dropped,
            }
            name = f"{stored.scene}_ap{round(100 * radius):03d}_f{number}"
            yield LightFieldPair(name, photo.image, radius_px, photo.whole, facts)


def refuse_existing(destination: Destination, scene: str) -> None:
    """Raises OutputError if a scene has been made already and may not be made anew."""
    facts = destination.folder / f"{scene}.json"
    if facts.exists() and not destination.may_overwrite:
        raise OutputError(
            f"{facts} exists already",
            why=f"the pairs of {scene} have been made",
            fix="another folder with -o, or --overwrite",
        )


def write_scene(
    destination: Destination,
    stored: StoredLightField,
    slopes: Slopes,
    pairs: Sequence[LightFieldPair],
) -> dict[str, Any]:
    """Write all pairs of one scene, cut alike, and return its facts.

    They are written aside and moved to their places when all are done, the facts last.
    Raises InputError if too little is left within the border that some views do not show,
    OutputError if a file is there already or cannot be written.
    """
    box = largest_rectangle(np.logical_and.reduce([pair.whole for pair in pairs]))
    top, left, height, width = box
    if min(height, width) < LEAST_SIDE_PX:
        raise InputError(
            f"{stored.scene}: the views have next to nothing in common",
            why=f"the largest rectangle that all of them show is {width} x {height} pixels",
            fix="a smaller --aperture, or focal planes with a --slope nearer to 0",
        )
    part = np.s_[top : top + height, left : left + width]
    maps = "radius" if slopes.is_exact else "estimated-radius"
    files: dict[str, bytes] = {}
    facts: dict[str, Any] = _facts(stored, slopes, box)
    target = _png(stored.middle[part])
    for pair in pairs:
        radius_px = np.abs(pair.radius_px[part])
        files[f"blurry/{pair.name}.png"] = _png(stored.stored(pair.blurred[part]))
        files[f"sharp/{pair.name}.png"] = target
        files[f"{maps}/{pair.name}{destination.map_suffix}"] = destination.encode_radius(radius_px)
        spread = np.percentile(radius_px, (5, 50, 95, 100)).round(3).tolist()
        radii = dict(zip(("p5", "median", "p95", "largest"), spread, strict=True))
        facts["pairs"].append({"name": pair.name, **pair.facts, "radius_px": radii})
    files[f"{stored.scene}.json"] = (json.dumps(facts, indent=2) + "\n").encode()
    _write_all(destination, files)
    return facts


def largest_rectangle(mask: Mask) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the largest rectangle that is True all over; sizes 0 if none.

    Row by row, over the heights of the columns that end there, with a stack of rising ones.
    """
    best, best_area = (0, 0, 0, 0), 0
    heights = np.zeros(mask.shape[1] + 1, int)  # the last stays 0 and ends every rectangle
    for row, line in enumerate(mask):
        heights[:-1] = np.where(line, heights[:-1] + 1, 0)
        rising: list[tuple[int, int]] = []  # (first column, height)
        for column, height in enumerate(heights.tolist()):
            first = column
            while rising and rising[-1][1] >= height:
                first, above = rising.pop()
                if above * (column - first) > best_area:
                    best_area = above * (column - first)
                    best = row + 1 - above, first, above, column - first
            rising.append((first, height))
    return best


def _spread(slopes: FloatArray, planes: int) -> tuple[float, ...]:
    far, near = np.percentile(slopes, SCENE_PERCENT)
    if planes == 1:
        return (float(far + near) / 2,)
    return tuple(np.linspace(far, near, planes).tolist())


def _middle_seen(field: LightField) -> Mask:
    return np.asarray(field.seen[field.grid[0] // 2, field.grid[1] // 2])


def _facts(
    stored: StoredLightField, slopes: Slopes, box: tuple[int, int, int, int]
) -> dict[str, Any]:
    top, left, height, width = box
    within = slopes.values[top : top + height, left : left + width]
    usable = stored.field.usable
    return {
        "scene": stored.scene,
        "views": list(stored.field.grid),
        "views_left_out": np.argwhere(~usable).tolist(),
        "gains": [round(float(g), 3) for g in np.percentile(stored.gains[usable], (0, 100))],
        "curve": stored.curve,
        "size": [height, width],
        "cut_from": [top, left],
        "slopes": "given" if slopes.is_exact else "estimated",
        "slope_range": [round(float(s), 4) for s in np.percentile(within, (0, 100))],
        "pairs": [],
    }


def _png(pixels: Pixels) -> bytes:
    return encode_photo(Photo(with_depth(pixels, _png_depth(pixels)), PngCoding()))


def _png_depth(pixels: Pixels) -> type:
    return np.uint8 if pixels.dtype == np.uint8 else np.uint16


def _write_all(destination: Destination, files: dict[str, bytes]) -> None:
    folder = destination.folder
    taken = [name for name in files if (folder / name).exists()]
    if taken and not destination.may_overwrite:
        raise OutputError(
            f"{folder / taken[0]} exists already", fix="another folder with -o, or --overwrite"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as aside:
            for name, content in files.items():
                (Path(aside) / name).parent.mkdir(exist_ok=True)
                safe_write(Path(aside) / name, content)
            for name in files:
                (folder / name).parent.mkdir(exist_ok=True)
                (Path(aside) / name).replace(folder / name)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{folder} cannot be written to", why=reason) from error
