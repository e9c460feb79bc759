"""Pairs that do not line up, and the settings of a short run on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from defocusfix.training.recipes.reblur_guided_config import Config
from tests.training.misaligned import write_pairs
from tests.training.reblur_steps import small_config

SHIFT = np.array([[1, 0, 4], [0, 1, -3]])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> tuple[Path, Path]:
    """Folders of three blurred and three sharp photos, 5 px apart."""
    return write_pairs(tmp_path_factory.mktemp("pairs"), 3, matrix=SHIFT)


@pytest.fixture
def config(pairs) -> Config:
    """Of the reblurring-guided recipe, on these pairs."""
    return small_config(*pairs)
