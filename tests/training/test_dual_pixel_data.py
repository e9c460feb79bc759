"""Crops of dual-pixel photos: four views of one place, mirrored as a lens would be."""

import cv2
import numpy as np
import pytest

from defocusfix.errors import InputError
from defocusfix.pairs.crops import PairSettings
from defocusfix.pairs.find import find_pairs
from defocusfix.training.dual_pixel_data import DualPixelSource

FOLDERS = ("blurry", "sharp", "left", "right")
PLAIN = PairSettings(crop_px=32, augments=False)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Every pixel says in red where it is, in green its row, in blue which photo it is of."""
    root = tmp_path_factory.mktemp("views")
    rows, columns = np.mgrid[:48, :64]
    for kind, folder in enumerate(FOLDERS):
        (root / folder).mkdir()
        for number in range(3):
            blue = np.full_like(rows, 40 * number + 10 * kind)
            image = np.stack([blue, rows, columns], axis=2).astype(np.uint8)
            cv2.imwrite(str(root / folder / f"{number}.png"), image)
    return root


def source(folders, settings=PLAIN, seed=0):
    pairs = find_pairs(folders / "blurry", folders / "sharp").pairs
    return DualPixelSource(pairs, folders / "left", folders / "right", settings, seed)


def test_all_four_views_show_one_place_of_one_photo(folders):
    found = source(folders).sample(4)
    places = [np.rint(image * 255)[..., :2] for image in found.values()]
    assert all(np.array_equal(places[0], place) for place in places)
    numbers = {name: int(np.rint(image[0, 0, 2] * 255)) for name, image in found.items()}
    first = numbers["blurred"]
    assert numbers == {"blurred": first, "all_in_focus": first + 10, "left": first + 20,
                       "right": first + 30}  # fmt: skip


def test_mirroring_exchanges_the_views_and_nothing_is_turned(folders):
    plain, varied = source(folders), source(folders, PairSettings(crop_px=32))
    seen = set()
    for k in range(12):
        before, after = plain.sample(k), varied.sample(k)
        is_mirrored = after["blurred"][0, 0, 0] > after["blurred"][0, -1, 0]
        is_flipped = after["blurred"][0, 0, 1] > after["blurred"][-1, 0, 1]
        seen.add((bool(is_mirrored), bool(is_flipped)))
        expected = before["right" if is_mirrored else "left"]
        expected = expected[::-1] if is_flipped else expected
        expected = expected[:, ::-1] if is_mirrored else expected
        np.testing.assert_array_equal(after["left"], expected)
    assert len(seen) == 4


def test_a_batch_holds_left_before_right_and_is_shared_by_processes(folders):
    crops = source(folders)
    whole, second = crops.batch(3, 4), crops.batch(3, 4, rank=1, world=2)
    assert whole["views"].shape == (4, 6, 32, 32)
    np.testing.assert_array_equal(second["views"], whole["views"][2:])
    sample = crops.sample(12)
    np.testing.assert_array_equal(whole["views"][0, 3:].permute(1, 2, 0), sample["right"])
    with pytest.raises(ValueError, match="evenly"):
        crops.batch(0, 3, world=2)


def test_the_middle_of_a_photo_comes_with_its_views(folders):
    found = source(folders).centre(1, 512, 16)
    assert [image.shape for image in found.values()] == [(48, 48, 3)] * 4
    assert source(folders).name(1) == "1"


def test_a_missing_view_is_told(folders, tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((48, 64, 3), np.uint8))
    pairs = find_pairs(folders / "blurry", folders / "sharp").pairs
    with pytest.raises(InputError, match="2 of 3 photos have no view"):
        DualPixelSource(pairs, tmp_path, folders / "right", PLAIN, 0)
