from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from defocusfix.networks.critic import PatchCritic


def test_it_has_the_papers_parameters():
    widths = (3, 64, 128, 256, 512, 1)
    expected = sum(16 * a * b + b for a, b in pairwise(widths))
    assert expected == 2_764_737
    assert sum(p.numel() for p in PatchCritic().parameters()) == expected


@pytest.mark.parametrize("side", [16, 64, 128])
def test_it_scores_patches_eight_pixels_apart(side):
    scores = PatchCritic(4)(torch.rand(2, 3, side, side + 8))
    assert scores.shape == (2, 1, side // 8 + 3, side // 8 + 4)


def test_photos_of_a_batch_do_not_see_each_other():
    torch.manual_seed(0)
    critic, photos = PatchCritic(4), torch.rand(3, 3, 32, 32)
    together = critic(photos)
    torch.testing.assert_close(together[1:2], critic(photos[1:2]))


def test_scores_are_not_bounded():
    torch.manual_seed(0)
    critic = PatchCritic(4)
    with torch.no_grad():
        critic.tail.weight.mul_(100)
        assert critic(torch.rand(1, 3, 64, 64)).abs().max() > 1
