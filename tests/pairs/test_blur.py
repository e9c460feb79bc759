"""How blurred a photo is, measured against its sharp counterpart."""

from __future__ import annotations

import numpy as np
import pytest

from defocusfix.pairs.blur import PairBlur, measure_blur, training_scale
from defocusfix.pairs.geometry import PairGeometry, find_geometry
from defocusfix.registration.exposure import with_gains
from tests.pairs.photographed import as_8_bits, defocused, moved, scene, similarity

IN_PLACE = PairGeometry(np.eye(2, 3), np.ones(3, np.float32), 1.0, is_found=True)
SHARP = scene(1, (512, 512))


def blur_of(blurred: np.ndarray, sharp: np.ndarray, geometry: PairGeometry = IN_PLACE) -> PairBlur:
    return measure_blur(as_8_bits(blurred), as_8_bits(sharp), geometry)


@pytest.mark.parametrize("radius", [1, 2, 4, 8, 12])
def test_the_radius_of_a_disc_is_found(radius):
    found = blur_of(defocused(SHARP, radius), SHARP)
    assert found.median_px == pytest.approx(radius, rel=0.15)
    assert found.high_px == pytest.approx(radius, rel=0.2)
    assert found.share_blurred > 0.95
    assert found.share_reversed == 0


def test_noise_is_not_taken_for_sharpness():
    rng = np.random.default_rng(0)
    noisy = defocused(SHARP, 4) + rng.normal(0, 0.02, SHARP.shape)
    assert blur_of(noisy, SHARP).median_px == pytest.approx(4, rel=0.2)


def test_a_difference_in_exposure_is_no_blur():
    darker = with_gains(SHARP, np.full(3, 0.5, np.float32))
    geometry = find_geometry(as_8_bits(darker), as_8_bits(SHARP))
    assert blur_of(darker, SHARP, geometry).high_px < 0.6


def test_a_small_error_of_alignment_is_no_blur():
    shifted = moved(SHARP, np.array([[1, 0, 1.5], [0, 1, -1]]))
    found = blur_of(SHARP, shifted)
    assert found.median_px < 0.5
    assert found.share_blurred < 0.2
    assert found.parallax_px == pytest.approx(1.5, abs=1)


def test_photos_in_the_wrong_order_are_told_by_the_sharper_one():
    found = blur_of(SHARP, defocused(SHARP, 3))
    assert found.share_reversed > 0.95
    assert found.median_px == 0


def test_half_a_blurred_photo_is_half_blurred():
    half = SHARP.copy()
    half[:, 256:] = defocused(SHARP, 4)[:, 256:]
    found = blur_of(half, SHARP)
    assert found.share_blurred == pytest.approx(0.5, abs=0.1)
    assert found.high_px == pytest.approx(4, rel=0.2)


def test_what_changed_between_the_photos_is_told():
    changed = SHARP.copy()
    changed[:, :192] = scene(2, (512, 512))[:, :192]
    assert 0.2 < blur_of(defocused(changed, 2), SHARP).share_moved < 0.5
    assert blur_of(defocused(SHARP, 2), SHARP).share_moved == 0


def test_flat_photos_tell_nothing():
    flat = np.full((256, 256, 3), 0.5, np.float32)
    assert blur_of(flat, flat).tiles == 0
    assert training_scale(blur_of(flat, flat)) == 1
    assert blur_of(flat[:40, :40], flat[:40, :40]).tiles == 0


def test_16_bits_and_gray_are_measured_as_8_bits_and_colours_are():
    pair = [image[..., 1:2] for image in (defocused(SHARP, 3), SHARP)]
    deep = [np.rint(image * 65535).astype(np.uint16) for image in pair]
    assert measure_blur(*deep, IN_PLACE).median_px == pytest.approx(3, rel=0.15)


@pytest.mark.parametrize(
    ("high_px", "scale"), [(0, 1), (3, 1), (6, 1), (6.7, 2), (12, 2), (20, 4), (500, 16)]
)
def test_the_scale_brings_a_strong_blur_to_what_the_kernels_hold(high_px, scale):
    assert training_scale(PairBlur(high_px / 2, high_px, 1, 0, 0, 0, 50)) == scale


def test_blur_is_found_between_photos_that_do_not_line_up():
    sharp = scene(3)
    pair = as_8_bits(defocused(sharp, 4)), as_8_bits(moved(sharp, similarity(2, 1.03, 9, -6)))
    found = measure_blur(*pair, find_geometry(*pair))
    assert found.median_px == pytest.approx(4, rel=0.2)
    assert found.share_moved < 0.1
