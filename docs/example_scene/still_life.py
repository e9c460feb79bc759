"""What stands on the table: books, a clock, a plant, and twigs close to the lens."""

from __future__ import annotations

from dataclasses import dataclass

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
    moved,
    place,
    polygon,
    step,
    strokes,
)

BOOKS_ROW, STACK_ROW, PLANT_ROW = 640.0, 676.0, 752.0  # rows of the scene where things stand
LAMP = np.array([1.22, 0.94, 0.64], np.float32)  # of the things at the left, in light
SHADE = np.array([0.17, 0.19, 0.25], np.float32)


@dataclass(frozen=True)
class Book:
    """One book as its spine shows it; lengths in pixels of the scene."""

    title: str
    imprint: str
    width: float
    height: float
    cloth: str
    foil: str
    label: str = ""
    """Colour of a label behind the title; none if empty."""
    bands: tuple[float, ...] = ()
    """Heights, from 0 at the top to 1, of raised bands, as leather bindings have."""


FOUR_BANDS = (0.09, 0.17, 0.70, 0.90)
GOLD, IVORY, BLACK = "d9a94a", "eee3c8", "221d1a"
ROW = (
    Book("THE QUIET HARBOUR", "A Pilot Book", 36, 252, "23405c", GOLD),
    Book("A HISTORY OF GLASS", "Volume II", 46, 282, "6b1f24", GOLD, bands=FOUR_BANDS),
    Book("Field Notes", "1871-1874", 28, 226, "b7a176", BLACK),
    Book("NORTHERN BIRDS", "Illustrated", 42, 266, "2c4a34", GOLD, label="15251b"),
    Book("Letters from the Observatory", "Collected", 33, 274, "8c8577", IVORY, label="4a2b22"),
    Book("ATLAS OF CLOUDS", "48 Plates", 56, 290, "3c5f78", IVORY),
    Book("SEVEN ROOMS", "A Novel", 30, 238, "b5542c", IVORY),
    Book("TREES & MOSSES", "With Keys", 44, 262, "4b3420", GOLD, bands=FOUR_BANDS),
    Book("Salt", "Stories", 25, 230, "d8d0bd", "7a2f22"),
    Book("THE OPTICS OF SMALL LENSES", "Third Edition", 40, 278, "1f2427", GOLD),
)
STACK = (
    Book("Tides and Tables", "For the Year", 33, 226, "7c2f35", GOLD),
    Book("THE GLASSBLOWER'S YEAR", "A Diary", 29, 204, "1f4a4c", IVORY),
    Book("Winter Gardens", "A Handbook", 36, 216, "94713a", BLACK, bands=(0.07, 0.93)),
)


LEAVES = (
    (-88, 150, -58), (84, 158, -70), (-62, 178, -30), (60, 186, -34), (-36, 206, -6),
    (38, 214, -14), (-106, 128, -80), (104, 120, -86), (-14, 228, 6), (14, 196, -46),
    (-74, 122, -88), (72, 118, -92), (-44, 136, -66), (46, 128, -74), (2, 128, -86),
)  # fmt: skip
"""Of the plant, back to front: degrees from upright, length, and how high the leaf is set."""


def book_row(rng: np.random.Generator, left: float = 318.0, base: float = BOOKS_ROW) -> Surface:
    """Books side by side, the last one leaning on the others."""
    surface = Surface.empty()
    for book in ROW[:-1]:
        light, alpha = _spine(book, rng)
        foot = (left, base + rng.normal(0, 1))
        surface.put(light, alpha, moved((0, alpha.shape[0] / FINE), foot))
        left += book.width + rng.uniform(0.2, 1.4)
    light, alpha = _spine(ROW[-1], rng)
    surface.put(light, alpha, moved((0, alpha.shape[0] / FINE), (left + 22, base + 1), -5.0))
    return _in_lamplight(surface, fall=0.0010, start=330)


def stack_with_clock(
    rng: np.random.Generator, left: float = 778.0, base: float = STACK_ROW
) -> Surface:
    """Three lying books and an alarm clock on top of them."""
    surface = Surface.empty()
    for number, book in enumerate(STACK):
        light, alpha = _spine(book, rng)
        light, alpha = np.rot90(light).copy(), np.rot90(alpha).copy()
        corner = (left + (8, 14, 4)[number], base - book.width)
        surface.put(light * (0.95, 0.9, 1)[number], alpha, moved((0, 0), corner))
        base -= book.width
    _put_clock(surface, rng, (left + 118, base - 72))
    return _in_lamplight(surface, fall=0.0011, start=560)


def plant(rng: np.random.Generator, foot: tuple[float, float] = (196.0, PLANT_ROW)) -> Surface:
    """A rubber plant in a pot of terracotta."""
    surface = Surface.empty()
    light, alpha = _pot(rng, 158, 150)
    surface.put(light, alpha, moved((79, 150), foot))
    crown = (foot[0], foot[1] - 140)
    for order, (angle, length, lift) in enumerate(LEAVES):
        angle += rng.normal(0, 5)
        turn = np.radians(angle)
        stem = 0.42 * length
        root = (crown[0] + stem * np.sin(turn), crown[1] - 0.75 * stem * np.cos(turn) + 0.12 * lift)
        line = [crown, ((crown[0] + root[0]) / 2, (crown[1] + root[1]) / 2 - 8), root]
        stalk = np.broadcast_to(colour("4c5a28"), surface.light.shape) * 0.4
        surface.put(stalk, strokes([line], 3))
        light, alpha = _leaf(rng, length * 0.72, 0.30 + 0.05 * rng.random())
        light = light * (0.45 + 0.045 * order)
        matrix = moved((light.shape[1] / FINE / 2, light.shape[0] / FINE - 3), root, angle * 1.12)
        shadow = cv2.warpAffine(alpha, matrix, surface.alpha.shape[::-1])
        surface.shade(shadow, (7, 12), 7, 0.5)
        surface.put(light, alpha, matrix)
    return _in_lamplight(surface, fall=0.0004, start=60)


def twigs(rng: np.random.Generator) -> Surface:
    """Leaves and berries right in front of the lens, at the lower right and upper left."""
    surface = Surface.empty()
    for start, end, count in (
        ((1275, 905), (1030, 640), 12), ((1300, 760), (1140, 500), 10), ((-20, 40), (130, -15), 5),
        ((1120, 900), (985, 790), 6),
    ):  # fmt: skip
        t = np.linspace(0, 1, 40)[:, None]
        bend = rng.normal(0, 22, 2)
        path = np.array(start) * (1 - t) + np.array(end) * t + bend * np.sin(np.pi * t)
        surface.put(np.broadcast_to(colour("4a3626"), surface.light.shape), strokes([path], 4.5))
        heading = np.degrees(np.arctan2(end[0] - start[0], start[1] - end[1]))
        for number in range(count):
            at = path[int(39 * (number + 0.7) / count)]
            side = 1 if number % 2 else -1
            light, alpha = _leaf(rng, rng.uniform(48, 70), 0.34)
            light = light * (np.array([1.5, 1.0, 0.55]) if rng.random() < 0.35 else 1.15)
            matrix = moved(
                (light.shape[1] / FINE / 2, light.shape[0] / FINE),
                tuple(at),
                heading + side * rng.uniform(38, 70),
            )
            surface.put(light.astype(np.float32), alpha, matrix)
    surface.light *= np.array([0.55, 0.50, 0.48], np.float32)
    return surface


def _in_lamplight(surface: Surface, *, fall: float, start: float) -> Surface:
    x, y = grid()
    lamp = np.exp(-fall * np.clip(x - start, 0, None)) * (1 - 0.22 * step(y, 620, 260))
    surface.light *= lamp[..., None] * LAMP + SHADE
    return surface


def _spine(book: Book, rng: np.random.Generator) -> tuple[Array, Array]:
    """Light and coverage of a standing spine, its title running downwards."""
    lid = 7.0  # the top edge with its pages, seen a little from above
    size = (round((book.height + lid) * FINE), round(book.width * FINE))
    x, y = grid(size)
    y = y - lid
    across = 2 * x / book.width - 1
    weave = np.sin(2 * np.pi * x / 1.5) * np.sin(2 * np.pi * y / 1.5)
    relief = 0.10 * weave + 0.22 * cloud(rng, size, (3, 3), 2) + 0.3 * cloud(rng, size, (14, 22), 2)
    base = colour(book.cloth) * (1 + 0.10 * cloud(rng, size, (30, 80), 3))[..., None]
    if book.label:
        label = step(np.abs(y - 0.43 * book.height), 0.26 * book.height, -0.8)
        base = mixed(base, colour(book.label), label * step(np.abs(across), 0.88, -0.05))
    rules = [0.045, 0.06, 0.93, 0.95]
    for at in book.bands:
        relief = relief + 7 * np.exp(-(((y - at * book.height) / 2.6) ** 2))
        rules += [at - 0.018, at + 0.018]
    ink = np.zeros(size, np.float32)
    for at in rules:
        ink = np.maximum(ink, step(np.abs(y - at * book.height), 0.75, -0.7))
    _put_title(ink, book, lid)
    foil = colour(book.foil) * (1 + 0.20 * cloud(rng, size, (9, 30), 3))[..., None]
    worn = step(cloud(rng, size, (4, 4), 3), 2.5, 0.6)
    light = mixed(base, foil, 0.92 * ink * (1 - worn))
    rub = step(cloud(rng, size, (10, 6), 4) + 2.2 * step(np.abs(across), 0.9, 0.2)
               + 1.6 * step(np.abs(y / book.height - 0.5), 0.49, 0.03), 2.9, 1.2)  # fmt: skip
    light = mixed(light, light * 0.6 + colour("b9a88c") * 0.25, 0.8 * rub)
    turn = np.clip(0.86 * across, -1, 1)
    round_shade = np.clip(0.80 * np.sqrt(1 - turn**2) - 0.42 * turn, 0.03, None)
    sheen = 0.05 * np.exp(-(((across + 0.42) / 0.16) ** 2))
    light = light * (round_shade * lit(relief, 0.5))[..., None] + sheen[..., None]
    pages = colour("cdbd98") * (0.55 + 0.20 * np.sin(2 * np.pi * x / 1.3))[..., None]
    pages = mixed(colour(book.cloth) * 0.5, pages, step(np.abs(across), 0.86, -0.06))
    curve = lid * (1 - np.sqrt(1 - np.clip(across, -1, 1) ** 2) * 0.55) - lid * 0.45
    light = mixed(pages * 0.8, light, step(y, 0, 0.8))
    alpha = step(y + lid, curve, 0.8)
    return light.astype(np.float32), alpha.astype(np.float32)


def _put_title(ink: Array, book: Book, lid: float) -> None:
    for text, capitals, at, most in (
        (book.title, min(0.42 * book.width, 14.5), 0.43, 0.47 * book.height),
        (book.imprint, min(0.24 * book.width, 8.6), 0.80, 0.17 * book.height),
    ):
        mask = lettering(text, capitals, spacing=0.12 if text.isupper() else 0.03)
        fit = min(1.0, most * FINE / mask.shape[1])
        shape = (max(1, round(mask.shape[1] * fit)), round(mask.shape[0] * max(fit, 0.72)))
        mask = cv2.resize(mask, shape, interpolation=cv2.INTER_AREA)
        place(ink, np.rot90(mask, -1), (book.width / 2, lid + at * book.height))


def _put_clock(surface: Surface, rng: np.random.Generator, centre: tuple[float, float]) -> None:
    radius = 68.0
    size = (round(2.9 * radius * FINE),) * 2
    x, y = grid(size)
    x, y = x - 1.45 * radius, y - 1.45 * radius
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    key, fill = np.clip(np.cos(angle + 2.3), -0.2, 1), np.clip(np.cos(angle - 0.6), 0, 1)
    brass = colour("b98a3e") * (0.35 + 0.9 * key**2 + 0.30 * fill**8)[..., None]
    middle = 1.45 * radius
    for side in (-1, 1):
        foot = [(middle + side * 34, middle + 50), (middle + side * 46, middle + 46),
                (middle + side * 58, middle + 72), (middle + side * 50, middle + 74)]  # fmt: skip
        matrix = moved((middle, middle), centre)
        surface.put((brass * 0.55).astype(np.float32), polygon(foot, size), matrix)
        u, v = x - side * 34, y + 68
        bell = step(24 - np.hypot(u, v * 1.25), 0, 0.8) * step(-v, -7, 0.8)
        bow = np.sqrt(np.clip(1 - (u / 24) ** 2 - (v / 19.2) ** 2, 0, 1))
        facing = np.clip(0.70 * bow - 0.021 * u - 0.030 * v, 0, 1)
        shade = 0.16 + 0.75 * facing + 0.25 * np.exp(-(((bow - 0.35) / 0.12) ** 2))
        metal = colour("b98a3e") * shade[..., None] + 0.9 * (facing**24)[..., None]
        surface.put(metal.astype(np.float32), bell.astype(np.float32), matrix)
    handle = [(middle - 30, middle - 84), (middle, middle - 104), (middle + 30, middle - 84)]
    bar = strokes([handle], 4.5, size)
    surface.put(np.broadcast_to(colour("8a6a34"), (*size, 3)).copy(), bar, matrix)
    dial = colour("efe6d0") * (0.92 + 0.03 * cloud(rng, size, (40, 40)) - 0.0016 * x)[..., None]
    ink = np.zeros(size, np.float32)
    for minute in range(60):
        turn = 2 * np.pi * minute / 60
        tick = np.array([np.sin(turn), -np.cos(turn)])
        inner = 49.5 if minute % 5 else 47.0
        line = [tuple(middle + tick * inner), tuple(middle + tick * 52)]
        ink = np.maximum(ink, strokes([line], 0.5 if minute % 5 else 1.5, size))
    for hour in range(1, 13):
        turn = 2 * np.pi * hour / 12
        place(ink, lettering(str(hour), 9.5),
              (middle + 39.5 * np.sin(turn), middle - 39.5 * np.cos(turn) + 1))  # fmt: skip
    place(ink, lettering("MERIDIAN", 4.2, spacing=0.2), (middle, middle - 18))
    face = mixed(dial, colour("1c1a18"), ink)
    hands = [(304, 26.0, 3.2), (48, 42.0, 2.2)]
    for degrees, length, width in hands:
        turn = np.radians(degrees)
        tip = (middle + length * np.sin(turn), middle - length * np.cos(turn))
        hand = strokes([[(middle, middle), tip]], width, size)
        soft = cv2.GaussianBlur(np.roll(hand, (5, 3), (0, 1)), (0, 0), 3)
        face = mixed(face * (1 - 0.4 * soft)[..., None], colour("171514"), hand)
    rim_shadow = np.exp(-(((distance - 56) / 5) ** 2)) * (0.6 - 0.4 * np.sin(angle))
    face = face * (1 - 0.5 * rim_shadow)[..., None]
    hub = step(4 - distance, 0, 0.8)
    body = mixed(mixed(face, brass, step(distance, 55.5, 0.8)), colour("b98a3e"), hub)
    groove = np.exp(-(((distance - 61) / 1.4) ** 2))
    body = body * (1 - 0.6 * groove)[..., None]
    surface.put(body.astype(np.float32), step(radius - distance, 0, 0.8), matrix)


def _pot(rng: np.random.Generator, width: float, height: float) -> tuple[Array, Array]:
    size = (round((height + 6) * FINE), round(width * FINE))
    x, y = grid(size)
    rim = 36.0
    half = np.where(y < rim, width / 2 - 1, (width / 2 - 9) - 0.21 * (y - rim))
    across = (x - width / 2) / half
    bow = 9 * np.sqrt(np.clip(1 - across**2, 0, 1))  # the rims are circles seen from above
    inside = step(1 - np.abs(across), 0, 0.015) * step(y, 5 - 0.5 * bow, 0.8)
    inside = inside * step(height - 10 + bow - y, 0, 0.8)
    speckle = cloud(rng, size, (3.5, 3.0), 3)
    bands = cloud(rng, size, (400, 4), 2)
    clay = colour("b0603a") * (1 + 0.09 * cloud(rng, size, (50, 40)) + 0.05 * bands)[..., None]
    bloom = step(cloud(rng, size, (40, 26), 5) + 0.9 * step(y, 95, 60), 1.25, 1.3)
    clay = mixed(clay, colour("d9c4ae"), 0.55 * bloom)
    turn = np.clip(across * 0.97, -1, 1)
    shade = np.clip(0.78 * np.sqrt(1 - turn**2) - 0.52 * turn, 0.04, None)
    under = np.exp(-np.clip(y - rim - bow * 0.6, 0, None) / 7) * step(y, rim + bow * 0.6, 1)
    shade = shade * (1 - 0.6 * under) * lit(0.5 * speckle + 0.4 * bands, 0.5)
    edge = np.exp(-(((y - rim - bow * 0.6 + 2) / 1.6) ** 2))
    light = clay * (shade * (1 + 0.35 * edge))[..., None]
    return light.astype(np.float32), inside.astype(np.float32)


def _leaf(rng: np.random.Generator, length: float, slender: float) -> tuple[Array, Array]:
    """A leaf that points up; its midrib bends a little to one side."""
    width = 2 * slender * length
    size = (round(length * FINE), round((width + 0.3 * length) * FINE))
    x, y = grid(size)
    t = np.clip(1 - y / length, 0, 1)  # 0 at the root, 1 at the tip
    bend = rng.normal(0, 0.10) * length
    u = x - size[1] / FINE / 2 - bend * t**2
    half = slender * length * np.sin(np.pi * t**0.82) ** 0.8 * (1 - 0.25 * t) + 1e-3
    across = u / half
    alpha = step(half - np.abs(u), 0, 0.8) * step(t, 0.004, 0.004)
    spacing = length / 15
    rise = y + 0.75 * np.abs(u) * (1 - 0.25 * np.abs(across))
    phase = (rise / spacing + 0.5 * (u > 0)) % 1
    vein = np.exp(-(((phase - 0.5) / 0.10) ** 2)) * (1 - 0.7 * np.clip(np.abs(across), 0, 1))
    rib = np.exp(-((u / (1.0 + 1.6 * (1 - t))) ** 2))
    pillow = np.sin(np.pi * phase) * (1 - rib)
    green = mixed(colour("2f6b2a"), colour("5c8f34"), 0.5 + 0.35 * cloud(rng, size, (40, 40), 3))
    grain = 1 + 0.06 * cloud(rng, size, (2.4, 2.4), 2)
    green = green * rng.uniform(0.85, 1.15) * grain[..., None]
    light = mixed(green, colour("b8c878"), 0.45 * vein + 0.7 * rib)
    light = mixed(light, colour("a9a04a"), 0.5 * step(np.abs(across), 0.95, 0.08))
    relief = 1.7 * pillow - 2.5 * rib + 0.20 * cloud(rng, size, (3, 3), 2)
    tilt = np.where(u < 0, 1.12, 0.72) * (1 - 0.25 * np.abs(across)) * (0.75 + 0.35 * t)
    gloss = np.exp(-(((across + 0.45) / 0.20) ** 2) - ((t - 0.6) / 0.25) ** 2)
    shine = 0.10 * gloss * np.clip(lit(relief, 0.5), 0, 1.6)
    light = light * (tilt * lit(relief, 0.35))[..., None] + shine[..., None]
    flaw = step(cloud(rng, size, (7, 7), 3), 2.35, 0.5)
    light = mixed(light, colour("6b5a2c") * 0.7, 0.7 * flaw)
    return light.astype(np.float32), alpha.astype(np.float32)
