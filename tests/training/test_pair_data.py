"""Crops from pairs of photos: where they come from, how they are laid over each other."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from defocusfix.errors import InputError, TrainingError
from defocusfix.pairs.crops import PairSettings
from defocusfix.pairs.find import PairFiles, pairs_of_folders
from defocusfix.training.pair_data import PairSource
from tests.evaluation.scenes import blurred
from tests.pairs.photographed import write_pair
from tests.training.misaligned import write_pairs

PLAIN = {"crop_px": 32, "augments": False, "matches_exposure": False}


def source(root, *, seed: int = 0, **settings) -> PairSource:
    pairs = pairs_of_folders(root / "blurry", root / "sharp")
    return PairSource(pairs, PairSettings(**(PLAIN | settings)), seed)


def write_coordinates(root, height: int = 96, width: int = 160) -> None:
    """A pair whose 16-bit values tell where each pixel lies: (x, y, number of the photo)."""
    y, x = np.mgrid[:height, :width].astype(np.uint16)
    for number, folder in enumerate(("blurry", "sharp")):
        (root / folder).mkdir()
        pixels = np.stack([x, y, np.full_like(x, number)], axis=2)
        tifffile.imwrite(root / folder / "a.tif", pixels, photometric="rgb")


def corner(crop: np.ndarray) -> tuple[int, int]:
    x, y = (round(float(value) * 65535) for value in crop[0, 0, :2])
    return x, y


def test_a_sample_depends_on_seed_and_number_only(tmp_path):
    write_pairs(tmp_path)
    first, again, other = source(tmp_path), source(tmp_path), source(tmp_path, seed=1)
    for k in (7, 0, 3):
        assert np.array_equal(first.sample(k), again.sample(k))
    assert not np.array_equal(first.sample(0), other.sample(0))
    assert not np.array_equal(first.sample(0), first.sample(2))


def test_an_epoch_shows_every_pair_once(tmp_path):
    for number, folder in enumerate(("blurry", "sharp")):
        (tmp_path / folder).mkdir()
        for value in range(5):
            pixels = np.full((32, 32, 3), 10 * value + number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{value}.png")
    found = source(tmp_path, alignment="none")
    seen = [round(float(found.sample(k)[0].max() * 255)) // 10 for k in range(10)]
    assert sorted(seen[:5]) == sorted(seen[5:]) == [0, 1, 2, 3, 4]


def test_slices_of_several_processes_make_the_joint_batch(tmp_path):
    write_pairs(tmp_path)
    found = source(tmp_path)
    joint = found.batch(3, 4)
    parts = [found.batch(3, 4, rank, 2) for rank in range(2)]
    assert joint["blurred"].shape == (4, 3, 32, 32)
    assert joint["blurred"].is_contiguous(memory_format=torch.channels_last)
    for name, tensor in joint.items():
        assert torch.equal(tensor, torch.cat([part[name] for part in parts]))
    with pytest.raises(ValueError, match="evenly"):
        found.batch(0, 3, 0, 2)


def test_without_alignment_both_crops_show_the_same_place_of_their_photos(tmp_path):
    write_coordinates(tmp_path)
    found = source(tmp_path, alignment="none")
    for k in range(20):
        sharp_and_blurred = found.sample(k)
        assert corner(sharp_and_blurred[0]) == corner(sharp_and_blurred[1])


def test_crops_come_from_the_whole_photo_or_from_its_upper_left_half(tmp_path):
    write_coordinates(tmp_path, 64, 96)
    for halves, (right, bottom) in ((False, (64, 32)), (True, (32, 16))):
        found = source(tmp_path, alignment="none", halves_range=halves)
        places = np.array([corner(found.sample(k)[0]) for k in range(400)])
        assert places.min(axis=0).tolist() == [0, 0]
        assert places.max(axis=0) == pytest.approx([right, bottom], abs=2)
        assert (places.max(axis=0) <= [right, bottom]).all()


def test_a_whole_shift_is_undone_without_resampling(tmp_path):
    write_pairs(tmp_path, matrix=np.array([[1, 0, 9], [0, 1, -6]]))
    still = tmp_path / "still"
    write_pairs(still)
    shifted, unshifted = source(tmp_path, alignment="shift"), source(still, alignment="none")
    centres = [found.centre(0, 64, 32) for found in (shifted, unshifted)]
    assert np.array_equal(centres[0][0], centres[1][0])
    assert np.array_equal(centres[0][1], centres[1][1])


@pytest.mark.parametrize("alignment", ["shift", "affine", "local"])
def test_alignment_brings_the_crops_together(tmp_path, alignment):
    turn = np.deg2rad(1.5)
    matrix = np.array([[np.cos(turn), -np.sin(turn), 7.4], [np.sin(turn), np.cos(turn), -4.3]])
    write_pairs(tmp_path, matrix=matrix)

    def distance(kind: str) -> float:
        found = source(tmp_path, alignment=kind)
        pairs = [found.sample(k) for k in range(8)]
        return float(np.mean([np.abs(a - blurred(b)).mean() for a, b in pairs]))

    least = {"shift": 0.6, "affine": 0.25, "local": 0.25}[alignment]
    assert distance(alignment) < least * distance("none")


def test_the_sharp_photo_gets_the_exposure_of_the_blurred_one(tmp_path):
    write_pairs(tmp_path, gain=1.2)
    plain, matched = source(tmp_path), source(tmp_path, matches_exposure=True)

    def brightness(found: PairSource) -> float:
        return float(np.mean([a.mean() / b.mean() for a, b in map(found.sample, range(6))]))

    assert brightness(plain) < 0.95
    assert brightness(matched) == pytest.approx(1, abs=0.02)


def test_both_photos_of_a_pair_are_turned_alike(tmp_path):
    write_coordinates(tmp_path)
    found = source(tmp_path, alignment="none", augments=True)
    seen = set()
    for k in range(60):
        blurry, sharp = found.sample(k)
        assert np.array_equal(blurry[..., :2], sharp[..., :2])
        across, down = np.rint((blurry[0, -1, :2] - blurry[0, 0, :2]) * 65535), blurry[-1, 0, 1]
        seen.add((*across.tolist(), bool(down > blurry[0, 0, 1])))
    assert len(seen) >= 4


def test_a_larger_scale_shows_more_of_the_photo(tmp_path):
    write_coordinates(tmp_path)
    crop = source(tmp_path, alignment="none", scale=2).sample(0)[0]
    steps = np.diff(crop[0, :, 0]) * 65535
    assert steps == pytest.approx(np.full(31, 2), abs=0.6)  # 16-bit averages are rounded


def test_gray_photos_become_three_channels(tmp_path):
    for folder in ("blurry", "sharp"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.full((40, 40), 100, np.uint8)).save(tmp_path / folder / "a.png")
    assert source(tmp_path, alignment="none").sample(0)[0].shape == (32, 32, 3)


def test_the_middle_is_cut_to_whole_multiples(tmp_path):
    write_pairs(tmp_path)
    assert source(tmp_path).centre(0, 512, 32)[0].shape == (96, 96, 3)
    assert source(tmp_path).centre(0, 64, 32)[1].shape == (64, 64, 3)


def test_photos_that_cannot_be_trained_on_are_named(tmp_path):
    with pytest.raises(TrainingError, match="no pairs"):
        PairSource([], PairSettings(), 0)
    write_pairs(tmp_path, 1)
    with pytest.raises(InputError, match="00 is smaller than a crop"):
        source(tmp_path, crop_px=128).sample(0)
    Image.new("RGB", (64, 64)).save(tmp_path / "sharp" / "00.png")
    with pytest.raises(InputError, match=r"144 x 112 and 64 x 64"):
        source(tmp_path).sample(0)
    (tmp_path / "sharp" / "00.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(InputError, match=r"00\.png"):
        source(tmp_path).sample(0)
    gone = PairFiles("x", tmp_path / "x.png", tmp_path / "y.png")
    with pytest.raises(InputError, match=r"x\.png cannot be read"):
        PairSource([gone], PairSettings(**PLAIN), 0).sample(0)


def test_pairs_that_show_different_scenes_are_left_where_they_are(tmp_path):
    write_pairs(tmp_path, 2)
    strangers = [PairFiles("a", tmp_path / "blurry" / "00.png", tmp_path / "sharp" / "01.png")]
    found = PairSource(strangers, PairSettings(**PLAIN), 0)
    unaligned = PairSource(strangers, PairSettings(**(PLAIN | {"alignment": "none"})), 0)
    assert np.array_equal(found.sample(0), unaligned.sample(0))


def test_settings_that_cannot_work_are_refused():
    for settings in ({"crop_px": 100}, {"scale": 0}, {"alignment": "perspective"}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            PairSettings(**settings)


def test_a_scale_of_its_own_is_measured_for_each_pair(tmp_path):
    write_pair(tmp_path, "mild.png", 0, radius_px=2)
    write_pair(tmp_path, "strong.png", 1, radius_px=10)
    found = source(tmp_path, scale="auto", cache=tmp_path / "kept")
    assert [found.name(number) for number in range(2)] == ["mild", "strong"]
    assert [found.scale(number) for number in range(2)] == [1, 2]
    assert found.sample(0)[0].shape == (32, 32, 3)
    assert found.centre(1, 1000, 16)[0].shape == (144, 144, 3)
    # Never so far that no crop fits, whatever the blur.
    assert source(tmp_path, scale="auto", crop_px=160).scale(1) == 1
