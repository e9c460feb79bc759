"""One step of a recipe: one forward pass, then its turns in order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch.nn.utils import clip_grad_norm_

from defocusfix.training.distributed import average, average_gradients
from defocusfix.training.optimiser import ModuleOptimiser
from defocusfix.training.recipe import Progress, Recipe, Stage, Tensors, Turn


class NotFiniteError(Exception):
    """A loss or gradient of a step is infinite or not a number; no optimiser has moved on it."""


def train_step(
    recipe: Recipe,
    stage: Stage,
    batch: Tensors,
    progress: Progress,
    optimisers: Mapping[str, ModuleOptimiser],
    autocast: torch.autocast,
) -> dict[str, float]:
    """Play the turns of one step and return every loss term, unweighted.

    The terms of a repeated turn are those of its last move. Several processes see the same terms,
    those of the joint batch. Raises NotFiniteError before an optimiser would move on a bad
    gradient, ValueError if terms and weights have different names.
    """
    rate = stage.learning_rate(progress)
    with autocast:
        outputs = stage.forward(batch, progress)
    report: dict[str, float] = {}
    for turn in stage.turns:
        for repetition in range(turn.repeat):
            with autocast:
                terms = turn.terms(outputs, batch, replace(progress, repetition=repetition))
            report |= _descend(recipe, stage, turn, terms)
            for name in turn.trains:
                optimisers[name].take_step(rate)
    return report


def _descend(recipe: Recipe, stage: Stage, turn: Turn, terms: Tensors) -> dict[str, float]:
    """Leave the turn's clipped gradients on its modules' parameters; return the terms."""
    if terms.keys() != turn.weights.keys():
        raise ValueError(f"{stage.name}: terms {sorted(terms)}, weights {sorted(turn.weights)}")
    parameters = [
        parameter
        for name in turn.trains
        for parameter in recipe.modules[name].parameters()
        if parameter.requires_grad
    ]
    values = torch.stack([terms[name].float() for name in turn.weights])
    weights = torch.tensor(list(turn.weights.values()), device=values.device)
    (values * weights).sum().backward(inputs=parameters)  # gradients for this turn's modules only
    average_gradients(parameters)
    norm = clip_grad_norm_(parameters, stage.clip)
    found = torch.cat([average(values.detach()), norm.detach().float().reshape(1)])
    *means, length = found.tolist()  # waits for the GPU, once per move
    report = dict(zip(turn.weights, means, strict=True))
    if not all(map(math.isfinite, [*means, length])):
        text = ", ".join(f"{name} = {value:.4g}" for name, value in report.items())
        raise NotFiniteError(f"{text}, gradient norm = {length:.4g}")
    return report
