from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.networks.defocusgan import DefocusGenerator, branch_masks, own_names
from tests.networks.published_defocusgan import (
    published_forward,
    published_shapes,
    random_weights,
)

SMALL = {"width": 8, "blocks": (0, 1, 2, 3)}


@pytest.fixture(scope="module")
def small() -> DefocusGenerator:
    network = DefocusGenerator(**SMALL).eval()
    network.load_state_dict(own_names(random_weights(published_shapes(**SMALL))))
    return network


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def radius() -> torch.Tensor:
    return 9 * torch.rand(2, 1, 48, 64, generator=torch.Generator().manual_seed(2))


def test_it_has_the_papers_parameters_but_for_those_that_nothing_uses():
    def convolution(inputs: int, outputs: int, side: int) -> int:
        return inputs * outputs * side**2 + outputs

    attention = convolution(64, 4, 1) + convolution(4, 64, 1)
    block = 2 * convolution(64, 64, 3) + attention
    layer = convolution(64, 64, 1) + (1 + 2 + 3) * block + 3 * convolution(64, 64, 3)
    without_bias = 64 * 64 * 9
    joining = 3 * 2 * without_bias + 3 * without_bias + 2 * convolution(64, 64, 2)
    ends = convolution(3, 64, 3) + convolution(64, 3, 3)
    expected = 8 * layer + joining + ends
    assert expected == 4_860_675
    network = DefocusGenerator()
    assert sum(p.numel() for p in network.parameters()) == expected
    published = sum(torch.Size(shape).numel() for shape in published_shapes().values())
    assert published == expected + 2 * convolution(64, 64, 3) == 4_934_531


def test_published_weights_fit_by_name_and_shape_to_the_last_tensor():
    own = {name: tuple(t.shape) for name, t in DefocusGenerator().state_dict().items()}
    assert own_names(published_shapes()) == own
    assert own_names({"weight": 1}) == {"weight": 1}
    assert own_names(own) == own


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_it_computes_what_its_description_says(small, image, radius, share):
    weights = random_weights(published_shapes(**SMALL))
    expected = published_forward(weights, image, radius, share)
    with torch.no_grad():
        found = small(image, radius, share)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@given(radius=st.lists(st.floats(0, 60, width=32), min_size=1, max_size=40))
def test_every_pixel_belongs_to_one_branch(radius):
    masks = branch_masks(torch.tensor(radius).view(1, 1, 1, -1))
    assert masks.shape == (1, 4, 1, len(radius))
    assert torch.equal(masks.sum(dim=1), torch.ones(1, 1, len(radius)))
    assert set(masks.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("radius", "branch"), [(0, 0), (1.89, 0), (1.9, 1), (4.2, 2), (6.19, 2), (6.2, 3), (24, 3)]
)
def test_a_border_belongs_to_the_branch_above_it(radius, branch):
    assert branch_masks(torch.full((1, 1, 1, 1), float(radius))).flatten().argmax() == branch


def test_without_masks_the_map_changes_nothing(small, image, radius):
    with torch.no_grad():
        alone = small(image)
        assert torch.equal(small(image, radius, 0.0), alone)
        assert torch.equal(small(image, None, 1.0), alone)
        assert not torch.equal(small(image, radius, 0.01), alone)


def test_masked_in_full_a_place_is_the_work_of_the_branch_that_suits_it(image):
    network = DefocusGenerator(**SMALL).eval()
    with torch.no_grad():
        before = network(image, torch.full_like(image[:, :1], 5.0), 1.0)
        for branch in (0, 1, 3):
            for parameter in network.branches[branch].parameters():
                parameter.mul_(0.5)
        assert torch.equal(network(image, torch.full_like(image[:, :1], 5.0), 1.0), before)
        assert not torch.equal(network(image), before)


def test_any_multiple_of_16_is_restored_between_black_and_white(small):
    for height, width in ((16, 16), (16, 48), (80, 32)):
        with torch.no_grad():
            restored = small(torch.rand(1, 3, height, width))
        assert restored.shape == (1, 3, height, width)
        assert restored.min() > 0
        assert restored.max() < 1
