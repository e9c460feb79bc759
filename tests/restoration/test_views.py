"""Both views of a dual-pixel photo go the way of the photo: same windows, same range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defocusfix.engines.select import Way, absence, open_engine
from defocusfix.errors import UsageError
from defocusfix.restoration import Restorer, RestoreSettings, restore
from tests.restoration import small_networks
from tests.restoration.stand_in_engines import LimitedEngine

RANGE = (-1.0, 1.0)  # of DRBNet
HEIGHT, WIDTH = 150, 203


def picture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Not too near to black and white, so that nothing is clipped."""
    values = np.random.default_rng(seed).random((height, width, 3), np.float32)
    return 0.25 + 0.5 * values


PHOTO, LEFT, RIGHT = (picture(seed) for seed in range(3))


def expected() -> np.ndarray:
    """By hand; in the middle of the photo, where no edge matters."""
    difference = np.pad(RIGHT - LEFT, [(1, 1), (1, 1), (0, 0)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(difference, (3, 3), (0, 1))
    return PHOTO + 0.3 * windows.mean((3, 4))


def engine_of(folder: Path, engine: str = "onnxruntime", **facts: object):
    if absence(Way(engine, "cpu", "fp32")) is not None:
        pytest.skip(f"{engine} is not installed")
    small_networks.of_two_views(folder / "views.onnx", value_range=RANGE, **facts)
    return open_engine(
        folder / "views.onnx", engine=engine, device="cpu", precision="fp32", threads=1
    )


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("tile", [0, 64])
def test_photo_and_views_are_cut_alike_in_every_engine(tmp_path, engine, tile):
    restorer = Restorer(engine_of(tmp_path, engine), RestoreSettings(tile=tile))
    found = restorer(PHOTO, views=(LEFT, RIGHT))
    assert (found.n_tiles > 1) == (tile > 0)
    inner = np.s_[1:-1, 1:-1]
    np.testing.assert_allclose(found.image[inner], expected()[inner], atol=1e-3)
    assert np.abs(expected() - PHOTO).max() > 0.05


def test_an_order_of_views_that_the_network_wants_is_no_concern_of_the_caller(tmp_path):
    for order in (("left", "right"), ("right", "left")):
        restorer = Restorer(engine_of(tmp_path, views=order))
        found = restorer(PHOTO, views=(LEFT, RIGHT)).image
        np.testing.assert_allclose(found[1:-1, 1:-1], expected()[1:-1, 1:-1], atol=1e-3)


def test_when_memory_is_short_views_are_cut_smaller_with_the_photo(tmp_path):
    whole = Restorer(engine_of(tmp_path))(PHOTO, views=(LEFT, RIGHT))
    limited = Restorer(LimitedEngine(engine_of(tmp_path), 100 * 100))
    found = limited(PHOTO, views=(LEFT, RIGHT))
    assert "memory was short" in found.notes[0]
    np.testing.assert_allclose(found.image, whole.image, atol=1e-6)


def test_strength_mask_and_area_go_with_views(tmp_path):
    engine = engine_of(tmp_path)
    whole = Restorer(engine)(PHOTO, views=(LEFT, RIGHT)).image
    half = Restorer(engine, RestoreSettings(strength=0.5))(PHOTO, views=(LEFT, RIGHT)).image
    np.testing.assert_allclose(half - PHOTO, (whole - PHOTO) / 2, atol=1e-3)
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[:, :100] = 1
    masked = Restorer(engine).restore_pixels(PHOTO, views=(LEFT, RIGHT), mask=mask)
    assert np.array_equal(masked.pixels[:, 100:], PHOTO[:, 100:])
    assert not np.array_equal(masked.pixels[:, :80], PHOTO[:, :80])
    part = Restorer(engine).restore_pixels(PHOTO, views=(LEFT, RIGHT), area=(40, 30, 50, 60))
    np.testing.assert_allclose(part.pixels, whole[30:90, 40:90], atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_at_smaller_sizes_the_views_are_made_smaller_too(tmp_path, scale):
    same = np.full((96, 96, 3), 0.4, np.float32)
    views = (same - 0.1, same + 0.1)
    found = Restorer(engine_of(tmp_path), RestoreSettings(scale=scale))(same, views=views)
    np.testing.assert_allclose(found.image[8:-8, 8:-8], 0.46, atol=1e-3)


def test_every_kind_of_picture_can_be_a_view(tmp_path):
    restorer = Restorer(engine_of(tmp_path))
    photo, left, right = ((255 * image).round().astype(np.uint8) for image in (PHOTO, LEFT, RIGHT))
    plain = restorer.restore(photo, views=(left, right))
    Image.fromarray(left).save(tmp_path / "left.png")
    mixed = restorer.restore(photo, views=(tmp_path / "left.png", Image.fromarray(right)))
    assert np.array_equal(plain, mixed)
    assert not np.array_equal(plain, photo)
    model = tmp_path / "views.onnx"
    again = restore(photo, views=(left, right), model=model, engine="onnxruntime", device="cpu")
    assert np.array_equal(plain, again)


def test_views_that_are_missing_not_wanted_or_of_another_size_are_refused(tmp_path):
    restorer = Restorer(engine_of(tmp_path))
    with pytest.raises(UsageError, match="needs the two views") as refusal:
        restorer(PHOTO)
    assert "--left FILE --right FILE" in refusal.value.fix
    with pytest.raises(ValueError, match=r"the size of the photo, \(150, 203\), got \(150, 202\)"):
        restorer(PHOTO, views=(LEFT, RIGHT[:, :-1]))
    small_networks.image_to_restored(tmp_path / "plain.onnx")
    plain = Restorer(open_engine(tmp_path / "plain.onnx", engine="onnxruntime", device="cpu"))
    with pytest.raises(UsageError, match="takes no views"):
        plain(PHOTO, views=(LEFT, RIGHT))
