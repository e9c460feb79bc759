"""Which parts of a photo are computed, and how finely."""

from __future__ import annotations

import numpy as np
import pytest

from defocusfix.restoration import Restorer, RestoreSettings
from tests.restoration.stand_in_engines import CHANGE_BY_SIZE, brighter, read_from_red

# In pixels of full size the network of these tests reads 0, 2.4, 7.2 or 12 px from this red; the
# last two are more than 5 px at half or at a quarter of the size.
IN_FOCUS, SOFT, STRONG, STRONGEST = 0.0, 0.1, 0.6, 1.0
SMALL_TILES = RestoreSettings(tile=128)


def photo(*reds: float, side: int = 512) -> np.ndarray:
    """Vertical stripes of the given reds, wide enough for tiles that lie wholly in one."""
    image = np.full((side, side * len(reds), 3), 0.5, np.float32)
    image[:, :, 0] = np.repeat(np.array(reds, np.float32), side)
    return image


def test_a_photo_in_focus_is_left_alone_to_the_last_bit_and_never_computed_at_full_size():
    engine = read_from_red()
    image = photo(IN_FOCUS)
    restoration = Restorer(engine, SMALL_TILES)(image)
    assert np.array_equal(restoration.pixels, image)
    assert restoration.scales == {0: 1.0}
    whole = Restorer(engine, RestoreSettings(tile=128, scale=1))(image)
    assert restoration.n_tiles < whole.n_tiles / 2


@pytest.mark.parametrize(
    ("red", "factor"), [(SOFT, 1), (STRONG, 2), (STRONGEST, 4)], ids=["soft", "strong", "strongest"]
)
def test_the_stronger_the_blur_the_smaller_the_size_it_is_finished_at(red, factor):
    restoration = Restorer(read_from_red(), SMALL_TILES)(photo(red))
    assert restoration.scales == {factor: 1.0}
    change = restoration.pixels[:, :, 1] - 0.5
    assert np.abs(change - CHANGE_BY_SIZE[factor]).max() < 2e-3


def test_a_photo_wholly_out_of_focus_costs_less_than_a_soft_one():
    engine = read_from_red()
    computed = []
    for red in (SOFT, STRONG, STRONGEST):
        engine.windows.clear()
        Restorer(engine, SMALL_TILES)(photo(red))
        computed.append(sum(height * width for height, width in engine.windows))
    assert computed[0] > 3 * computed[1] > 9 * computed[2]


def test_every_part_of_a_photo_gets_its_own_size_and_the_shares_tell():
    restoration = Restorer(read_from_red(), SMALL_TILES)(photo(IN_FOCUS, SOFT, STRONG, STRONGEST))
    assert sorted(restoration.scales) == [0, 1, 2, 4]
    assert sum(restoration.scales.values()) == pytest.approx(1)
    assert all(share > 0.1 for share in restoration.scales.values())
    assert np.array_equal(restoration.pixels[:, :300], photo(IN_FOCUS)[:, :300])
    middles = [768, 1280, 1792]
    for middle, factor in zip(middles, (1, 2, 4), strict=True):
        change = restoration.pixels[256, middle, 1] - 0.5
        assert change == pytest.approx(CHANGE_BY_SIZE[factor], abs=2e-3)


@pytest.mark.parametrize("pair", [(IN_FOCUS, SOFT), (SOFT, STRONG), (STRONG, STRONGEST)])
@pytest.mark.parametrize("overlap", [16, 32])
def test_there_is_no_seam_where_sizes_meet(pair, overlap):
    restoration = Restorer(read_from_red(), RestoreSettings(tile=256, overlap=overlap))(
        photo(*pair)
    )
    assert len(restoration.scales) == 2
    change = restoration.pixels[:, :, 1] - 0.5
    difference = np.ptp(change)
    assert difference > 0.02
    # The steepest place of a raised cosine over `overlap` pixels, and a little for float16.
    steepest = difference * np.pi / 2 / overlap + 1e-3
    assert np.abs(np.diff(change, axis=1)).max() < steepest
    assert np.abs(np.diff(change, axis=0)).max() < 1e-3


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_scale_that_is_asked_for_is_the_finest_computed_everywhere(scale):
    engine = read_from_red()
    image = photo(IN_FOCUS, SOFT, STRONGEST, side=256)
    restoration = Restorer(engine, RestoreSettings(scale=scale, tile=0))(image)
    assert restoration.scales == {scale: 1.0}
    assert max(width for _, width in engine.windows) == 768 / scale
    change = restoration.pixels[:, :, 1] - 0.5
    assert np.abs(change - CHANGE_BY_SIZE[scale]).max() < 2e-3


def test_a_network_of_one_level_may_be_run_at_a_smaller_size():
    engine = brighter(levels=1)
    image = photo(SOFT, side=256)
    restoration = Restorer(engine, RestoreSettings(scale=4))(image)
    assert engine.windows == [(64, 64)]
    assert np.abs(restoration.pixels - image - 0.1).max() < 1e-4
    assert np.abs(restoration.radius_px - 8).max() < 1e-2  # 2 px at a quarter of the size


def test_blur_that_is_meant_is_not_even_computed():
    engine = read_from_red()
    settings = RestoreSettings(tile=128, scale=1, keep_bokeh_px=6)
    image = photo(SOFT, STRONGEST)
    restoration = Restorer(engine, settings)(image)
    assert restoration.scales[0] > 0.3
    assert np.array_equal(restoration.pixels[:, 600:], image[:, 600:])
    assert np.abs(restoration.pixels[:, :400, 1] - 0.5).min() > 0.1


def test_the_report_adds_up_to_one_whatever_is_passed_over():
    shares: list[float] = []
    image = photo(IN_FOCUS, SOFT, STRONGEST, side=300)
    Restorer(read_from_red(), SMALL_TILES)(image, report=shares.append)
    assert sum(shares) == pytest.approx(1)
