"""Flow, warp and masks on tensors, against the NumPy and OpenCV ones and against arithmetic."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.errors import ModelError
from defocusfix.networks.raft import RaftSmall
from defocusfix.registration import warp as numpy_warp
from defocusfix.registration.flow import dis_flow
from defocusfix.training.deformation import (
    BothWays,
    CpuFlow,
    RaftFlow,
    SmoothFlow,
    _wheel_gray,
    both_ways,
    calibration_mask,
    consistency_mask,
    no_flow,
    warp,
)
from tests.evaluation.scenes import texture


def pictures(height: int = 64, width: int = 64, seed: int = 0) -> torch.Tensor:
    stack = np.stack([texture(height, width, seed=seed + n) for n in range(2)])
    return torch.from_numpy(stack).permute(0, 3, 1, 2)


def constant(x: float, y: float, size: tuple[int, int] = (64, 64)) -> torch.Tensor:
    return torch.tensor([x, y]).view(1, 2, 1, 1).expand(2, 2, *size).clone()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_zero_flow_returns_the_image_to_the_last_bit(interpolation):
    image = pictures(64, 128)
    assert torch.equal(warp(image, constant(0, 0, (64, 128)), interpolation), image)


@given(height=st.integers(2, 70), width=st.integers(2, 70))
def test_a_zero_flow_returns_an_image_of_any_size(height, width):
    image = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(height))
    torch.testing.assert_close(
        warp(image, constant(0, 0, (height, width))), image, rtol=0, atol=2e-5
    )


def test_a_whole_flow_equals_a_roll_in_the_interior():
    image = pictures()
    moved = warp(image, constant(3, -2))
    rolled = torch.roll(image, shifts=(2, -3), dims=(2, 3))
    torch.testing.assert_close(moved[..., 2:, :-3], rolled[..., 2:, :-3])


def test_the_tensor_warp_agrees_with_that_of_the_registration():
    rng = np.random.default_rng(0)
    flow = cv2.GaussianBlur(rng.normal(0, 20, (64, 64, 2)).astype(np.float32), (0, 0), 4)
    image = texture(64, 64)
    expected = numpy_warp.warp(image, flow)
    batch = torch.from_numpy(image).permute(2, 0, 1)[None]
    found = warp(batch, torch.from_numpy(flow).permute(2, 0, 1)[None], "bicubic")
    inner = slice(12, -12)
    difference = found[0].permute(1, 2, 0).numpy() - expected
    # OpenCV rounds positions to a 32nd of a pixel.
    assert np.abs(difference)[inner, inner].max() < 0.02
    assert np.abs(difference)[inner, inner].mean() < 1e-3


def test_the_reference_grid_stretches_the_image_by_half_a_pixel_at_its_borders():
    columns = torch.arange(64.0).view(1, 1, 1, 64).expand(1, 1, 64, 64)
    seen = warp(columns, torch.zeros(1, 2, 64, 64), grid="reference")[0, 0, 32]
    # Units run from -1 to 1 over 63 steps and are read as 64 pixels: x * 64 / 63 - 0.5, bordered.
    expected = (torch.arange(64.0) * 64 / 63 - 0.5).clamp(0, 63)
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-4)


def test_a_gradient_reaches_the_image_through_a_warp():
    image = pictures().requires_grad_()
    warp(image, constant(1.5, 0.5)).sum().backward()
    assert image.grad.abs().sum() > 0


def test_flows_and_images_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        warp(pictures(), torch.zeros(2, 2, 8, 8))


def painted_by_the_book(flow: np.ndarray) -> np.ndarray:
    """Gray values of Middlebury's flow picture, pixel by pixel; (H, W, 2) -> (H, W) uint8."""
    wheel = []
    for count, start, stop in (
        (15, (255, 0, 0), (255, 255, 0)),
        (6, (255, 255, 0), (0, 255, 0)),
        (4, (0, 255, 0), (0, 255, 255)),
        (11, (0, 255, 255), (0, 0, 255)),
        (13, (0, 0, 255), (255, 0, 255)),
        (6, (255, 0, 255), (255, 0, 0)),
    ):
        for n in range(count):
            step = int(np.floor(255 * n / count))
            wheel.append([a + int(np.sign(b - a)) * step for a, b in zip(start, stop, strict=True)])
    scaled = flow / (np.hypot(*np.moveaxis(flow, -1, 0)).max() + 1e-5)
    picture = np.zeros((*flow.shape[:2], 3), np.uint8)
    for y, x in np.ndindex(flow.shape[:2]):
        u, v = (float(value) for value in scaled[y, x])
        hue = (np.arctan2(-v, -u) / np.pi + 1) / 2 * (len(wheel) - 1)
        low = int(hue)
        for channel in range(3):
            here = wheel[low][channel] / 255
            after = wheel[(low + 1) % len(wheel)][channel] / 255
            colour = (1 - (hue - low)) * here + (hue - low) * after
            picture[y, x, channel] = int(255 * (1 - np.hypot(u, v) * (1 - colour)))
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def test_flows_are_painted_as_middlebury_does():
    flow = np.random.default_rng(0).normal(0, 3, (24, 24, 2)).astype(np.float32)
    found = _wheel_gray(torch.from_numpy(flow).permute(2, 0, 1)[None])[0, 0].numpy()
    assert np.abs(found - painted_by_the_book(flow).astype(float)).max() <= 1


def test_the_calibration_mask_keeps_the_mean_motion_and_drops_what_strays_far():
    flow = constant(4.0, 1.0)
    flow[0, :, :8, :8] = torch.tensor([-0.1, 0.2]).view(2, 1, 1)  # nearly white on the wheel
    mask = calibration_mask(flow)
    assert mask.shape == (2, 1, 64, 64)
    assert mask[0, 0, :8, :8].max() == 0
    assert mask[0, 0, 8:, 8:].min() == 1
    assert mask[1].min() == 1


def test_the_calibration_mask_trusts_a_flow_that_is_only_noise():
    assert calibration_mask(0.01 * torch.randn(2, 2, 16, 16)).min() == 1


def test_the_consistency_mask_is_that_of_a_flow_there_and_back():
    forward, backward = constant(3, 0), constant(-3, 0)
    mask = consistency_mask(forward, backward)
    assert mask[..., :, :-3].min() == 1
    assert mask[..., :, -3:].max() == 0  # points out of the image
    assert consistency_mask(forward, backward + 1.5).max() == 0


def test_dense_inverse_search_finds_the_shift_of_every_sample_of_a_batch():
    wide = pictures(96, 96)
    fixed = wide[..., 16:80, 16:80]
    moving = torch.stack([wide[0, :, 14:78, 19:83], wide[1, :, 17:81, 16:80]])
    flow = CpuFlow(dis_flow)(moving, fixed)[..., 12:-12, 12:-12]
    medians = flow.flatten(2).median(dim=2).values
    torch.testing.assert_close(medians, torch.tensor([[-3.0, 2.0], [0.0, -1.0]]), rtol=0, atol=0.2)


@pytest.mark.parametrize("mask", ["calibration", "consistency", "none"])
def test_both_ways_lay_each_on_the_other(mask):
    wide = pictures(96, 96)
    restored, target = wide[..., 16:80, 16:80], wide[..., 16:80, 18:82]
    ways = both_ways(CpuFlow(dis_flow), restored.requires_grad_(), target, mask)
    assert isinstance(ways, BothWays)
    assert not any(getattr(ways, name).requires_grad for name in BothWays.__slots__)
    inner = (..., slice(8, -8), slice(8, -8))
    for moving, fixed, flow, trusted in (
        (target, restored, ways.to_restored, ways.restored_mask),
        (restored, target, ways.to_target, ways.target_mask),
    ):
        before, after = (
            (trusted * (view - fixed))[inner].abs().mean() for view in (moving, warp(moving, flow))
        )
        assert after < 0.25 * before


def test_no_flow_moves_nothing():
    assert torch.equal(no_flow(pictures(), pictures()), torch.zeros(2, 2, 64, 64))


@pytest.fixture(scope="module")
def raft_weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("raft") / "raft.pth"
    torch.save(RaftSmall().state_dict(), path)
    return path


def test_raft_takes_any_size_and_keeps_it(raft_weights):
    flow = RaftFlow(raft_weights)
    found = flow(pictures(60, 140), pictures(60, 140, seed=5).requires_grad_())
    assert found.shape == (2, 2, 60, 140)
    assert found.dtype == torch.float32
    assert not found.requires_grad


def test_other_weights_than_rafts_are_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="RAFT-small"):
        RaftFlow(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="RAFT-small"):
        RaftFlow(path)


def test_a_smooth_flow_keeps_what_is_common_and_spreads_what_is_alone():
    found = constant(1.5, -0.5)
    assert_close = torch.testing.assert_close
    assert_close(SmoothFlow(lambda moving, fixed: found, 12.0)(*pictures().chunk(2)), found)
    spike = torch.zeros_like(found)
    spike[:, 0, 32, 32] = 1
    smooth = SmoothFlow(lambda moving, fixed: spike, 2.0)(*pictures().chunk(2))
    expected = cv2.GaussianBlur(spike[0, 0].numpy(), (13, 13), 2.0)
    assert_close(smooth[0, 0].numpy(), expected, rtol=0, atol=1e-6)
    assert_close(smooth[1], smooth[0])
    assert not smooth[:, 1].any()
