"""Draw and photograph docs/example.jpg: a misfocused still life, by this project's own optics.

    python docs/make_example.py --truth all-in-focus.png --radius radius.npy

No photo and no picture of anybody's goes into it. Whoever took it meant the books and focused on
the plant: the books are 3 px out of focus, the clock 2 px, the wall 5 px, the lights of the town
15 px, and the twigs in front of the lens 11 px. A thin lens blurs in proportion to the inverse of
the distance, which along a table is linear in the picture's rows; so one line gives the blur of
the table and, by where they stand on it, of all things on it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from example_scene import paint, room, still_life
from PIL import Image, ImageCms

from defocusfix.optics import Aperture
from defocusfix.rendering.camera import Camera
from defocusfix.rendering.exposure import develop, expose, to_uint8
from defocusfix.rendering.layers import LinearLayer, all_in_focus, blur_layers
from defocusfix.rendering.lens import LensBlur

SEED = 1898
MARGIN = 40  # around the photo, feeds the blur inside it
QUALITY = 92
ICC_DATE = slice(24, 36)  # in the header of a profile; ICC.1:2022, 7.2.1
FOCUS_ROW, RADIUS_PER_ROW = 732.0, -0.034  # where the table is in focus, and how it blurs
TWIGS_RADIUS = -11.0

LENS = LensBlur(
    Aperture(blades=7, roundness=0.55, rotation=0.3, spherical=0.25, softness=0.004),
    colour_shift_px=0.25,
    diffraction_px=0.35,
)
CAMERA = Camera(
    contrast=0.18,
    highlight_gain=1.0,
    read_noise=0.0018,
    shot_noise=1.0e-4,
    noise_is_correlated=True,
    softness_px=0.3,
    sharpening=0.25,
    sharpening_px=0.8,
    jpeg_quality=None,
    jpeg_subsampling=0,
)


def radius_at(row: float) -> float:
    """Signed blur radius in px of what stands on the table at this row of the scene."""
    return RADIUS_PER_ROW * (row - FOCUS_ROW)


def scene(rng: np.random.Generator) -> list[LinearLayer]:
    """The layers from back to front, each as large as the scene."""
    books, stack = still_life.book_row(rng), still_life.stack_with_clock(rng)
    plant, wall, table = still_life.plant(rng), room.wall(rng), room.table(rng)
    for thing, on_wall, on_table in (
        (books, (34, 20), (26, 9)),
        (stack, (60, 30), (40, 14)),
        (plant, (90, 30), (46, 6)),
    ):
        wall.shade(thing.alpha, on_wall, 14, 0.55)
        table.shade(thing.alpha, on_table, 7, 0.62)
        table.shade(thing.alpha, (0, 5), 3, 0.5)
    books.shade(plant.alpha, (38, 14), 6, 0.5)
    stack.shade(books.alpha, (30, 10), 8, 0.35)
    rows = np.arange(paint.SCENE[0])[:, None] + 0.5
    leaves = 0.5 * paint.cloud(rng, paint.SCENE, (60, 60), 2).clip(-1.5, 1.5)
    depths = (
        (room.town(rng), radius_at(room.HORIZON)),
        (wall, radius_at(room.TABLE_EDGE)),
        (table, RADIUS_PER_ROW * (rows - FOCUS_ROW)),
        (books, radius_at(still_life.BOOKS_ROW)),
        (stack, radius_at(still_life.STACK_ROW)),
        (plant, leaves),
        (still_life.twigs(rng), TWIGS_RADIUS),
    )
    return [_layer(surface, radius, place) for place, (surface, radius) in enumerate(depths)]


def photograph(layers: list[LinearLayer]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The photo, the all-in-focus photo (H, W, 3) uint8, and the signed radius (H, W) in px."""
    rows, columns = (slice(MARGIN, side - MARGIN) for side in paint.SCENE)
    light = blur_layers(layers, (rows, columns))
    sharp, radius = all_in_focus(layers, (rows, columns))
    photo, truth = expose(light, [CAMERA], [SEED]), to_uint8(develop(sharp, [CAMERA]))
    return photo[0].numpy(), truth[0].numpy(), radius[0].numpy()


def _layer(surface: paint.Surface, radius: np.ndarray | float, place: int) -> LinearLayer:
    light, alpha = surface.finished()
    radius_px = np.broadcast_to(np.asarray(radius, np.float32), alpha.shape).copy()
    return LinearLayer(
        light=torch.from_numpy(light.transpose(2, 0, 1).copy())[None],
        alpha=torch.from_numpy(alpha)[None, None] if place else None,
        radius_px=torch.from_numpy(radius_px)[None],
        spreads=(LENS.spread(float(radius_px.min()), float(radius_px.max())),),
        scenes=(0,),
    )


def _srgb() -> bytes:
    """An sRGB profile without its date, which would make another file every time."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[ICC_DATE] = bytes(12)
    return bytes(profile)


def main() -> None:
    """Write the picture, and its truth if asked for."""
    parser = argparse.ArgumentParser(description="Draw and photograph the example picture.")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(__file__).with_name("example.jpg"),
        help="JPEG file to write. [default: docs/example.jpg]",
    )
    parser.add_argument("--truth", type=Path, help="write the all-in-focus picture here (PNG)")
    parser.add_argument("--radius", type=Path, help="write the signed blur radius in px here (NPY)")
    wanted = parser.parse_args()
    photo, truth, radius = photograph(scene(np.random.default_rng(SEED)))
    Image.fromarray(photo).save(
        wanted.output, quality=QUALITY, subsampling="4:2:0", optimize=True, icc_profile=_srgb()
    )
    if wanted.truth:
        Image.fromarray(truth).save(wanted.truth)
    if wanted.radius:
        np.save(wanted.radius, radius)


if __name__ == "__main__":
    main()
