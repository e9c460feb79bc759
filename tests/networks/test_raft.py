from __future__ import annotations

import hashlib

import pytest
import torch

from defocusfix.networks.raft import RaftSmall

# Of "name shape" lines, sorted, from torchvision 0.28's raft_small.
PUBLISHED_STATE = "b52844207e5a43c48b531e21242a63b775b5e556d38eb5545e847e2acf44dd88"


@pytest.fixture(scope="module")
def network() -> RaftSmall:
    torch.manual_seed(0)
    return RaftSmall().eval()


def test_it_has_the_parameters_of_the_published_network(network):
    assert sum(p.numel() for p in network.parameters()) == 990_162


def test_published_weights_fit_name_by_name_and_shape_by_shape(network):
    state = sorted(network.state_dict().items())
    lines = "\n".join(f"{name} {tuple(tensor.shape)}" for name, tensor in state)
    assert hashlib.sha256(lines.encode()).hexdigest() == PUBLISHED_STATE


@torch.no_grad()
def test_a_flow_has_the_size_of_the_photos(network):
    assert network(torch.zeros(2, 3, 128, 136), torch.zeros(2, 3, 128, 136)).shape == (
        2,
        2,
        128,
        136,
    )


def test_sizes_it_cannot_take_are_refused(network):
    for size in ((128, 132), (120, 128)):
        with pytest.raises(ValueError, match="multiples of 8 and at least 128"):
            network(torch.zeros(1, 3, *size), torch.zeros(1, 3, *size))
