"""FocusNet: shapes, the gate, the map's independence, and one rule for both pyramid drivers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from defocusfix.network_spec import RADIUS_UNKNOWN, NetworkSpec
from defocusfix.networks.build import BUILDERS, build_network
from defocusfix.networks.focusnet import GATE_CLOSED_PX, GATE_OPEN_PX, FocusNet, Shape, gate
from defocusfix.networks.pyramid import image_pyramid, nothing_known, restore_levels
from defocusfix.restoration import Restorer, RestoreSettings


def tiny() -> FocusNet:
    torch.manual_seed(0)
    return FocusNet(
        Shape((8, 8, 8, 8), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), middle=1),
        Shape((8, 8, 8), encoder_blocks=(1, 1), decoder_blocks=(1, 1), middle=1),
        levels=3,
    ).eval()


def picture(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_outputs_have_the_size_of_the_image_and_the_radius_is_never_negative():
    image = picture(32, 48)
    restored, radius = tiny()(image, nothing_known(image))
    assert restored.shape == (1, 3, 32, 48)
    assert radius.shape == (1, 1, 32, 48)
    assert (radius >= 0).all()


@pytest.mark.slow
def test_a_result_of_the_bundled_network_depends_on_337_px_around_it_at_most():
    network = build_network("focusnet-s2").double()
    assert isinstance(network, FocusNet)
    with torch.no_grad():  # positive, so that nothing on the way is cut off or cancels out
        for weight in network.parameters():
            weight.fill_(1 / weight[0].numel())
    image = torch.full((1, 3, 768, 768), 0.6, dtype=torch.float64, requires_grad=True)
    coarse = nothing_known(image.detach())
    restored = network.restore(image, coarse[:, :3], network.map(image, coarse[:, 3:]))
    # Of the 16 places of a pixel in the grid of the smallest size, the sixth sees farthest.
    place = 384 + 5
    (slope,) = torch.autograd.grad(restored[0, :, place, place].sum(), image)
    touched = slope[0, 0, :, place].nonzero()
    assert place - int(touched.min()) == 337
    assert int(touched.max()) - place < 337


def test_what_is_in_focus_comes_out_exactly_as_it_went_in():
    image = picture(32, 32)
    coarse_restored = torch.rand(1, 3, 16, 16)  # even if the coarser level went astray
    restored = tiny().restore(image, coarse_restored, torch.full((1, 1, 16, 16), GATE_CLOSED_PX))
    assert torch.equal(restored, image)


def test_the_gate_is_shut_below_and_open_above_its_ramp_and_rises_in_between():
    radii = torch.linspace(0, 2, 201)
    opening = gate(radii)
    assert (opening[radii <= GATE_CLOSED_PX] == 0).all()
    assert (opening[radii >= GATE_OPEN_PX + 1e-6] == 1).all()
    assert (opening.diff() >= 0).all()


def test_the_restoration_loss_cannot_reach_the_map():
    network, image = tiny(), picture(32, 32)
    restored, _ = network(image, nothing_known(image))
    restored.square().mean().backward()
    assert all(p.grad is None for p in network.map.parameters())


def test_the_coarser_levels_radius_counts_twice_in_pixels_of_the_finer_one():
    network, image = tiny(), picture(32, 32)
    with torch.no_grad():
        for parameter in network.map.parameters():
            parameter.zero_()
    radius = network.map(image, torch.full((1, 1, 16, 16), 6.0))
    # softplus(x) = x + log(1 + exp(-x)): at 6 coarse pixels the excess over 12 is 0.005
    torch.testing.assert_close(radius, torch.full_like(radius, 12.0), atol=0.01, rtol=0)


@pytest.mark.parametrize(("name", "count"), [("focusnet-s", 7_354_448), ("focusnet-s2", 2_781_616)])
def test_the_bundled_sizes_have_their_documented_parameters(name, count):
    assert sum(p.numel() for p in build_network(name).parameters()) == count


def test_an_unknown_network_is_refused_with_the_known_names():
    with pytest.raises(KeyError, match="focusnet-s"):
        build_network("focusnet-xxl")
    assert "focusnet-s" in BUILDERS


def test_the_pyramid_averages_and_starts_from_nothing_known():
    image = picture(64, 64)
    levels = image_pyramid(image, 3)
    assert [tuple(level.shape[-2:]) for level in levels] == [(64, 64), (32, 32), (16, 16)]
    torch.testing.assert_close(levels[1][0, :, 0, 0], image[0, :, :2, :2].mean(dim=(1, 2)))
    known = nothing_known(levels[2])
    assert known.shape == (1, 4, 8, 8)
    assert (known[:, 3] == RADIUS_UNKNOWN).all()


class TorchEngine:
    """A network behind the engines' protocol, so that both drivers can be compared."""

    name = device = "test"
    precision = "fp32"
    spec = NetworkSpec(name="tiny", architecture="focusnet", size_multiple=16, halo=64, levels=3)

    def __init__(self, network: FocusNet) -> None:
        self._network = network

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        image, coarse = (torch.from_numpy(inputs[name]) for name in ("image", "coarse"))
        with torch.no_grad():
            restored, radius = self._network(image, coarse)
        return {"restored": restored.numpy(), "radius_px": radius.numpy()}


def test_training_and_restoring_run_the_levels_by_one_rule():
    network, image = tiny(), picture(128, 192)
    with torch.no_grad():
        restored, radius = restore_levels(network, image, 3)[0]
    settings = RestoreSettings(scale=1, tile=0)
    found = Restorer(TorchEngine(network), settings)(image[0].permute(1, 2, 0).numpy())
    expected = restored[0].clamp(0, 1).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found.image, expected, atol=5e-4)
    np.testing.assert_allclose(found.radius_px, radius[0, 0].numpy(), atol=1e-4, rtol=1e-3)
