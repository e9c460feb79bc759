from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from defocusfix.training.optimiser import UPDATE_RMS, ModuleOptimiser, orthogonalised
from defocusfix.training.recipe import OptimiserConfig


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3))


def backward(module: nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    module(torch.rand(2, 3, 9, 9)).square().mean().backward()


def test_adamw_is_torchs_own():
    ours, theirs = network(), network()
    optimiser = ModuleOptimiser(ours, OptimiserConfig(weight_decay=0.1, learning_rate=2.0))
    reference = torch.optim.AdamW(theirs.parameters(), lr=2e-3, weight_decay=0.1)
    for step in range(3):
        backward(ours, step)
        optimiser.take_step(1e-3)
        backward(theirs, step)
        reference.step()
        reference.zero_grad()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@given(rows=st.integers(2, 40), columns=st.integers(2, 40), seed=st.integers(0, 99))
def test_orthogonalised_matrices_keep_their_directions_and_lose_their_lengths(rows, columns, seed):
    matrix = np.random.default_rng(seed).normal(size=(2, rows, columns)).astype(np.float32)
    found = orthogonalised(torch.from_numpy(matrix)).numpy()
    for before, after in zip(matrix, found, strict=True):
        left, singular, right = np.linalg.svd(before, full_matrices=False)
        is_clear = singular > 0.02 * singular.max()  # below, bfloat16 cannot see them
        turned = (left.T @ after @ right.T).diagonal()[is_clear]
        assert turned.min() > 0.4
        assert turned.max() < 1.4


def test_muon_moves_every_weight_by_about_adamws_usual_step():
    module = network()
    before = module[1].weight.detach().clone()
    optimiser = ModuleOptimiser(module, OptimiserConfig(name="muon"))
    backward(module, 0)
    optimiser.take_step(1e-2)
    moved = (module[1].weight.detach() - before).square().mean().sqrt()
    assert moved == pytest.approx(1e-2 * UPDATE_RMS, rel=0.25)


def test_muon_leaves_vectors_and_named_layers_to_adamw():
    muon, adamw = network(), network()
    optimisers = [
        ModuleOptimiser(muon, OptimiserConfig(name="muon", adamw_only=("0.",))),
        ModuleOptimiser(adamw, OptimiserConfig()),
    ]
    for module, optimiser in zip((muon, adamw), optimisers, strict=True):
        backward(module, 0)
        optimiser.take_step(1e-2)
    is_same = {
        name: torch.equal(one, other)
        for (name, one), other in zip(muon.named_parameters(), adamw.parameters(), strict=True)
    }
    assert {name for name, same in is_same.items() if not same} == {"1.weight", "2.weight"}


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_restored_optimiser_goes_on_as_if_nothing_had_happened(name):
    config = OptimiserConfig(name=name, weight_decay=0.1)
    module = network().to(memory_format=torch.channels_last)
    optimiser = ModuleOptimiser(module, config)
    backward(module, 0)
    optimiser.take_step(1e-2)
    other = copy.deepcopy(module)
    restored = ModuleOptimiser(other, config)
    restored.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for each, moves in ((module, optimiser), (other, restored)):
        backward(each, 1)
        moves.take_step(1e-2)
    for one, twin in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, twin)


def test_the_state_of_another_kind_of_optimiser_is_refused():
    saved = ModuleOptimiser(network(), OptimiserConfig()).state_dict()
    with pytest.raises(ValueError, match="1 optimisers were saved, 2"):
        ModuleOptimiser(network(), OptimiserConfig(name="muon")).load_state_dict(saved)
