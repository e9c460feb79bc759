"""Data and small networks for the tests of more than one recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from defocusfix.rendering.produce import RenderSettings, render_set
from defocusfix.training.recipes import learnable_kernel
from defocusfix.training.recipes.reblur_guided_config import Config
from tests.training.blur_maps import write_half_blurred
from tests.training.misaligned import write_pairs
from tests.training.reblur_steps import small_config
from tests.training.small_gan import TINY_MAP

SHIFT = np.array([[1, 0, 4], [0, 1, -3]])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> tuple[Path, Path]:
    """Folders of three blurred and three sharp photos, 5 px apart."""
    return write_pairs(tmp_path_factory.mktemp("pairs"), 3, matrix=SHIFT)


@pytest.fixture
def config(pairs) -> Config:
    """Of the reblurring-guided recipe, on these pairs."""
    return small_config(*pairs)


@pytest.fixture(scope="module")
def half_blurred_crops(tmp_path_factory) -> Path:
    """A set of four rendered pairs, out of focus on their left."""
    return write_half_blurred(tmp_path_factory.mktemp("crops"), 4)


@pytest.fixture(scope="module")
def rendered_crops(tmp_path_factory) -> Path:
    """A set of four pairs of 64 px, rendered from random textures."""
    folder = tmp_path_factory.mktemp("rendered")
    settings = RenderSettings((), size=64, count=4, seed=0, shard_size=4)
    list(render_set(settings, folder, processes=1))
    return folder


@pytest.fixture
def tiny_blur_map(monkeypatch) -> None:
    """Makes blur-map-small as small as a test wants it."""
    monkeypatch.setitem(learnable_kernel.SIZES, "blur-map-small", TINY_MAP)
