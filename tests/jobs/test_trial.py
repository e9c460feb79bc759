from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from defocusfix.jobs.plan import Item
from defocusfix.jobs.treatment import Treatment
from defocusfix.jobs.trial import MOST_PHOTOS, SMALLEST_PX, try_speed
from defocusfix.restoration.restorer import Restorer
from tests.photo import sample_files as samples
from tests.restoration.stand_in_engines import brighter


def items(folder: Path, count: int, *, height: int = 40, width: int = 50) -> list[Item]:
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        path.write_bytes(samples.png(samples.scene(height, width)))
    return [Item(path, None) for path in paths]


def speed(photos: list[Item], asked: list[int], seconds_a_step: float = 1.0) -> float | None:
    """As a clock says that moves on by a step whenever it is looked at."""
    restorer = Restorer(brighter())
    clock = itertools.count(0, seconds_a_step)
    return try_speed(
        photos,
        lambda bits: asked.append(bits) or restorer,
        Treatment(program="test"),
        clock=lambda: next(clock),
    )


def test_a_few_photos_from_all_over_the_plan_are_tried(tmp_path):
    asked = []
    # Each reading and each piece takes one step, and the pieces are whole photos of 0.002 MP.
    assert speed(items(tmp_path, 20), asked, 0.1) == pytest.approx(0.1 / 0.002)
    assert asked == [8] * MOST_PHOTOS


def test_where_computing_is_slow_one_photo_is_enough(tmp_path):
    asked = []
    speed(items(tmp_path, 20), asked, 10.0)
    assert len(asked) == 1


def test_only_a_piece_of_a_large_photo_is_computed(tmp_path):
    photos = items(tmp_path, 1, height=SMALLEST_PX, width=2 * SMALLEST_PX)
    assert speed(photos, []) == pytest.approx(1 / (SMALLEST_PX**2 / 1e6))


def test_photos_that_cannot_be_read_are_passed_over(tmp_path):
    photos = items(tmp_path, 2)
    photos[0].source.write_bytes(b"nothing of use")
    assert speed(photos, []) is not None
    assert speed(photos[:1], []) is None
    assert speed([Item(None, None)], []) is None
