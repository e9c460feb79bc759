"""When and from what the reblurring module learns, where that differs from the reference."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from defocusfix.training.recipe import Progress
from tests.training.misaligned import write_pairs
from tests.training.reblur_steps import built, small_config, stage_of, step_of


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return small_config(*write_pairs(tmp_path_factory.mktemp("pairs"), 2))


def test_the_reblurring_module_can_learn_in_the_warm_up_without_teaching(config):
    plain = replace(config, network="focusnet-s")  # it has no dropout
    still, beside = (built(replace(plain, warm_up_reblurs=early)) for early in (False, True))
    terms, moved = step_of(still, "warm_up")
    assert (terms.keys(), moved) == ({"to_input"}, {"deblurrer"})
    terms, moved = step_of(beside, "warm_up")
    assert (terms.keys(), moved) == ({"to_input", "reblur"}, {"deblurrer", "reblur"})
    networks = (recipe.modules["deblurrer"].state_dict() for recipe in (still, beside))
    assert all(torch.equal(*pair) for pair in zip(*map(dict.values, networks), strict=True))


def test_kernels_from_the_target_learn_apart_from_the_network(config):
    apart = replace(config, kernels_from="target", warm_up_reblurs=True)
    terms, moved = step_of(built(apart), "full")
    assert {"reblur", "kernels", "map"} <= terms.keys()
    assert moved == {"deblurrer", "reblur"}
    teacher, learner = stage_of(built(apart), "full").turns
    assert (teacher.trains, learner.trains) == (("deblurrer",), ("reblur",))
    for name in ("reblur", "warm_up"):
        assert "reblur" in step_of(built(apart), name)[1]


def test_kernels_from_the_target_do_not_depend_on_what_the_network_restores(config):
    recipe = built(replace(config, kernels_from="target"))
    stage = stage_of(recipe, "reblur")
    batch = stage.batch(0, 0, 1)
    before = stage.forward(batch, Progress("reblur", 0, 2))["reblurred"]
    with torch.no_grad():
        for parameter in recipe.modules["deblurrer"].parameters():
            parameter.zero_()
    after = stage.forward(batch, Progress("reblur", 0, 2))["reblurred"]
    assert torch.equal(before, after)
