"""The benchmark of misaligned pairs: its scenes move as told, and its measure of drift sees it."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from defocusfix.registration.warp import warp
from tests.evaluation.scenes import blurred, texture

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
EVERYWHERE = np.ones((96, 128), np.bool_)


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.1, -0.05), (-1.5, 2.0)])
@pytest.mark.parametrize("sigma_px", [0.0, 1.5])
def test_drift_is_measured_to_a_fraction_of_a_pixel_on_sharp_and_soft_pictures(
    load, shift, sigma_px
):
    truth = texture(96, 128)
    flow = np.broadcast_to(np.float32(shift), (96, 128, 2))
    moved = warp(truth, flow)
    if sigma_px:
        moved = blurred(moved, sigma_px)
    inner = np.zeros_like(EVERYWHERE)
    inner[16:-16, 16:-16] = True
    found = load("pair_figures").whole_shift(moved, truth, inner)
    assert found == pytest.approx(-np.array(shift), abs=0.02)


def test_a_target_is_seen_from_where_the_camera_moved_and_the_truth_is_not(load):
    one_lens, figures = load("one_lens"), load("pair_figures")
    movements = (one_lens.Movement(0), one_lens.Movement(4, is_one_way=True))
    pair = one_lens.one_pair(3, 0, None, 96, movements)
    assert np.array_equal(pair.targets["0"], pair.truth)
    assert pair.radius_px.shape == (48, 48)
    assert 1.5 <= np.abs(pair.radius_px).max() <= 6
    inner = np.zeros((96, 96), np.bool_)
    inner[12:-12, 12:-12] = True
    found = figures.whole_shift(pair.targets["4 one way"], pair.truth, inner)
    towards = np.array([np.cos(one_lens.ONE_WAY), np.sin(one_lens.ONE_WAY)])
    assert found == pytest.approx(-4 * towards, abs=2.0)  # and parallax, which differs by distance
    gain = pair.targets["4 one way"].mean() / pair.truth.mean()
    assert gain == pytest.approx(1.03 ** (1 / 2.2), abs=0.03)
