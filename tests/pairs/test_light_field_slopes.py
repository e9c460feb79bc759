"""Slopes of a light field's scene, estimated and given."""

from __future__ import annotations

import numpy as np
import pytest

from defocusfix.errors import InputError
from defocusfix.optics.light_field import LightField
from defocusfix.pairs.light_field_slopes import estimated_slopes, given_slopes
from defocusfix.photo.coding import PngCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.write import write_photo
from tests.optics.light_fields import box_view, field_of, is_box, positions

SIZE = (96, 120)
FAR, NEAR = -0.3, 0.9


@pytest.fixture(scope="module")
def scene() -> LightField:
    return field_of(lambda step: box_view(step, SIZE, far=FAR, near=NEAR).clip(0, 1) ** 2.2)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.where(is_box(*positions(SIZE), SIZE), NEAR, FAR).astype(np.float32)


def upside_down(field: LightField) -> LightField:
    return LightField(field.views[::-1], field.usable, field.seen)


def test_both_planes_of_a_scene_are_found_and_their_edge(scene, truth):
    found = estimated_slopes(scene)
    assert not found.is_exact
    inner = np.s_[8:-8, 8:-8]
    error = np.abs(found.values - truth)[inner]
    assert np.median(error) < 0.02
    assert np.mean(error > 0.15) < 0.1


def test_rows_from_bottom_to_top_are_noticed(scene):
    with pytest.raises(InputError, match="bottom to top") as caught:
        estimated_slopes(upside_down(scene))
    assert "--rows upwards" in caught.value.fix


def test_a_disparity_is_read_from_numpy_pfm_and_pictures(scene, truth, tmp_path):
    np.save(tmp_path / "a.npy", truth[None, :, :, None])
    header = f"Pf\n{SIZE[1]} {SIZE[0]}\n-1.0\n".encode()
    (tmp_path / "a.pfm").write_bytes(header + truth[::-1].astype("<f4").tobytes())
    codes = np.rint((truth + 1) * 1000).astype(np.uint16)
    for name in ("a.npy", "a.pfm"):
        found = given_slopes(tmp_path / name, 1.0, scene)
        assert found.is_exact
        np.testing.assert_array_equal(found.values, truth)
    shifted_scene = field_of(lambda step: box_view(step, SIZE, far=FAR + 1, near=NEAR + 1))
    write_photo(Photo(codes[:, :, None], PngCoding()), tmp_path / "a.png")
    found = given_slopes(tmp_path / "a.png", 0.001, shifted_scene)
    assert found.values == pytest.approx(truth + 1, abs=1e-3)


def test_a_disparity_of_the_other_sign_or_order_is_refused_with_what_to_do(scene, truth, tmp_path):
    np.save(tmp_path / "a.npy", -truth)
    with pytest.raises(InputError, match="opposite sign") as caught:
        given_slopes(tmp_path / "a.npy", 1.0, scene)
    assert caught.value.fix == "--disparity-scale -1"
    given_slopes(tmp_path / "a.npy", -1.0, scene)
    with pytest.raises(InputError, match="bottom to top"):
        given_slopes(tmp_path / "a.npy", -1.0, upside_down(scene))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (np.zeros((5, 5)), "does not fit"),
        (np.zeros(7), "does not fit"),
        (np.full(SIZE, np.nan), "without a disparity"),
        (np.full(SIZE, 200.0), "pixels per view step"),
    ],
)
def test_what_is_no_disparity_of_these_views_is_refused(scene, tmp_path, values, complaint):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=complaint):
        given_slopes(tmp_path / "a.npy", 1.0, scene)


def test_files_that_cannot_be_read_are_refused(scene, tmp_path):
    (tmp_path / "a.pfm").write_bytes(b"PF\n3 3\n-1\n")
    (tmp_path / "b.pfm").write_bytes(b"Pf\n3 3\n-1\n1234")
    (tmp_path / "c.npy").write_bytes(b"nothing")
    colours = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    write_photo(Photo(colours, PngCoding()), tmp_path / "d.png")
    for name, complaint in {
        "a.pfm": "no gray PFM",
        "b.pfm": "cut off",
        "c.npy": "cannot be read",
        "d.png": "in colours",
        "e.npy": "not there",
    }.items():
        with pytest.raises(InputError, match=complaint):
            given_slopes(tmp_path / name, 1.0, scene)
