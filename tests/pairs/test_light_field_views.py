"""Light fields as they lie on disk."""

from __future__ import annotations

import numpy as np
import pytest

from defocusfix.errors import InputError, UsageError
from defocusfix.pairs.light_field_views import (
    ViewSettings,
    from_light,
    read_light_field,
    to_light,
)
from defocusfix.photo.coding import PngCoding
from defocusfix.photo.photo import Photo
from defocusfix.photo.write import write_photo
from tests.optics.light_fields import Texture, plane_view

SIZE = (40, 48)


def views_of(grid=(3, 5), slope: float = 0.5, gains=None) -> np.ndarray:
    """(V, U, H, W, 3) uint8, sRGB."""
    steps = [(v - grid[0] // 2, u - grid[1] // 2) for v, u in np.ndindex(grid)]
    light = np.stack([plane_view(Texture(4, highest=0.1), slope, step, SIZE) for step in steps])
    if gains is not None:
        light *= np.reshape(gains, (-1, 1, 1, 1))
    stored = np.rint(from_light(light, "srgb") * 255).astype(np.uint8)
    return stored.reshape(*grid, *stored.shape[1:])


def write(path, pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_photo(Photo(np.ascontiguousarray(pixels), PngCoding()), path)


@pytest.fixture
def folder(tmp_path):
    """3 x 5 views named by row and column, counted from 1."""
    views = views_of()
    for v, u in np.ndindex(3, 5):
        write(tmp_path / "toy" / f"toy_{v + 1:02d}_{u + 1:02d}.png", views[v, u])
    return tmp_path / "toy"


def test_a_folder_of_rows_and_columns_is_read_as_linear_light(folder):
    stored = read_light_field(folder, ViewSettings())
    assert stored.scene == "toy"
    assert stored.field.grid == (3, 5)
    assert stored.field.usable.all()
    assert stored.field.seen.all()
    np.testing.assert_array_equal(stored.middle, views_of()[1, 2])
    wanted = to_light(views_of()[0, 4] / 255, "srgb")
    assert stored.field.views[0, 4] == pytest.approx(wanted, rel=0.02, abs=1e-3)
    np.testing.assert_array_equal(stored.stored(stored.field.middle), stored.middle)


def test_one_number_counts_row_by_row(tmp_path):
    views = views_of((3, 3))
    for number, (v, u) in enumerate(np.ndindex(3, 3)):
        write(tmp_path / f"cam{number}.png", views[v, u])
    stored = read_light_field(tmp_path, ViewSettings())
    np.testing.assert_array_equal(stored.middle, views[1, 1])
    wide = read_light_field(tmp_path, ViewSettings(grid=(3, 3)))
    np.testing.assert_array_equal(wide.field.views, stored.field.views)


def test_numbers_that_are_no_square_need_a_grid(tmp_path):
    views = views_of((3, 5))
    for number, (v, u) in enumerate(np.ndindex(3, 5)):
        write(tmp_path / f"{number:03d}.png", views[v, u])
    with pytest.raises(InputError, match="do not say which view is where"):
        read_light_field(tmp_path, ViewSettings())
    stored = read_light_field(tmp_path, ViewSettings(grid=(3, 5)))
    np.testing.assert_array_equal(stored.middle, views[1, 2])


@pytest.mark.parametrize("packing", ["tiles", "lenslets"])
def test_one_picture_is_taken_apart_as_it_is_packed(tmp_path, packing):
    views = views_of((3, 5))
    order = (0, 2, 1, 3, 4) if packing == "tiles" else (2, 0, 3, 1, 4)
    whole = views.transpose(order).reshape(3 * SIZE[0], 5 * SIZE[1], 3)
    write(tmp_path / "all.png", whole)
    found = read_light_field(tmp_path / "all.png", ViewSettings(grid=(3, 5)))  # found out
    np.testing.assert_array_equal(found.middle, views[1, 2])
    stated = read_light_field(tmp_path / "all.png", ViewSettings(grid=(3, 5), packing=packing))
    np.testing.assert_array_equal(stated.field.views, found.field.views)
    assert found.scene == "all"


def test_one_picture_needs_a_grid_that_divides_it_and_says_how_it_is_packed(tmp_path):
    write(tmp_path / "noise.png", np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8))
    with pytest.raises(UsageError, match="how many views"):
        read_light_field(tmp_path / "noise.png", ViewSettings())
    with pytest.raises(UsageError, match="does not divide"):
        read_light_field(tmp_path / "noise.png", ViewSettings(grid=(7, 7)))
    with pytest.raises(InputError, match="tiles or lenslets"):
        read_light_field(tmp_path / "noise.png", ViewSettings(grid=(3, 3)))


def test_an_even_number_of_views_loses_the_first_row_and_column(tmp_path):
    views = views_of((4, 6))
    for v, u in np.ndindex(4, 6):
        write(tmp_path / f"{v}_{u}.png", views[v, u])
    stored = read_light_field(tmp_path, ViewSettings())
    assert stored.field.grid == (3, 5)
    np.testing.assert_array_equal(stored.middle, views[2, 3])


def test_rows_that_are_numbered_upwards_are_turned(folder):
    stored = read_light_field(folder, ViewSettings(rows="upwards"))
    straight = read_light_field(folder, ViewSettings())
    np.testing.assert_array_equal(stored.field.views, straight.field.views[::-1])


def test_dark_views_are_brightened_and_very_dark_ones_left_out(tmp_path):
    gains = np.ones((3, 5))
    gains[0, 0], gains[0, 1], gains[2, 4] = 0.3, 0.8, 0.0
    views = views_of(gains=gains)
    for v, u in np.ndindex(3, 5):
        write(tmp_path / f"{v}_{u}.png", views[v, u])
    stored = read_light_field(tmp_path, ViewSettings())
    assert np.argwhere(~stored.field.usable).tolist() == [[0, 0], [2, 4]]
    assert stored.gains[0, 1] == pytest.approx(0.8, rel=0.03)
    assert stored.gains[0, 0] == pytest.approx(0.3, rel=0.03)
    bright = to_light(views_of()[0, 1] / 255, "srgb")
    unclipped = (bright > 0.05) & (bright < 0.95)
    assert stored.field.views[0, 1][unclipped] == pytest.approx(bright[unclipped], rel=0.05)


def test_black_corners_of_a_view_are_not_seen_but_black_things_are(folder):
    first = sorted(folder.iterdir())[0]
    pixels = views_of()[0, 0]
    pixels[:8, :8] = 0
    pixels[20:26, 20:26] = 0  # a black thing in the scene
    first.unlink()
    write(first, pixels)
    seen = read_light_field(folder, ViewSettings()).field.seen
    assert not seen[0, 0, :8, :8].any()
    assert seen[0, 0].sum() == SIZE[0] * SIZE[1] - 64
    assert seen[1:].all()


def test_views_of_several_sizes_few_views_and_lfdof_are_refused(folder, tmp_path):
    first = sorted(folder.iterdir())[0]
    first.unlink()
    write(first, views_of()[0, 0, :-1])
    with pytest.raises(InputError, match="differ in size"):
        read_light_field(folder, ViewSettings())
    for number in range(4):
        write(tmp_path / "four" / f"{number}.png", views_of()[0, 0])
    with pytest.raises(InputError, match="too few views"):
        read_light_field(tmp_path / "four", ViewSettings())
    (tmp_path / "LFDOF" / "train_data").mkdir(parents=True)
    with pytest.raises(InputError, match="pairs, not views"):
        read_light_field(tmp_path / "LFDOF", ViewSettings())


@pytest.mark.parametrize("curve", ["srgb", 1.0, 2.2])
def test_light_and_stored_values_are_each_others_inverse(curve):
    values = np.linspace(0, 1, 256, dtype=np.float32)
    assert from_light(to_light(values, curve), curve) == pytest.approx(values, abs=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_views_and_16_bits_keep_their_kind(tmp_path, dtype):
    views = views_of((3, 3))[..., :1].astype(dtype) * (np.iinfo(dtype).max // 255)
    for v, u in np.ndindex(3, 3):
        write(tmp_path / f"{v}_{u}.png", views[v, u])
    stored = read_light_field(tmp_path, ViewSettings())
    back = stored.stored(stored.field.middle)
    assert back.dtype == dtype
    assert back.shape == (*SIZE, 1)
    assert np.abs(back.astype(int) - views[1, 1]).max() <= 1
