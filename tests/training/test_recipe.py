from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from defocusfix.training.optimiser import ModuleOptimiser
from defocusfix.training.prefetch import prefetched
from defocusfix.training.recipe import OptimiserConfig, Progress, Recipe, Turn
from defocusfix.training.step import train_step
from tests.training import toy


def play(recipe: Recipe) -> dict[str, float]:
    stage = recipe.stages[-1]
    optimisers = {n: ModuleOptimiser(m, OptimiserConfig()) for n, m in recipe.modules.items()}
    autocast = torch.autocast("cpu", enabled=False)
    progress = Progress(stage.name, 0, stage.steps)
    return train_step(recipe, stage, stage.batch(0, 0, 1), progress, optimisers, autocast)


def with_turns(recipe: Recipe, *turns: Turn) -> Recipe:
    return replace(recipe, stages=(replace(recipe.stages[0], turns=turns),))


def test_terms_without_a_weight_stop_the_step():
    recipe = toy.build(toy.Config())
    turn = replace(recipe.stages[0].turns[0], weights={"pixle": 1.0})
    with pytest.raises(ValueError, match=r"terms \['pixel'\], weights \['pixle'\]"):
        play(with_turns(recipe, turn))


def test_a_turn_is_repeated_as_often_as_it_says_and_told_which_time_it_is():
    calls = []

    def counted(outputs, batch, progress):
        calls.append(progress.repetition)
        return {"pixel": (network(batch["blurred"]) - batch["all_in_focus"]).abs().mean()}

    recipe = toy.build(toy.Config())
    network = recipe.modules["network"]
    play(with_turns(recipe, Turn(("network",), {"pixel": 1.0}, counted, repeat=3)))
    assert calls == [0, 1, 2]


def test_all_turns_report_their_terms():
    terms = play(toy.build(toy.Config(critic=True)))
    assert terms.keys() == {"wasserstein", "pixel", "adversarial"}


def test_gradients_reach_the_modules_of_the_turn_only():
    torch.manual_seed(0)
    recipe = toy.build(toy.Config(critic=True))
    before = {n: p.clone() for n, p in recipe.modules["critic"].named_parameters()}
    generator = recipe.stages[-1].turns[-1]
    stage = replace(recipe.stages[-1], turns=(generator,))
    play(replace(recipe, stages=(stage,)))
    for name, parameter in recipe.modules["critic"].named_parameters():
        assert parameter.grad is None
        assert torch.equal(parameter, before[name])


def test_a_recipe_that_names_a_missing_module_is_refused():
    recipe = toy.build(toy.Config())
    with pytest.raises(ValueError, match=r"no modules \['generator'\]"):
        replace(recipe, inference="generator")


def test_a_term_in_two_turns_is_refused():
    recipe = toy.build(toy.Config())
    turn = recipe.stages[0].turns[0]
    with pytest.raises(ValueError, match="two turns"):
        with_turns(recipe, turn, turn)


def test_batches_come_in_order_however_many_threads_make_them():
    with prefetched(lambda step: step * step, range(3, 40), depth=5, threads=3) as items:
        assert list(items) == [step * step for step in range(3, 40)]


def test_a_batch_that_cannot_be_made_raises_at_its_turn():
    def make(step: int) -> int:
        if step == 2:
            raise OSError("crop 2 is damaged")
        return step

    with prefetched(make, range(9), depth=4, threads=2) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(OSError, match="crop 2"):
            next(items)


def test_batches_are_not_made_further_ahead_than_asked():
    made = []
    with prefetched(made.append, range(1000), depth=3, threads=1) as items:
        next(items)
    assert len(made) <= 4
