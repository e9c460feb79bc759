"""Rendered pairs that are used several times."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from defocusfix.rendering.pair import rendered_pair
from defocusfix.training.config import resolve_config
from defocusfix.training.pool import AHEAD, FIRST_BATCHES, LATE, ScenePool
from tests.training.batches import assert_equal, assert_well_formed

CPU = torch.device("cpu")
SIDE = 32


def pool(uses: int = 2, capacity: int = 64, workers: int = 0) -> ScenePool:
    return ScenePool(
        (), 7, uses=uses, capacity=capacity, size=SIDE, device=lambda: CPU, workers=workers
    )


def test_a_batch_has_its_shapes_ranges_and_layout():
    assert_well_formed(pool().batch(0, 4), 4, SIDE)


@pytest.mark.parametrize("capacity", [64, 2 * (FIRST_BATCHES + LATE)])
def test_a_run_that_begins_later_sees_the_same_batches(capacity):
    whole = pool(capacity=capacity)
    batches = [whole.batch(step, 2) for step in range(40)]
    resumed = pool(capacity=capacity, workers=1)
    for step in range(30, 40):
        assert_equal(resumed.batch(step, 2), batches[step])


def test_a_batch_that_is_asked_for_late_is_the_same():
    in_order, late = pool(capacity=32), pool(capacity=32)
    expected = [in_order.batch(step, 2) for step in range(60)]
    for step in range(LATE, 60):
        late.batch(step, 2)
        assert_equal(late.batch(step - LATE, 2), expected[step - LATE])


def test_pairs_enter_once_in_so_many_uses():
    made, uses = [], 5

    def counted(library, seed, size, number):
        made.append(number)
        return rendered_pair(library, seed, size, number)

    source = pool(uses=uses)
    source._workers._make = counted
    for step in range(20):
        source.batch(step, 4)
    assert made == list(range(FIRST_BATCHES * 4 + 19 * 4 // uses))


def test_what_is_used_are_the_rendered_pairs_turned_and_coloured_otherwise():
    batch = pool().batch(3, 4)
    stored = [rendered_pair(None, 7, SIDE, k) for k in range(FIRST_BATCHES * 4 + 3 * 4 // 2)]
    radii = [np.sort(np.abs(pair.radius_px.astype(np.float32)), axis=None) for pair in stored]
    for k in range(4):
        found = np.sort(batch["radius_px"][k].numpy(), axis=None)
        alike = [n for n, radius in enumerate(radii) if np.array_equal(radius, found)]
        means = np.sort(batch["all_in_focus"][k].mean(dim=(1, 2)).numpy())
        ratios = [means / np.sort(stored[n].all_in_focus.mean(axis=(0, 1))) * 255 for n in alike]
        assert any(np.allclose(ratio, ratio[0], rtol=1e-4) for ratio in ratios)


def test_processes_have_pairs_of_their_own():
    numbers: list[list[int]] = [[], []]
    for rank in range(2):

        def counted(library, seed, size, number, rank=rank):
            numbers[rank].append(number)
            return rendered_pair(library, seed, size, number)

        source = pool()
        source._workers._make = counted
        assert len(source.batch(0, 4, rank, 2)["blurred"]) == 2
    assert sorted(numbers[0] + numbers[1]) == list(range(FIRST_BATCHES * 4))


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="3 processes cannot share a batch of 4"):
        pool().batch(0, 4, 0, 3)
    with pytest.raises(ValueError, match="too small"):
        pool(capacity=16).batch(0, 4)


def test_pairs_are_rendered_ahead():
    source = pool(workers=1)
    source.batch(0, 2)
    assert len(source._workers._made_ahead) == AHEAD


def test_a_recipe_uses_pairs_several_times():
    changes = [
        "recipe.renders_live=true", "recipe.live_size_px=128", "recipe.windows_px=[32, 32, 16]",
        "recipe.live_workers=0", "recipe.batch_size=2", "recipe.live_uses=3", "recipe.live_pool=40",
    ]  # fmt: skip
    batch = resolve_config("supervised", {}, changes).build().stages[0].batch(0, 0, 1)
    assert batch["blurred"].shape == (2, 3, 128, 128)
    assert batch["windows"].shape == (3, 2)
