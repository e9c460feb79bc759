"""Draw docs/failures.png: what the bundled weights do badly, on scenes drawn by this project.

    python docs/make_failures.py

Four scenes go through the simulated lens and camera and through `restore`: grass a little out of
focus, lettering blurred beyond repair, a mottled background, and a small sharpened JPEG.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from example_scene import paint

from defocusfix import open_restorer
from defocusfix.figures.contact_sheet import Panel, contact_sheet, write_sheet
from defocusfix.optics import Aperture
from defocusfix.rendering.camera import Camera
from defocusfix.rendering.exposure import develop, expose, to_uint8

OUTPUT = Path(__file__).with_name("failures.png")
SEED = 7
HEIGHT, WIDTH, MARGIN = 208, 320, 48
SIZE = (HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
FINE_SIZE = tuple(paint.FINE * side for side in SIZE)

CAMERA = Camera(
    contrast=0.15,
    highlight_gain=1.0,
    read_noise=0.0015,
    shot_noise=1.0e-4,
    noise_is_correlated=True,
    softness_px=0.2,
    sharpening=0.3,
    sharpening_px=0.8,
    jpeg_quality=92,
    jpeg_subsampling=cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
)
GALLERY = replace(
    CAMERA, sharpening=1.8, sharpening_px=0.5, jpeg_quality=55, read_noise=0.004, softness_px=0.0
)


@dataclass(frozen=True)
class Failure:
    """A scene and how it was photographed."""

    label: str
    draw: Callable[[np.random.Generator], np.ndarray]  # linear light (H, W, 3), finely drawn
    radius_px: float
    camera: Camera = CAMERA


def grass(rng: np.random.Generator) -> np.ndarray:
    """Blades of many greens, each over those behind it."""
    light = np.broadcast_to(paint.colour("23331a"), (*FINE_SIZE, 3)).copy()
    for _ in range(110):
        tint = paint.colour("6f8f3a") * rng.uniform(0.25, 1.5) * (1, rng.uniform(0.8, 1.1), 0.8)
        blades = []
        for _ in range(16):
            x, y = rng.uniform(0, SIZE[1]), rng.uniform(0, SIZE[0] + 40)
            lean, length = rng.normal(0, 14), rng.uniform(18, 60)
            blades.append([(x, y), (x + lean / 3, y - length / 2), (x + lean, y - length)])
        mask = paint.strokes(blades, rng.uniform(1, 2.4), FINE_SIZE)
        light = paint.mixed(light, tint, mask)
    return light


def notice(rng: np.random.Generator) -> np.ndarray:
    """Large dark lettering on a pale board."""
    mask = np.zeros(FINE_SIZE, np.float32)
    for row, text in enumerate(("PLATFORM", "14 TO THE", "LAKE PIER")):
        line = paint.lettering(text, 36, spacing=0.1)
        paint.place(mask, line, (SIZE[1] / 2, 80 + 72 * row))
    board = paint.colour("d9d2bf") * (1 + 0.03 * paint.cloud(rng, FINE_SIZE, (60, 60)))[..., None]
    return paint.mixed(board, paint.colour("1d2a3a"), mask)


def thicket(rng: np.random.Generator) -> np.ndarray:
    """Leaves and gaps of sky, as behind a portrait."""
    lumps = paint.cloud(rng, FINE_SIZE, (26, 26), 3)
    leaves = paint.colour("4d6b34") * np.exp(0.45 * paint.cloud(rng, FINE_SIZE, (9, 9)))[..., None]
    light = paint.mixed(paint.colour("182415"), leaves, paint.step(lumps, -0.4, 0.5))
    return paint.mixed(light, 1.6 * paint.colour("dfe9e4"), paint.step(lumps, 1.5, 0.3))


def thumbnail(rng: np.random.Generator) -> np.ndarray:
    """Bricks and a window, as small as in a web gallery."""
    x, y = paint.grid(FINE_SIZE)
    row = np.floor(y / 7)
    along = x + 8 * (row % 2)
    joint = np.maximum(paint.step(-(y % 7), -1.2, 0.6), paint.step(-(along % 16), -1.2, 0.6))
    tone = rng.uniform(0.6, 1.3, (80, 80))[row.astype(int) % 80, (along // 16).astype(int) % 80]
    wall = paint.mixed(
        paint.colour("8a4632") * tone[..., None], paint.colour("b9ad9d"), joint.astype(np.float32)
    )
    frame = paint.polygon([(150, 70), (270, 70), (270, 230), (150, 230)], FINE_SIZE)
    panes = np.zeros(FINE_SIZE, np.float32)
    for left in (158, 214):
        for top in (78, 128, 180):
            corners = [(left, top), (left + 48, top), (left + 48, top + 42), (left, top + 42)]
            panes = np.maximum(panes, paint.polygon(corners, FINE_SIZE))
    glass = paint.colour("46566b") * (1 + 0.4 * (x - y) / WIDTH)[..., None].astype(np.float32)
    wall = paint.mixed(wall, paint.colour("e8e4da"), frame)
    return paint.mixed(wall, np.clip(glass, 0, 1), panes)


FAILURES = (
    Failure("grass, out of focus by 3 px: streaks", grass, 3.0),
    Failure("lettering, by 20 px: outlines guessed", notice, 20.0),
    Failure("background, by 14 px: shapes guessed", thicket, 14.0),
    Failure("small sharpened JPEG, by 1.5 px: little gained", thumbnail, 1.5, GALLERY),
)


def photographed(failure: Failure, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The photo and the all-in-focus photo (H, W, 3), float32 in [0, 1]."""
    light = cv2.resize(failure.draw(rng), SIZE[::-1], interpolation=cv2.INTER_AREA)
    psf = Aperture(blades=7, roundness=0.6, spherical=0.2, softness=0.01).point_spread_function(
        failure.radius_px
    )
    inside = slice(MARGIN, MARGIN + HEIGHT), slice(MARGIN, MARGIN + WIDTH)

    def batch(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values[inside].transpose(2, 0, 1).astype(np.float32))[None]

    blurred = cv2.filter2D(light, -1, psf, borderType=cv2.BORDER_REFLECT)
    photo = expose(batch(blurred), [failure.camera], [SEED])
    truth = to_uint8(develop(batch(light), [failure.camera]))
    return photo[0].numpy() / np.float32(255), truth[0].numpy() / np.float32(255)


def main() -> None:
    """Photograph, restore and lay side by side."""
    restorer = open_restorer(precision="fp32")
    rows = []
    for failure in FAILURES:
        photo, truth = photographed(failure, np.random.default_rng(SEED))
        restored = restorer(photo).image
        rows.append(
            [Panel(failure.label, photo), Panel("restored", restored), Panel("in focus", truth)]
        )
    write_sheet(OUTPUT, contact_sheet(rows, enlarge=1))


if __name__ == "__main__":
    main()
