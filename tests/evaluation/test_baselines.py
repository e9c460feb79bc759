from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.evaluation.baselines import BASELINES, richardson_lucy, unsharp_mask
from defocusfix.evaluation.metrics import psnr
from defocusfix.optics import disc
from tests.evaluation.scenes import texture

SHARP = texture(48, 56)
BLURRED = cv2.filter2D(SHARP, -1, disc(2.0), borderType=cv2.BORDER_REFLECT_101)


@pytest.mark.parametrize("restore", [unsharp_mask(), richardson_lucy()])
def test_a_baseline_brings_a_blurred_texture_nearer_to_the_truth(restore):
    assert psnr(restore(BLURRED).image, SHARP) > psnr(BLURRED, SHARP) + 0.5


@pytest.mark.parametrize("restore", BASELINES.values(), ids=list(BASELINES))
@given(level=st.floats(0, 1))
def test_a_baseline_leaves_a_flat_photo_flat(restore, level):
    flat = np.full((12, 13, 3), level, np.float32)
    assert np.allclose(restore(flat).image, flat, atol=2e-4)
