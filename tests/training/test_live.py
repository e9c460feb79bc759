"""Training batches that are rendered when they are needed."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from defocusfix.errors import InputError
from defocusfix.rendering.render import render
from defocusfix.rendering.workers import draw
from defocusfix.training import recipes
from defocusfix.training.config import resolve_config
from defocusfix.training.live import LiveSource
from defocusfix.training.prefetch import prefetched
from tests.training.batches import assert_equal, assert_well_formed

CPU = torch.device("cpu")
SIDE = 32


def live(workers: int = 0, device: torch.device = CPU) -> LiveSource:
    return LiveSource((), 7, size=SIDE, device=lambda: device, workers=workers)


def test_a_batch_has_its_shapes_ranges_and_layout():
    assert_well_formed(live().batch(0, 4), 4, SIDE)


def test_a_batch_depends_on_seed_and_step_only():
    drawn_ahead, at_once = live(workers=1), live()
    for step in (5, 6):  # as a resumed run begins
        assert_equal(drawn_ahead.batch(step, 2), at_once.batch(step, 2))
    assert_equal(at_once.batch(5, 2), live().batch(5, 2))
    assert not torch.equal(at_once.batch(1, 2)["blurred"], at_once.batch(0, 2)["blurred"])


def test_processes_share_the_joint_batch():
    joint = live().batch(2, 4)
    slices = [live().batch(2, 4, rank, 2) for rank in range(2)]
    for name, tensor in joint.items():
        assert torch.equal(tensor, torch.cat([part[name] for part in slices]))
    with pytest.raises(ValueError, match="3 processes cannot share a batch of 4"):
        live().batch(0, 4, 0, 3)


def test_pairs_are_those_of_a_rendered_set_but_for_colour_and_brightness():
    batch = live().batch(0, 6)
    for k in range(6):
        stored = render([draw(None, 7, SIDE, k)], CPU)
        torch.testing.assert_close(batch["radius_px"][k], stored.radius_px.abs())
        ratio = []
        for name, pictures in (("blurred", stored.blurred), ("all_in_focus", stored.all_in_focus)):
            means = np.sort(pictures[0].float().mean(dim=(0, 1)).numpy() / 255)
            found = np.sort(batch[name][k].mean(dim=(1, 2)).numpy())
            ratio += [found / means]
        np.testing.assert_allclose(ratio, ratio[0][0], rtol=1e-4)
        assert 0.3 < ratio[0][0] <= 1.25


def test_several_threads_prefetch_in_order():
    source = live(workers=1)
    with prefetched(lambda step: source.batch(step, 2), range(3, 9), depth=4, threads=3) as batches:
        found = list(batches)
    alone = live()
    for step, batch in zip(range(3, 9), found, strict=True):
        assert_equal(batch, alone.batch(step, 2))


def test_a_folder_without_photos_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no photos"):
        LiveSource([tmp_path], 0, device=lambda: CPU)


def test_a_recipe_renders_what_it_trains_on():
    changes = [
        "recipe.renders_live=true", "recipe.live_size_px=128", "recipe.windows_px=[32, 32, 16]",
        "recipe.live_workers=0", "recipe.batch_size=2",
    ]  # fmt: skip
    assert "supervised" in recipes.RECIPES
    recipe = resolve_config("supervised", {}, changes).build()
    batch = recipe.stages[0].batch(0, 0, 1)
    assert batch["blurred"].shape == (2, 3, 128, 128)
    assert batch["windows"].shape == (3, 2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_renders_in_a_background_thread_what_it_renders_alone():
    device = torch.device("cuda", torch.cuda.device_count() - 1)
    source, found = live(workers=1, device=device), []
    thread = threading.Thread(target=lambda: found.append(source.batch(0, 8)))
    thread.start()
    thread.join()
    assert {tensor.device for tensor in found[0].values()} == {device}
    again, cpu = live(device=device).batch(0, 8), live().batch(0, 8)
    assert_equal(found[0], again)
    torch.testing.assert_close(found[0]["radius_px"].cpu(), cpu["radius_px"], atol=1e-4, rtol=0)
    torch.testing.assert_close(
        found[0]["all_in_focus"].cpu(), cpu["all_in_focus"], atol=1.5 / 255, rtol=0
    )
