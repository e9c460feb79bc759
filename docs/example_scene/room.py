"""What stands behind and beneath: the town at dusk, the wall with its window, the table."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from example_scene.paint import (
    FINE,
    Array,
    Surface,
    cloud,
    colour,
    grid,
    lettering,
    lit,
    mixed,
    place,
    polygon,
    step,
    strokes,
)

BRICK = (62.0, 23.0)  # width and height of a brick with its joint
WINDOW = (868.0, 18.0, 1190.0, 452.0)  # left, top, right, bottom of the opening
POSTER = (372.0, 64.0, 668.0, 330.0)
TABLE_EDGE = 585.0  # where the table meets the wall
HORIZON = 300.0  # height of the camera's eye in the picture
FOCAL, EYE = 1600.0, 330.0  # focal length in px; height of the eye above the table
BOARD = 112.0  # width of a board of the table, in the same measure as EYE


def town(rng: np.random.Generator) -> Surface:
    """Sky after sunset, dark houses and many small lights, as seen through the window."""
    surface = Surface.empty()
    x, y = grid()
    height = np.clip((y - 20) / 400, 0, 1)
    sky = mixed(colour("23375f"), colour("8a7a94"), step(height, 0.45, 0.8))
    sky = mixed(sky, colour("f0a070"), step(height, 0.86, 0.5))
    light = sky * (1 + 0.10 * cloud(rng, x.shape, (260, 40)))[..., None] * 0.75
    for depth, tone in enumerate(("3f4560", "272c40", "171a28")):
        left = 780.0
        while left < 1280:
            width, top = rng.uniform(28, 70), 225 + 52 * depth + rng.uniform(-42, 42)
            house = ((x >= left) & (x < left + width) & (y > top)).astype(np.float32)
            light = mixed(light, colour(tone) * rng.uniform(0.7, 1.1), house)
            left += width
    tints = ("ffb45a", "ffd9a0", "fff1dc", "ff7a3a", "ff4b3c", "8fe0d0", "ffcf70")
    for _ in range(62):
        at = (rng.uniform(830, 1240), 452 - 240 * rng.beta(1.3, 1.6))
        spot = ((x - at[0]) ** 2 + (y - at[1]) ** 2 < rng.uniform(1.1, 2.2) ** 2)[..., None]
        light = light + spot * colour(rng.choice(tints)) * 70 * rng.lognormal(0, 0.55)
    surface.put(light.astype(np.float32), np.ones(x.shape, np.float32))
    return surface


def wall(rng: np.random.Generator) -> Surface:
    """Bricks in lamplight, a framed print, fairy lights, and a hole where the window is."""
    surface = Surface.empty()
    x, y = grid()
    surface.put(_bricks(rng, x, y), np.ones(x.shape, np.float32))
    _hang_poster(surface, rng)
    lamp = np.exp(-((x - 300) ** 2 / 420**2 + (y - 170) ** 2 / 380**2))
    warm, cool = np.array([1.30, 0.98, 0.66]), np.array([0.20, 0.23, 0.30])
    surface.light *= (cool + lamp[..., None] * warm).astype(np.float32)
    _cut_window(surface, rng, x, y)
    _string_lights(surface, rng, x, y)
    return surface


def table(rng: np.random.Generator) -> Surface:
    """Boards of oak that run away from the camera, with a printed page on them."""
    surface = Surface.empty()
    x, y = grid()
    distance = FOCAL * EYE / np.clip(y - HORIZON, 60, None)
    aside = (x - 640) * distance / FOCAL
    board = np.floor(aside / BOARD)
    key = board.astype(np.int64) % 31
    starts, tones = 1100 * rng.random(31), rng.normal(0, 1, 31)
    field = (round(4 * BOARD * FINE), 4400)
    columns = FINE * (distance - 900 + starts[key])
    rows = FINE * (aside % BOARD + BOARD * (key % 3))
    grain, rings, pores = (
        cv2.remap(pattern, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR)
        for pattern in (
            cloud(rng, field, (260, 5), 5),
            cloud(rng, field, (700, 44), 3),
            np.clip(cloud(rng, field, (34, 1.7), 2) - 1.0, 0, 1.5),
        )
    )
    veins = step(np.sin(5.5 * rings + 0.5 * grain), 0.2, 2.2)
    light = mixed(colour("a06c3c"), colour("764925"), veins)
    light = light * (1 + 0.10 * tones[key] + 0.08 * grain - 0.38 * pores)[..., None]
    gap = step(np.abs(aside / BOARD - board - 0.5), 0.488, 0.016)
    light = light * (1 - 0.85 * gap)[..., None]
    _lay_page(light, rng)
    lamp = np.exp(-((x - 380) ** 2 / 520**2 + (y - 640) ** 2 / 300**2))
    gloss = np.exp(-((x - 1010) ** 2 / 190**2)) * step(y, 640, 240) * (1 + 0.12 * grain)
    lamplight = np.array([1.15, 0.90, 0.62]) * lamp[..., None] + np.array([0.20, 0.22, 0.27])
    light = light * lamplight + (0.05 * gloss)[..., None] * colour("f6b890")
    surface.put(light.astype(np.float32), step(y, TABLE_EDGE, 1.0))
    return surface


def _bricks(rng: np.random.Generator, x: Array, y: Array) -> Array:
    wobble_x, wobble_y = (0.75 * cloud(rng, x.shape, (30, 30), 3) for _ in range(2))
    row = np.floor((y + wobble_y) / BRICK[1])
    along = (x + wobble_x) / BRICK[0] + 0.5 * (row % 2)
    from_side = BRICK[0] * (0.5 - np.abs(along % 1 - 0.5))
    from_edge = BRICK[1] * (0.5 - np.abs(((y + wobble_y) / BRICK[1]) % 1 - 0.5))
    inside = np.minimum(from_side, from_edge)
    face = step(inside, 2.6, 1.6)
    key = (row * 57 + np.floor(along)).astype(np.int64) % 997
    tones = np.stack([colour(c) for c in ("8f5040", "80483a", "a0654c", "6f4336", "976050")])
    brick = tones[rng.integers(len(tones), size=997)][key]
    brick = brick * (1 + 0.28 * rng.standard_normal(997).clip(-1.6, 1.6)[key])[..., None]
    grain = cloud(rng, x.shape, (7, 5), 4)
    soot = cloud(rng, x.shape, (160, 120), 4)
    lime = np.clip(cloud(rng, x.shape, (34, 22), 4) - 1.15, 0, 1)
    light = mixed(colour("948a7c") * 0.9, brick, face)
    light = mixed(light, colour("cfc4b4"), 0.6 * lime)
    relief = 5 * step(inside, 2.8, 4.5) + 0.75 * grain + 0.5 * cloud(rng, x.shape, (18, 9), 3)
    return light * (lit(relief, 0.55) * (1 + 0.13 * soot + 0.05 * grain))[..., None]


def _hang_poster(surface: Surface, rng: np.random.Generator) -> None:
    left, top, right, bottom = POSTER
    width, height = right - left, bottom - top
    size = (round(height * FINE), round(width * FINE))
    x, y = grid(size)
    rim = np.minimum(np.minimum(x, width - x), np.minimum(y, height - y))
    paper = colour("e9dfc6") * (1 + 0.04 * cloud(rng, size, (60, 60)))[..., None]
    sheet = np.broadcast_to(colour("efece4"), paper.shape) * 0.95
    sheet = mixed(sheet, paper, step(rim, 30, 0.8))
    sky = mixed(colour("1d2a4a"), colour("2f4470"), np.clip((y - 30) / 150, 0, 1))
    panel = step(np.minimum(rim, bottom - top - y - 52), 40, 0.8)
    sheet = mixed(sheet, sky * (1 + 0.08 * cloud(rng, size, (14, 14)))[..., None], panel)
    ink = np.zeros(size, np.float32)
    place(ink, lettering("PHASES OF THE MOON", 12.5, spacing=0.16), (width / 2, height - 62))
    place(ink, lettering("observed at Harbour Hill, 1898", 6.4), (width / 2, height - 42))
    sheet = mixed(sheet, colour("30291f"), ink)
    stars = (rng.random(size) > 0.9993).astype(np.float32) * panel
    sheet = mixed(sheet, colour("f6ecc8"), cv2.dilate(stars, np.ones((2, 2))))
    for index, phase in enumerate(np.linspace(-0.85, 0.85, 7)):
        centre = (60 + (width - 120) * index / 6, 78 + 30 * np.sin(np.pi * index / 6))
        radius = 8.5 + 5.0 * np.sin(np.pi * index / 6)
        u, v = (x - centre[0]) / radius, (y - centre[1]) / radius
        chord = np.sqrt(np.clip(1 - v * v, 0, 1))
        bright = step(np.sign(phase) * u - (2 * abs(phase) - 1) * chord, 0, 0.08)
        bright = bright if abs(phase) > 0.05 else np.ones_like(u)
        craters = 0.8 + 0.12 * cloud(rng, size, (11, 11))
        moon = np.broadcast_to(colour("f3e7c2"), sheet.shape) * craters[..., None]
        moon = mixed(colour("46557c") * 0.8, moon, bright)
        sheet = mixed(sheet, moon, step(1 - np.hypot(u, v), 0, 1 / radius))
    bevel = 4 * step(rim, 6, 9) - 4 * step(rim, 17, 3)
    wood = colour("4a2f1b") * (1 + 0.16 * cloud(rng, size, (40, 3)))[..., None]
    frame = 1 - step(rim, 18, 0.8)
    sheet = mixed(sheet, wood * lit(bevel, 0.9)[..., None], frame)
    inner = cv2.GaussianBlur(frame, (0, 0), 5)
    sheet = sheet * (1 - 0.55 * inner * (1 - frame))[..., None]
    corner = np.array([[1, 0, left * FINE], [0, 1, top * FINE]], np.float64)
    surface.shade(polygon([(left, top), (right, top), (right, bottom), (left, bottom)]),
                  (9, 11), 6, 0.7)  # fmt: skip
    surface.put(sheet.astype(np.float32), np.ones(size, np.float32), corner)


def _cut_window(surface: Surface, rng: np.random.Generator, x: Array, y: Array) -> None:
    left, top, right, bottom = WINDOW
    outside = np.maximum(np.maximum(left - x, x - right), np.maximum(top - y, y - bottom))
    grain = cloud(rng, x.shape, (50, 4), 3)
    profile = -np.abs((-outside - 9) / 6)
    bars = np.maximum(
        4.5 - np.abs(x - (left + right) / 2), 4.0 - np.abs(y - (top + 0.42 * (bottom - top)))
    )
    relief = np.maximum(3 * np.clip(profile + 1.6, 0, 1.6), 2.2 * np.clip(bars / 2, 0, 1.6))
    paint = colour("d8d4c8") * (0.36 * lit(relief, 0.8) * (1 + 0.03 * grain))[..., None]
    sill = step(y, bottom, 1) * step(bottom + 22 - y, 0, 1) * step(-outside, -26, 1)
    casing = step(-outside, -15, 1)
    surface.shade(casing, (8, 10), 5, 0.5)
    light = mixed(surface.light, paint, casing)
    board = colour("e4dfd2") * (0.50 - 0.012 * (y - bottom))[..., None]
    surface.light = mixed(light, board, sill).astype(np.float32)
    pane = step(-outside, 15, 0.8) * step(-bars, 0, 0.8)
    surface.alpha *= 1 - pane
    surface.light *= (1 - pane)[..., None]


def _string_lights(surface: Surface, rng: np.random.Generator, x: Array, y: Array) -> None:
    posts = [(20, 60), (215, 36), (520, 28), (770, 44), (905, 20)]
    cord, bulbs = [], []
    for (ax, ay), (bx, by) in pairwise(posts):
        t = np.linspace(0, 1, 25)
        sag = 0.34 * (bx - ax) * t * (1 - t)
        path = np.stack([ax + (bx - ax) * t, ay + (by - ay) * t + sag], axis=1)
        cord.append(path)
        bulbs += [path[at] + (0, 6) for at in range(3, 24, 6)]
    line = strokes(cord, 1.6)
    surface.shade(line, (5, 7), 2, 0.5)
    surface.put(np.broadcast_to(colour("1c1f1a"), surface.light.shape) * 0.5, line)
    for centre in bulbs:
        distance = np.hypot(x - centre[0], (y - centre[1]) * 0.8)
        glow = np.exp(-((distance / 26) ** 2))[..., None] * colour("ff9a45") * 0.10
        bulb = (distance < 2.6)[..., None] * colour("ffc070") * rng.uniform(5, 8)
        surface.light += ((glow + bulb) * surface.alpha[..., None]).astype(np.float32)


def _lay_page(light: Array, rng: np.random.Generator) -> None:
    """A page of print in perspective, in the plane of the table."""
    size = (round(420 * FINE), round(300 * FINE))
    page = Surface(np.zeros((*size, 3), np.float32), np.zeros(size, np.float32))
    fibre = cloud(rng, size, (5, 5), 3)
    paper = colour("e6decb") * (1 + 0.025 * fibre + 0.03 * cloud(rng, size, (90, 90)))[..., None]
    ink = np.zeros(size, np.float32)
    place(ink, lettering("On Lenses", 24, spacing=0.05), (150, 44))
    place(ink, lettering("CHAPTER THREE", 8, spacing=0.3), (150, 78))
    for line, text in enumerate(PRINT):
        mask = lettering(text, 11)
        mask = cv2.resize(mask, (round(250 * FINE), mask.shape[0]), interpolation=cv2.INTER_AREA)
        place(ink, mask, (150, 108 + 24.4 * line))
    page.put(mixed(paper, colour("2b2620"), 0.9 * ink), np.ones(size, np.float32))
    corners = np.array([(-132, 168), (132, 168), (132, -168), (-132, -168)])
    turn = np.array([(0.966, -0.259), (0.259, 0.966)])  # 15 degrees
    aside, distance = (corners @ turn + (45, 1185)).T
    seen = np.stack([640 + FOCAL * aside / distance, HORIZON + FOCAL * EYE / distance], axis=1)
    sheet = np.array([(0, 0), (300, 0), (300, 420), (0, 420)])
    matrix = cv2.getPerspectiveTransform(
        (sheet * FINE).astype(np.float32), (seen * FINE).astype(np.float32)
    )
    flat = Surface(light, np.ones(light.shape[:2], np.float32))
    cover = cv2.warpPerspective(page.alpha, matrix, light.shape[1::-1])
    flat.shade(cover, (3, 4), 3, 0.55)
    flat.put(page.light, page.alpha, matrix)
    light[:] = flat.light


PRINT = (
    "A lens gathers the light of a point",
    "and lays it down again as a point,",
    "but for one distance only. Whatever",
    "is nearer or farther becomes a disc,",
    "and as the discs of neighbours over-",
    "lap, an edge turns into a slope and",
    "a letter into a smudge. Nothing is",
    "lost by this: all the light is there,",
    "only in the wrong place. To put it",
    "back one has to know how large the",
    "discs were, and that the photograph",
    "itself betrays, at every edge. This",
    "page lies aslant, and a few of its",
)
