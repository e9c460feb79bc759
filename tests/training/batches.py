"""What holds of every batch of rendered pairs."""

from __future__ import annotations

import torch

from defocusfix.training.recipe import Tensors


def assert_equal(one: Tensors, other: Tensors) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def assert_well_formed(batch: Tensors, count: int, side: int) -> None:
    """Shapes, ranges, type and layout."""
    assert batch["blurred"].shape == batch["all_in_focus"].shape == (count, 3, side, side)
    assert batch["radius_px"].shape == (count, 1, side // 2, side // 2)
    assert batch["blurred"].is_contiguous(memory_format=torch.channels_last)
    assert 0 <= batch["blurred"].min() <= batch["blurred"].max() <= 1
    assert batch["radius_px"].min() >= 0
    assert {tensor.dtype for tensor in batch.values()} == {torch.float32}
