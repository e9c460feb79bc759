"""What graphs for other engines do instead of shuffling pixels is the same but for roundings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from defocusfix.networks.blocks import after_unshuffle, twice_as_large


@pytest.fixture
def both(monkeypatch):
    """A result as in training, and as it is exported."""

    def ways(compute):
        trained = compute()
        monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
        return trained, compute()

    return ways


@pytest.mark.parametrize("factor", [2, 4])
def test_a_convolution_after_unshuffling_is_one_in_larger_steps(both, factor):
    torch.manual_seed(0)
    convolution = nn.Conv2d(3 * factor**2 + 2, 5, 3, padding=1)
    image, others = torch.rand(2, 3, 16, 24), torch.rand(2, 2, 16 // factor, 24 // factor)
    trained, exported = both(lambda: after_unshuffle(image, others, convolution, factor))
    assert trained.shape == (2, 5, 16 // factor, 24 // factor)
    torch.testing.assert_close(exported, trained, atol=1e-5, rtol=1e-5)


def test_shuffling_to_twice_the_size_is_a_transposed_convolution(both):
    torch.manual_seed(0)
    convolution = nn.Conv2d(6, 4 * 3, 1)
    features = torch.rand(2, 6, 5, 7)
    trained, exported = both(lambda: twice_as_large(features, convolution))
    assert trained.shape == (2, 3, 10, 14)
    torch.testing.assert_close(exported, trained, atol=1e-5, rtol=1e-5)
