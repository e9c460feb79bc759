"""What to look at beside the figures: the worst, the middling and the best photos of a protocol."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.evaluation.brackets import BracketCase, BracketScore
from defocusfix.evaluation.maps import MapScore, MaskedPhoto
from defocusfix.evaluation.pairs import PairCase
from defocusfix.evaluation.protocols import FloatImage, Restore, restored_image
from defocusfix.evaluation.rendered import RenderedPair
from defocusfix.figures.contact_sheet import Crop, Panel, crop_around
from defocusfix.figures.map_image import coloured, with_legend

Mask = npt.NDArray[np.bool_]

CROP_PX: Final = 160
ROWS: Final = 9
DIFFERENCE_SIGMA_PX: Final = 24.0  # a crop is placed where this much around it differs most
EQUAL: Final = np.float32(1e-9)  # weight of a pixel without any difference
MAP_SCALE_PX: Final = 12.0  # full scale of coloured maps on a sheet


def evenly(length: int, count: int = ROWS) -> list[int]:
    """At most `count` indices below `length`, evenly spaced from first to last."""
    steps = np.linspace(0, length - 1, min(count, length)).round().astype(int)
    return [int(step) for step in steps]


def spread(values: Sequence[float], count: int = ROWS) -> list[int]:
    """Indices of `count` values from the lowest to the highest, evenly spaced in rank."""
    order = np.argsort(np.asarray(values), kind="stable")
    return [int(order[rank]) for rank in evenly(len(order), count)]


def most_telling(image: FloatImage, other: FloatImage, mask: Mask) -> Crop:
    """The crop where two images differ most inside the mask; equal ones, where it is densest."""
    difference = (np.square(image - other).mean(axis=2) + EQUAL) * mask
    around = np.asarray(cv2.GaussianBlur(difference, (0, 0), DIFFERENCE_SIGMA_PX))
    row, column = np.unravel_index(int(np.argmax(around)), around.shape)
    height, width = mask.shape
    return crop_around((int(column), int(row)), CROP_PX, (height, width))


def bracket_rows(
    restore: Restore, cases: Sequence[BracketCase], scores: Sequence[BracketScore]
) -> list[list[Panel]]:
    """Input, output and aligned reference, and one sharp crop before and after, by gain."""
    rows = []
    for index in spread([score.gain_db for score in scores]):
        case, score = cases[index], scores[index]
        output, _ = restored_image(restore, case.image)
        crop = most_telling(case.image, case.aligned.image, case.aligned.mask)
        row = [
            Panel(f"{case.name} input {score.input_db:.1f} dB", crop.of(case.image)),
            Panel(f"output {score.gain_db:+.2f} dB", crop.of(output)),
            Panel("reference", crop.of(case.aligned.image)),
        ]
        if case.sharp.any():
            sharp = most_telling(case.image, output, case.sharp)
            row += [
                Panel("sharp input", sharp.of(case.image)),
                Panel(f"kept {score.kept_db:.1f} dB", sharp.of(output)),
            ]
        rows.append(row)
    return rows


def pair_rows(
    restore: Restore, cases: Sequence[PairCase], gains_db: Sequence[float]
) -> list[list[Panel]]:
    """Input, output and the best aligned target of each case, with its gain against that."""
    rows = []
    for case, gain_db in zip(cases, gains_db, strict=True):
        output, _ = restored_image(restore, case.image, case.views)
        alignment, target = list(case.targets.items())[-1]
        crop = most_telling(case.image, target.image, target.mask)
        rows.append(
            [
                Panel(f"{case.name} input", crop.of(case.image)),
                Panel(f"output {gain_db:+.2f} dB", crop.of(output)),
                Panel(f"target, {alignment}", crop.of(target.image)),
            ]
        )
    return rows


def rendered_rows(
    restore: Restore, pairs: Sequence[RenderedPair], gains_db: Sequence[float]
) -> list[list[Panel]]:
    """Input, output and target of each rendered photo, with its gain, and its map if it has one."""
    rows = []
    for (blurred, all_in_focus, signed_radius), gain_db in zip(pairs, gains_db, strict=True):
        image = np.asarray(blurred, np.float32) / np.float32(255)
        target = np.asarray(all_in_focus, np.float32) / np.float32(255)
        output, restored = restored_image(restore, image)
        radius = np.abs(signed_radius).astype(np.float32).repeat(2, axis=0).repeat(2, axis=1)
        crop = most_telling(image, target, np.ones(image.shape[:2], np.bool_))
        row = [
            Panel("input", crop.of(image)),
            Panel(f"output {gain_db:+.2f} dB", crop.of(output)),
            Panel("target", crop.of(target)),
            Panel(f"true radius, 0 to {MAP_SCALE_PX:g} px", crop.of(_map_colours(radius))),
        ]
        if restored.radius_px is not None:
            row.append(Panel("map", crop.of(_map_colours(restored.radius_px))))
        rows.append(row)
    return rows


def map_rows(
    restore: Restore, photos: Sequence[MaskedPhoto], scores: Sequence[MapScore]
) -> list[list[Panel]]:
    """Photo, mask and map by error, each at a third of its size so that the whole photo is seen."""
    rows = []
    for index in spread([-score.error for score in scores]):
        photo, score = photos[index], scores[index]
        _, restored = restored_image(restore, photo.image)
        mask = photo.is_blurred.astype(np.float32)[..., None].repeat(3, axis=2)
        row = [Panel(photo.name, _third(photo.image)), Panel("mask", _third(mask))]
        if restored.radius_px is not None:
            small = np.clip(_third(restored.radius_px), 0, None)
            legend = with_legend(coloured(small, MAP_SCALE_PX), MAP_SCALE_PX).astype(np.float32)
            row.append(Panel(f"map, error {score.error:.3f}", legend / np.float32(255)))
        rows.append(row)
    return rows


def _map_colours(radius_px: FloatImage) -> FloatImage:
    return coloured(radius_px, MAP_SCALE_PX).astype(np.float32) / np.float32(255)


def _third(image: FloatImage) -> FloatImage:
    return np.asarray(cv2.resize(image, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA))
