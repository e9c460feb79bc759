from __future__ import annotations

import numpy as np
import pytest
import torch

from defocusfix.errors import TrainingError
from defocusfix.pairs.rendered import RenderedSet, write_facts, write_shard
from defocusfix.training.data import CropSource

SIDE = 16


def rendered(folder, first: int, count: int, side: int = SIDE, **facts) -> RenderedSet:
    """Crops whose pixels tell who they are: red the number, green the row, blue the column."""
    write_facts(folder, facts)
    rows, columns = np.mgrid[:side, :side]
    numbers = np.arange(first, first + count)[:, None, None] + 0 * rows
    blurred = np.stack(np.broadcast_arrays(3 * numbers, 2 * rows, 2 * columns), axis=-1)
    radius = 10 * numbers[:, ::2, ::2] + rows[::2, ::2]
    signed = np.where(columns[::2, ::2] < 8, -radius, radius)
    arrays = blurred.astype(np.uint8), (blurred + 1).astype(np.uint8), signed.astype(np.float16)
    write_shard(folder, 0, *arrays)
    return RenderedSet(folder)


@pytest.fixture
def source(tmp_path) -> CropSource:
    return CropSource([rendered(tmp_path / "a", 1, 4), rendered(tmp_path / "b", 5, 3)], seed=3)


def numbers_seen(source: CropSource, samples: range) -> list[int]:
    """Which stored crop each sample is, read from its radius map."""
    return [round(float(np.abs(source.sample(k)[2]).min()) / 10) for k in samples]


def test_a_sample_depends_on_seed_and_number_only(tmp_path, source):
    again = CropSource([RenderedSet(tmp_path / "a"), RenderedSet(tmp_path / "b")], seed=3)
    list(map(again.sample, range(9, 0, -1)))  # another order of asking
    for one, other in zip(source.sample(5), again.sample(5), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_epoch_shows_every_crop_once_and_the_next_one_in_another_order(source):
    epochs = [numbers_seen(source, range(start, start + 7)) for start in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(1, 8)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_pictures_and_radius_are_turned_together(source):
    for k in range(30):
        blurred, _, radius = source.sample(k)
        number = round(float(np.abs(radius).min()) / 10)
        rows = np.abs(radius) - 10 * number
        # Of the three permuted channels, the stored row is the one that varies as the radius does.
        small = blurred[::2, ::2].astype(float)
        agreement = [abs(np.corrcoef(small[..., c].ravel(), rows.ravel())[0, 1])
                     for c in range(3) if small[..., c].std() > 0]  # fmt: skip
        assert max(agreement) > 0.9


def test_variations_are_all_met(source):
    shapes = {
        (tuple(np.argsort([blurred[..., c].std() for c in range(3)])), radius[0, 0] > radius[-1, 0])
        for blurred, _, radius in map(source.sample, range(60))
    }
    assert len(shapes) >= 6


def test_brightness_changes_both_pictures_alike_and_never_clips(source):
    for k in range(20):
        blurred, all_in_focus, _ = source.sample(k)
        difference = all_in_focus.astype(int) - blurred
        assert difference.min() >= 0
        assert difference.max() <= 2
        assert all_in_focus.max() <= 255


def test_processes_share_the_joint_batch(source):
    joint = source.batch(2, 4)
    slices = [source.batch(2, 4, rank, 2) for rank in range(2)]
    for name, tensor in joint.items():
        assert torch.equal(tensor, torch.cat([part[name] for part in slices]))


def test_a_batch_has_its_shapes_ranges_and_layout(source):
    batch = source.batch(0, 4)
    assert batch["blurred"].shape == batch["all_in_focus"].shape == (4, 3, SIDE, SIDE)
    assert batch["radius_px"].shape == (4, 1, SIDE // 2, SIDE // 2)
    assert batch["blurred"].is_contiguous(memory_format=torch.channels_last)
    assert 0 <= batch["blurred"].min() <= batch["blurred"].max() <= 1
    assert batch["radius_px"].min() >= 0
    assert not batch.pop("is_taught").any()
    assert {tensor.dtype for tensor in batch.values()} == {torch.float32}


def test_smaller_crops_are_cut_out_of_pictures_and_radius_alike(tmp_path):
    source = CropSource([rendered(tmp_path / "a", 0, 1)], seed=0, crop=6)
    corners = set()
    for k in range(40):
        blurred, _, radius = source.sample(k)
        assert blurred.shape == (6, 6, 3)
        assert radius.shape == (3, 3)
        corners.add(float(np.abs(radius).min()))
    assert corners <= {0.0, 2.0, 4.0, 6.0, 8.0, 10.0}
    assert len(corners) > 3


def test_what_cannot_be_trained_on_is_refused(tmp_path, source):
    with pytest.raises(TrainingError, match="no rendered crops"):
        CropSource([], seed=0)
    with pytest.raises(TrainingError, match="crops of 7 px"):
        CropSource([rendered(tmp_path / "c", 0, 1)], seed=0, crop=7)
    with pytest.raises(ValueError, match="3 processes cannot share a batch of 4"):
        source.batch(0, 4, 0, 3)


def test_crops_of_several_sizes_are_refused_unless_parts_are_cut_out(tmp_path):
    sets = [rendered(tmp_path / "a", 1, 4), rendered(tmp_path / "b", 5, 3, side=32)]
    with pytest.raises(TrainingError, match="16 x 16 px, 32 x 32 px"):
        CropSource(sets, seed=0)
    assert CropSource(sets, seed=0, crop=16).batch(0, 7)["blurred"].shape == (7, 3, 16, 16)
    with pytest.raises(TrainingError, match="crops of 32 px"):
        CropSource(sets, seed=0, crop=32)


def test_a_batch_tells_which_of_its_truths_are_only_what_networks_restored(tmp_path):
    sets = [rendered(tmp_path / "a", 1, 4), rendered(tmp_path / "b", 5, 3, teachers=["x"])]
    batch = CropSource(sets, seed=3).batch(1, 5)
    numbers = [round(float(radius.min()) / 10) for radius in batch["radius_px"]]
    assert batch["is_taught"].tolist() == [number >= 5 for number in numbers]
    assert batch["is_taught"].any() != batch["is_taught"].all()
