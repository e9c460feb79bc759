"""Deblurring networks with a belief: identity-preserving starts, fading in, levels, export."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from defocusfix.network_spec import USUAL_OVERLAP
from defocusfix.networks.build import build_network
from defocusfix.networks.deblurrer import (
    Deblurrer,
    RadiusDeblurrer,
    SeededDeblurrer,
    SeededFocusNet,
    as_deblurrer,
    seeded_restormer,
    seeded_unet,
)
from defocusfix.networks.defocus_estimator import FUSED_CHANNELS, DefocusEstimator, Fusion
from defocusfix.networks.described import described
from defocusfix.networks.focusnet import FocusNet, Shape
from defocusfix.networks.pyramid import nothing_known, restore_levels
from defocusfix.networks.reblur import ReblurConfig, ReblurModule
from defocusfix.networks.restormer import Restormer
from defocusfix.networks.unet import UNet
from defocusfix.training.export import PARITY_LIMIT, export_onnx

WIDTHS = (4, 4, 8, 8, 8)


def picture(height: int, width: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def unet() -> UNet:
    torch.manual_seed(0)
    return UNet(widths=WIDTHS).eval()


def restormer() -> Restormer:
    torch.manual_seed(0)
    return Restormer(width=8, blocks=(1, 1, 1, 1), refinement=1, heads=(1, 2, 2, 4)).eval()


def focusnet() -> FocusNet:
    torch.manual_seed(0)
    return FocusNet(
        Shape((8, 8, 8, 8), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), middle=1),
        Shape((8, 8, 8), encoder_blocks=(1, 1), decoder_blocks=(1, 1), middle=1),
        levels=3,
    ).eval()


def seeded(kind: str, *, keeps_image: bool = True) -> SeededDeblurrer | SeededFocusNet:
    torch.manual_seed(1)
    estimator = DefocusEstimator(width=8)
    if kind == "unet":
        fusion = Fusion(mixes=False, keeps_image=keeps_image)
        backbone = UNet(inputs=FUSED_CHANNELS, widths=WIDTHS)
        return SeededDeblurrer(backbone, estimator, fusion, is_residual=False).eval()
    fusion = Fusion(keeps_image=keeps_image)
    if kind == "restormer":
        return SeededDeblurrer(restormer(), estimator, fusion, is_residual=True).eval()
    return SeededFocusNet(focusnet(), estimator, fusion).eval()


SEEDED = ["unet", "restormer", "focusnet"]


def deblurrers() -> dict[str, Deblurrer]:
    return {kind: as_deblurrer(seeded(kind)) for kind in SEEDED} | {
        "radius": as_deblurrer(focusnet())
    }


@pytest.mark.parametrize(
    ("build", "backbone", "fusion"),
    [(seeded_unet, 31_053_571, 152), (seeded_restormer, 26_126_644, 269)],
)
def test_the_papers_deblurrers_have_their_documented_parameters(build, backbone, fusion):
    network = build()
    parts = (network.backbone, network.estimator, network.fusion, network)
    counts = [sum(p.numel() for p in part.parameters()) for part in parts]
    assert counts == [backbone, 66_499, fusion, backbone + 66_499 + fusion]


@pytest.mark.parametrize("kind", [*SEEDED, "radius"])
def test_every_deblurrer_restores_and_says_what_it_believes(kind: str):
    deblurrer = deblurrers()[kind]
    side = deblurrer.size_multiple * 2 ** (deblurrer.levels - 1)
    restored, belief, coarser = deblurrer.deblur(picture(side, 2 * side))
    assert len(coarser) == deblurrer.levels - 1
    assert [view.shape[2:] for view in coarser] == [
        (side >> n, 2 * side >> n) for n in range(1, deblurrer.levels)
    ]
    assert restored.shape == (1, 3, side, 2 * side)
    channels = {"seeds": 35, "radius": 1}[deblurrer.believes_in]
    assert belief.shape == (1, channels, side, 2 * side)


@pytest.mark.parametrize(("kind", "trained"), [("unet", unet), ("restormer", restormer)])
def test_a_pretrained_backbone_restores_as_before_whatever_the_seeds(kind: str, trained):
    backbone, network, image = trained(), seeded(kind), picture(32, 48)
    assert isinstance(network, SeededDeblurrer)
    network.load_backbone(backbone.state_dict())
    with torch.no_grad():
        for factor in (0.07, 1.0):
            found = network.deblur(image, factor).restored
            torch.testing.assert_close(found, backbone(image), atol=1e-5, rtol=0)


def test_a_pretrained_focusnet_restores_as_before_whatever_the_seeds():
    network, image = seeded("focusnet"), picture(64, 64)
    network.load_backbone(focusnet().state_dict())
    with torch.no_grad():
        expected = restore_levels(focusnet(), image, 3)[0]
        restored, radius = restore_levels(network, image, 3)[0]
    torch.testing.assert_close(restored, expected[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(radius, expected[1], atol=1e-5, rtol=0)


def test_weights_of_another_backbone_are_refused():
    with pytest.raises(RuntimeError, match="Missing key"):
        seeded("unet").load_backbone(restormer().state_dict())


@pytest.mark.parametrize("kind", SEEDED)
def test_the_factor_fades_the_seeds_in_and_leaves_the_belief_alone(kind: str):
    network, image = seeded(kind, keeps_image=False), picture(64, 64)
    with torch.no_grad():
        found = {factor: network.deblur(image, factor) for factor in (0.0, 0.5, 1.0)}
        without = seeded(kind, keeps_image=False)
        for parameter in without.estimator.parameters():
            parameter.zero_()
        blind = without.deblur(image).restored
    assert torch.equal(found[0.5].belief, found[1.0].belief)
    torch.testing.assert_close(found[0.0].restored, blind, atol=1e-5, rtol=0)
    assert (found[1.0].restored - found[0.5].restored).abs().max() > 1e-4


@pytest.mark.parametrize("kind", SEEDED)
def test_the_restoring_loss_alone_teaches_the_estimator(kind: str):
    network = seeded(kind, keeps_image=False)
    network.deblur(picture(64, 64)).restored.square().mean().backward()
    gradient = network.estimator.head.weight.grad
    assert gradient is not None
    assert gradient.abs().max() > 0


def test_a_residual_network_adds_its_correction_to_the_photo_not_to_the_fused_image():
    network, image = seeded("restormer", keeps_image=False), picture(16, 16)
    torch.nn.init.zeros_(network.backbone.output.weight)
    assert torch.equal(network.deblur(image).restored, image)


def test_a_seeded_focusnet_leaves_alone_what_its_map_calls_sharp():
    network, image = seeded("focusnet", keeps_image=False), picture(64, 64)
    with torch.no_grad():
        network.network.map.tail.bias.fill_(-50.0)
        restored, belief, _ = network.deblur(image)
    assert torch.equal(restored, image)
    assert belief.shape == (1, 35, 64, 64)


@pytest.mark.parametrize("kind", SEEDED)
def test_deblurring_and_inference_agree(kind: str):
    network, image = seeded(kind, keeps_image=False), picture(64, 64)
    with torch.no_grad():
        if isinstance(network, SeededFocusNet):
            restored, radius = restore_levels(network, image, network.levels)[0]
        else:
            restored, radius = network(image)
        expected = network.deblur(image).restored
    torch.testing.assert_close(restored, expected, atol=1e-6, rtol=0)
    assert radius.shape == (1, 1, 64, 64)
    assert (radius >= 0).all()


def test_focusnet_believes_in_the_radius_of_its_map_and_learns_it_from_the_kernels():
    network, image = focusnet(), picture(64, 64)
    deblurrer = as_deblurrer(network)
    assert isinstance(deblurrer, RadiusDeblurrer)
    restored, belief, coarser = deblurrer.deblur(image)
    expected = restore_levels(network, image, 3)
    assert torch.equal(restored, expected[0][0])
    assert torch.equal(belief, expected[0][1])
    assert all(map(torch.equal, coarser, [expected[1][0], expected[2][0]]))
    reblur = ReblurModule(ReblurConfig(width=8))
    truth = reblur.radius_px(reblur(restored, image)).detach()
    (belief - truth).abs().mean().backward()
    assert all(p.grad is not None for p in network.map.parameters())


def test_any_other_network_restores_and_believes_in_nothing():
    network, image = unet().eval(), picture(16, 32)
    deblurrer = as_deblurrer(network)
    assert deblurrer.believes_in == "nothing"
    assert deblurrer.deblur(image).belief is None
    assert torch.equal(deblurrer.deblur(image).restored, network(image))


class CoarseToFine(nn.Module):
    """Black is -1 and white 1; the photo is darkened, at a quarter, a half and in full."""

    size_multiple, halo = 4, 0
    value_range = (-1.0, 1.0)

    def estimates(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [0.5 * (F.avg_pool2d(image, n) + 1) - 1 for n in (4, 2, 1)]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.estimates(image)[-1].clamp(-1, 1)


def test_a_network_gets_its_own_range_of_values_and_may_estimate_coarse_to_fine():
    image = picture(16, 32)
    restored, _, coarser = as_deblurrer(CoarseToFine()).deblur(image)
    torch.testing.assert_close(restored, image / 2)
    for found, factor in zip(coarser, (2, 4), strict=True):
        torch.testing.assert_close(found, F.avg_pool2d(image, factor) / 2)


def test_a_network_describes_what_it_needs():
    spec = described(CoarseToFine(), "coarse", licence="MIT")
    assert (spec.value_range, spec.size_multiple, spec.levels) == ((-1.0, 1.0), 4, 1)
    assert (spec.outputs, spec.licence, spec.overlap) == (("restored",), "MIT", USUAL_OVERLAP)
    assert described(focusnet(), "f").inputs == ("image", "coarse")
    tiled = described(seeded("restormer"), "r")
    assert (tiled.tile, tiled.overlap) == (Restormer.tile, Restormer.overlap)


def test_deblurrers_are_built_by_name():
    network = build_network("seeded-unet-small")
    assert isinstance(network, SeededDeblurrer)
    assert as_deblurrer(network) is network


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unet", "restormer"])
def test_a_seeded_network_exports_and_agrees_with_torch(kind: str, tmp_path: Path):
    network = seeded(kind, keeps_image=False)
    exported = export_onnx(network, described(network, kind), tmp_path / "network.onnx")
    assert all(parity.engine <= PARITY_LIMIT for parity in exported.parities)


def test_a_seeded_focusnet_takes_what_a_coarser_level_said():
    network, image = seeded("focusnet", keeps_image=False), picture(32, 32)
    with torch.no_grad():
        unaware = network(image, nothing_known(image))[0]
        coarse = nothing_known(image)
        coarse[:, :3] += 0.1
        aware = network(image, coarse)[0]
    assert not torch.equal(unaware, aware)
