"""How good pairs from a light field are: ghosts, geometry, sharpness, vignetting, restoring.

    python benchmarks/light_field.py VIEWS [--only PART] [--pictures DIR]

VIEWS is a folder of an odd number of views each way, 9 x 9 for the figures in docs/light-field.md.

ghosts: every second view alone, with a given number of views made between them, against the photo
from all views; PSNR of display values, where all views show something. geometry: the shift between
photo and target, by enhanced correlation (ECC) of the whole and of 4 x 3 tiles of it, away from
clipped light, whose blur reaches into the picture from one side only. sharpness: how much of the
target's fine contrast is left where the photo is in focus, for several ways to shift a view.
vignetting: views darkened towards the rim, the outermost black, read again. restoring: what the
bundled weights gain, by blur radius.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from defocusfix.figures.contact_sheet import Crop, Panel, contact_sheet, write_sheet
from defocusfix.optics.light_field import (
    LightField,
    Refocused,
    pieces_per_step,
    refocus,
    sample_pupil,
    shifted,
    signed_radius,
    view_slopes,
)
from defocusfix.optics.psf import Aperture
from defocusfix.pairs.light_field_pairs import LightFieldSettings, largest_rectangle, pairs_of
from defocusfix.pairs.light_field_slopes import Slopes, estimated_slopes
from defocusfix.pairs.light_field_views import StoredLightField, ViewSettings, read_light_field
from defocusfix.photo.coding import PngCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.write import write_photo
from defocusfix.registration.exposure import to_display

DISC = Aperture()
BEYOND = 1.0  # px per view step: focal planes in front of the scene and behind it, for large blur
FINE_SIGMA_PX = 1.0  # what a Gaussian of this takes away is fine contrast
IN_FOCUS_PX = 0.25
RADIUS_EDGES_PX = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
TILES = (3, 4)
BRIGHT = 0.6  # display value; nothing but the sky of the scene measured is brighter
BRIGHTENED = 3.0  # in the contact sheet, since the scene is dark
BLOOM_PX = 17  # around it, left out of the geometry: the largest blur, both ways
AS_THEY_ARE = LightFieldSettings(
    largest_step_px=2.0
)  # for parts that views in between change little
DARKEST_GAIN = 0.55  # of the rim, in the test of vignetting
SHIFTS = {
    "bilinear": cv2.INTER_LINEAR,
    "bicubic (OpenCV)": cv2.INTER_CUBIC,
    "Lanczos 4 (OpenCV)": cv2.INTER_LANCZOS4,
}


def main() -> None:
    parts = {
        "ghosts": ghosts,
        "geometry": geometry,
        "sharpness": sharpness,
        "vignetting": vignetting,
        "restoring": restoring,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("views", type=Path, metavar="VIEWS")
    parser.add_argument("--only", choices=sorted(parts))
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="also write a contact sheet")
    wanted = parser.parse_args()
    stored = read_light_field(wanted.views, ViewSettings())
    slopes = estimated_slopes(stored.field)
    far, near = focal_planes(slopes)
    print(f"{stored.scene}: slopes {far:.2f} to {near:.2f} px, views {stored.field.grid}")
    for name, part in parts.items():
        if wanted.only in (None, name):
            print(f"\n## {name}\n")
            part(stored, slopes)
    if wanted.pictures:
        pictures(stored, slopes, wanted.pictures)


def focal_planes(slopes: Slopes) -> tuple[float, float]:
    """Slopes of the farthest and the nearest part of the scene, but for outliers."""
    far, near = np.percentile(slopes.values, (2, 98))
    return float(far), float(near)


def ghosts(stored: StoredLightField, slopes: Slopes) -> None:
    """Every second view, with and without views in between, against all of them."""
    field = stored.field
    half = halved(field)
    of_all = view_slopes(slopes.values, field.grid)
    of_half = view_slopes(2 * slopes.values, half.grid)
    far, near = focal_planes(slopes)
    radius = field.largest_radius_steps
    print("| focus | px between views | all views alone | half, alone | 3 per step | 5 per step |")
    print("|---|---|---|---|---|---|")
    for focus in (far - BEYOND, far, (far + near) / 2, near, near + BEYOND):
        pieces = pieces_per_step(slopes.values, focus, 0.5)
        truth = refocus(field, sample_pupil(field, DISC, radius, pieces), focus, of_all)
        found = [refocus(field, sample_pupil(field, DISC, radius, 1), focus)]
        found += [
            refocus(half, sample_pupil(half, DISC, radius / 2, pieces), 2 * focus, of_half)
            for pieces in (1, 3, 5)
        ]
        farthest = 2 * np.percentile(np.abs(slopes.values - focus), 98)
        scores = " | ".join(f"{psnr(photo, truth):.1f}" for photo in found)
        print(f"| {focus:+.2f} | {farthest:.1f} | {scores} |")


def halved(field: LightField) -> LightField:
    """Every second view, the middle one among them where the grid is 5, 9, 13, ... wide."""
    return LightField(field.views[::2, ::2], field.usable[::2, ::2], field.seen[::2, ::2])


def psnr(photo: Refocused, truth: Refocused) -> float:
    """dB, of display values, where both are whole."""
    both = photo.whole & truth.whole
    error = to_display(photo.image)[both] - to_display(truth.image)[both]
    return float(-10 * np.log10(np.mean(error**2)))


def geometry(stored: StoredLightField, slopes: Slopes) -> None:
    """The shift between photo and target, whole and by tiles."""
    print("| pair | whole, px | median of tiles, px | largest of tiles, px |")
    print("|---|---|---|---|")
    for pair in pairs_of(stored, slopes, AS_THEY_ARE):
        top, left, height, width = largest_rectangle(pair.whole)
        part = np.s_[top : top + height, left : left + width]
        photo, target = (
            np.asarray(to_display(image[part]).mean(axis=2), np.float32)
            for image in (pair.blurred, stored.field.middle)
        )
        rows, columns = (
            np.linspace(0, side, count + 1).astype(int)
            for side, count in zip(photo.shape, TILES, strict=True)
        )
        bright = cv2.dilate((target > BRIGHT).astype(np.uint8), np.ones((BLOOM_PX, BLOOM_PX)))
        parts = [np.s_[a:b, c:d] for a, b in pairwise(rows) for c, d in pairwise(columns)]
        tiles = [shift_px(photo[at], target[at], bright[at] == 0) for at in parts]
        figures = shift_px(photo, target, bright == 0), np.median(tiles), np.max(tiles)
        print(f"| {pair.name} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |")


def shift_px(photo: np.ndarray, target: np.ndarray, mask: np.ndarray) -> float:
    """Length of the translation that lays one over the other."""
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-7)
    _, found = cv2.findTransformECC(
        np.ascontiguousarray(target),
        np.ascontiguousarray(photo),
        np.eye(2, 3, dtype=np.float32),
        cv2.MOTION_TRANSLATION,
        stop,
        inputMask=255 * np.ascontiguousarray(mask, np.uint8),
        gaussFiltSize=5,
    )
    return float(np.hypot(*found[:, 2]))


def sharpness(stored: StoredLightField, slopes: Slopes) -> None:
    """Fine contrast that is left in focus, by the way in which views are shifted."""
    field = stored.field
    pupil = sample_pupil(field, DISC, field.largest_radius_steps, 1)
    far, near = focal_planes(slopes)
    target = fine(to_display(field.middle))
    one_view = to_display(field.views[field.grid[0] // 2, field.grid[1] // 2 + 1])
    print(
        "| focus | one neighbour | " + " | ".join([*SHIFTS, "Lanczos 6, separable (ours)"]) + " |"
    )
    print("|---|---|" + "---|" * (len(SHIFTS) + 1))
    for focus in (far, (far + near) / 2, near):
        photo = refocus(field, pupil, focus)
        radius_px = signed_radius(slopes.values, focus, pupil.radius_steps)
        place = photo.whole & (np.abs(radius_px) < IN_FOCUS_PX)
        found = [shifted(one_view, (0.0, focus))]
        for how in SHIFTS.values():
            total = np.zeros_like(field.middle)
            for sample in pupil.samples:
                dv, du = sample.position
                matrix = np.array([[1, 0, focus * du], [0, 1, focus * dv]])
                view = field.views[sample.view]
                moved = cv2.warpAffine(
                    view, matrix, view.shape[1::-1], flags=how, borderMode=cv2.BORDER_REFLECT_101
                )
                total += np.float32(sample.weight) * moved
            found.append(to_display(total))
        found.append(to_display(photo.image))
        kept = [
            float((fine(image)[place] * target[place]).sum() / (target[place] ** 2).sum())
            for image in found
        ]
        print(f"| {focus:+.2f} | " + " | ".join(f"{share:.3f}" for share in kept) + " |")


def fine(display: np.ndarray) -> np.ndarray:
    """What is smaller than `FINE_SIGMA_PX`."""
    return display - cv2.GaussianBlur(display, (0, 0), FINE_SIGMA_PX)


def vignetting(stored: StoredLightField, slopes: Slopes) -> None:
    """Views darkened towards the rim of the grid, corners black: what compensation brings."""
    far, near = focal_planes(slopes)
    focus, (rows, columns) = (far + near) / 2, stored.field.grid
    radius = stored.field.largest_radius_steps
    truth = _photo(stored, radius, focus)
    dark = np.empty(stored.field.views.shape, np.float32)
    for v, u in np.ndindex(rows, columns):
        away = np.hypot(v - rows // 2, u - columns // 2) / radius
        gain = max(0.0, 1 - (1 - DARKEST_GAIN) * away**2) if away < 1.2 else 0.0
        dark[v, u] = gain * stored.field.views[v, u]
    with tempfile.TemporaryDirectory() as folder:
        for v, u in np.ndindex(rows, columns):
            pixels = np.rint(to_display(dark[v, u]) * 255).astype(np.uint8)
            write_photo(Photo(pixels, PngCoding()), Path(folder) / f"{v}_{u}.png")
        again = read_light_field(Path(folder), ViewSettings())
    plain = replace(stored, field=replace(stored.field, views=dark))
    print(f"left out: {int((~again.field.usable).sum())} of {rows * columns} views, the black ones")
    print("\n| | brightness of the photo | PSNR to the one without vignetting, dB |")
    print("|---|---|---|")
    for name, found in {"as they are": plain, "compensated": again}.items():
        photo = _photo(found, radius, focus)
        both = photo.whole & truth.whole
        bright = photo.image[both].mean() / truth.image[both].mean()
        print(f"| {name} | {bright:.3f} | {psnr(photo, truth):.1f} |")


def _photo(stored: StoredLightField, radius: float, focus: float) -> Refocused:
    return refocus(stored.field, sample_pupil(stored.field, DISC, radius, 1), focus)


def restoring(stored: StoredLightField, slopes: Slopes) -> None:
    """What the bundled weights gain over the untouched photo, by blur radius."""
    from defocusfix.restoration.restorer import open_restorer

    restorer = open_restorer(None, precision="fp32")
    errors: list[list[np.ndarray]] = [[] for _ in pairwise(RADIUS_EDGES_PX)]
    print("| pair | input, dB | restored, dB | gain, dB |\n|---|---|---|---|")
    for pair in pairs_of(stored, slopes, AS_THEY_ARE):
        top, left, height, width = largest_rectangle(pair.whole)
        part = np.s_[top : top + height, left : left + width]
        photo, target = to_display(pair.blurred[part]), to_display(stored.field.middle[part])
        both = np.stack(
            [np.mean((image - target) ** 2, axis=2) for image in (photo, restorer(photo).image)]
        )
        radius_px = np.abs(pair.radius_px[part])
        for number, (low, high) in enumerate(pairwise(RADIUS_EDGES_PX)):
            errors[number].append(both[:, (radius_px >= low) & (radius_px < high)])
        before, after = -10 * np.log10(both.mean(axis=(1, 2)))
        print(f"| {pair.name} | {before:.2f} | {after:.2f} | {after - before:+.2f} |")
    print("\n| radius, px | share | input, dB | restored, dB | gain, dB |\n|---|---|---|---|---|")
    total = sum(part.shape[1] for bin_errors in errors for part in bin_errors)
    for (low, high), parts in zip(pairwise(RADIUS_EDGES_PX), errors, strict=True):
        of_bin = np.concatenate(parts, axis=1)
        before, after = -10 * np.log10(of_bin.mean(axis=1))
        share = of_bin.shape[1] / total
        gain = after - before
        print(f"| {low:g} to {high:g} | {share:.0%} | {before:.2f} | {after:.2f} | {gain:+.2f} |")


def pictures(stored: StoredLightField, slopes: Slopes, folder: Path) -> None:
    """Crops of the middle view, of photos, and of a wide blur with ghosts and without."""
    field, half = stored.field, halved(stored.field)
    far, near = focal_planes(slopes)
    radius, beyond = field.largest_radius_steps, near + BEYOND
    of_views = view_slopes(slopes.values, field.grid)
    of_half = view_slopes(2 * slopes.values, half.grid)
    few = sample_pupil(half, DISC, radius / 2, 1)
    many = sample_pupil(half, DISC, radius / 2, 5)
    all_views = sample_pupil(field, DISC, radius, 3)
    ways = {
        "middle view, the target": field.middle,
        "focused far": refocus(field, all_views, far, of_views).image,
        "focused near": refocus(field, all_views, near, of_views).image,
        "focused before the scene, 5 x 5 views": refocus(half, few, 2 * beyond).image,
        "the same, with views in between": refocus(half, many, 2 * beyond, of_half).image,
    }
    height, width = field.size
    crops = [Crop(int(0.32 * height), int(0.06 * width), 170, 250)]
    crops.append(Crop(int(0.03 * height), int(0.05 * width), 170, 250))
    sheet = [
        [Panel(name, crop.of(to_display(BRIGHTENED * image))) for name, image in ways.items()]
        for crop in crops
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "light-field.png").open("wb") as file:
        write_sheet(file, contact_sheet(sheet, enlarge=1))


if __name__ == "__main__":
    main()
