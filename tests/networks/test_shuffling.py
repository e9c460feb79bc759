"""What graphs for other engines do instead of shuffling pixels is the same but for roundings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from defocusfix.networks.blocks import (
    after_unshuffle,
    enlarged_unshuffled,
    halved,
    in_short_numbers,
    number_by_number,
    shuffled,
    twice_as_large,
)


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


@pytest.mark.parametrize("channels", [4, 12])
def test_shuffling_alone_is_a_transposed_convolution_too(both, channels):
    trained, exported = both(lambda: shuffled(torch.rand(2, channels, 5, 7, generator=seeded())))
    assert trained.shape == (2, channels // 4, 10, 14)
    torch.testing.assert_close(exported, trained, atol=0, rtol=0)


def test_halving_is_a_convolution(both):
    trained, exported = both(lambda: halved(torch.rand(2, 3, 6, 8, generator=seeded())))
    assert trained.shape == (2, 3, 3, 4)
    torch.testing.assert_close(exported, trained)


@pytest.mark.parametrize(("channels", "copies"), [(3, 1), (1, 3)])
def test_enlarging_is_a_convolution_up_to_the_very_edge(both, channels, copies):
    trained, exported = both(
        lambda: enlarged_unshuffled(torch.rand(2, channels, 5, 7, generator=seeded()), copies)
    )
    assert trained.shape == (2, 4 * channels * copies, 5, 7)
    torch.testing.assert_close(exported, trained)


def test_a_corner_of_what_is_enlarged_is_that_of_what_it_is_made_of(both):
    values = torch.rand(2, 3, 5, 7, generator=seeded())
    for enlarged in both(lambda: nn.functional.pixel_shuffle(enlarged_unshuffled(values), 2)):
        assert torch.equal(enlarged[..., 0, 0], values[..., 0, 0])


def test_numbers_by_themselves_are_the_same_in_one_line(both):
    image, change = torch.rand(2, 2, 3, 4, 5, generator=seeded())
    trained, exported = both(lambda: number_by_number(torch.add, image, change))
    assert torch.equal(exported, trained)
    assert torch.equal(trained, image + change)


def test_short_numbers_change_nothing_in_float32(both):
    features = torch.rand(2, 12, 5, 7, generator=seeded())
    for kept in both(lambda: in_short_numbers(features)):
        assert torch.equal(kept, features)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)
