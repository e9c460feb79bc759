"""What a large photo takes, beside what the engine takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from defocusfix.restoration import Restorer, RestoreSettings
from defocusfix.restoration.restorer import USUAL_PIXELS
from tests.restoration.stand_in_engines import NumpyEngine


def echo() -> NumpyEngine:
    """Changes nothing, says 2 px, and takes next to no memory itself."""
    return NumpyEngine(lambda image, coarse: (image, np.array(2.0)), halo=64)


def peak(restore) -> int:
    """Most bytes that were held at once, beyond those before."""
    tracemalloc.start()
    try:
        restore()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_beyond_the_photo_a_few_bytes_per_pixel_and_two_tiles_are_held(dtype):
    pixels = np.zeros((2000, 1500, 3), dtype)
    restorer = Restorer(echo())
    # The map and the half and quarter size in float16; stored values of a row of tiles, which wait
    # until the photo is no longer read there; two tiles with their inputs and outputs.
    kept = pixels[:, :, 0].size * (2 + (4 * 2) * (1 / 4 + 1 / 16))
    waiting = pixels.nbytes / 2
    under_way = 4 * USUAL_PIXELS * 4 * 5
    held = peak(lambda: restorer.restore_pixels(pixels, in_place=True))
    assert held < kept + waiting + under_way


def test_a_photo_four_times_as_high_takes_only_what_is_kept_of_it():
    restorer = Restorer(echo(), RestoreSettings(tile=320))

    def held(rows: int) -> int:
        pixels = np.zeros((rows, 500, 3), np.uint16)
        return peak(lambda: restorer.restore_pixels(pixels, in_place=True))

    # How far threads have come decides on a tile or two, 3 MB each; so the photos are large.
    kept = 2 + (4 * 2) * (1 / 4 + 1 / 16)
    assert held(16000) - held(4000) < 1.2 * 12000 * 500 * kept
