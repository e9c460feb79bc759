"""Photos that do not line up, on tensors: flow, warp, and masks of where a flow can be trusted.

The grid convention is that of registration/warp.py: pixel centres lie at whole coordinates, and a
flow (B, 2, H, W), x first, holds displacements in pixels: result(x, y) = image(x + flow_x, y +
flow_y). No gradient passes through a flow or a mask; through a warp it reaches the image.

Source: Li et al., Learning Single Image Defocus Deblurring with Misaligned Training Pairs (AAAI
2023), and Ren et al., arXiv 2409.17792, both as in the authors' code.
"""

from __future__ import annotations

import math
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from defocusfix.errors import ModelError
from defocusfix.networks.raft import SMALLEST_SIDE, STRIDE, RaftSmall
from defocusfix.registration.flow import OpticalFlow

Grid = Literal["centred", "reference"]
Interpolation = Literal["bilinear", "bicubic"]
MaskKind = Literal["calibration", "consistency", "none"]

MASK_TOLERANCE = 0.35  # of the mean gray, either way; the authors' code
STILL_PX = 0.1  # a flow shorter than this everywhere is noise: its mask is 1
HUES = (15, 6, 4, 11, 13, 6)  # of the colour wheel: red to yellow, green, cyan, blue, magenta, red
SMOOTHING_REACH = 3.0  # standard deviations
RETURN_PX = 1.0  # forward and back again may miss by this much


class FlowMethod(Protocol):
    """Any method that finds, for a batch, where the pixels of one photo lie in another."""

    def __call__(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """The flow (B, 2, H, W) with warp(moving, flow) on `fixed`; both (B, 3, H, W) in [0, 1].

        float32, on the device of `fixed`, without a gradient.
        """


class CpuFlow:
    """A flow of the registration room, sample by sample on the processor."""

    def __init__(self, flow: OpticalFlow) -> None:
        self._flow = flow
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="flow")

    def __call__(self, moving: Tensor, fixed: Tensor) -> Tensor:
        pairs = zip(_pictures(moving), _pictures(fixed), strict=True)
        flows = [torch.from_numpy(f) for f in self._pool.map(lambda p: self._flow(*p), pairs)]
        return torch.stack(flows).permute(0, 3, 1, 2).to(fixed.device)


class RaftFlow:
    """RAFT-small with weights from a file, on the device of the photos."""

    def __init__(self, weights: Path) -> None:
        """weights: a state dict of torchvision's raft_small (.pth). Raises ModelError."""
        self._network = RaftSmall().eval().requires_grad_(False)
        try:
            self._network.load_state_dict(torch.load(weights, "cpu", weights_only=True))
        except (OSError, RuntimeError, ValueError, EOFError, TypeError, AttributeError,
                pickle.UnpicklingError) as error:  # fmt: skip
            raise ModelError(
                f"{weights} does not hold the weights of RAFT-small",
                why=str(error),
                fix="give torchvision's raft_small_C_T_V2-01064c6d.pth, or use recipe.flow=dis",
            ) from error

    @torch.no_grad()
    def __call__(self, moving: Tensor, fixed: Tensor) -> Tensor:
        height, width = fixed.shape[-2:]
        down, right = (max(-side % STRIDE, SMALLEST_SIDE - side) for side in (height, width))
        views = [
            F.pad(photo.float().clamp(0, 1) * 2 - 1, (0, right, 0, down), mode="replicate")
            for photo in (fixed, moving)
        ]
        with torch.autocast(fixed.device.type, enabled=False):
            flow: Tensor = self._network.to(fixed.device)(*views)
        return flow[..., :height, :width]


class SmoothFlow:
    """A flow without its fine detail, which is mostly error where one photo is out of focus."""

    def __init__(self, flow: FlowMethod, sigma_px: float) -> None:
        """sigma_px: of a Gaussian over each component, above 0."""
        self._flow = flow
        reach = math.ceil(SMOOTHING_REACH * sigma_px)
        offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
        taps = torch.exp(-offsets.square() / (2 * sigma_px**2))
        self._taps = taps / taps.sum()

    def __call__(self, moving: Tensor, fixed: Tensor) -> Tensor:
        flow = self._flow(moving, fixed)  # (B, 2, H, W)
        taps = self._taps.to(flow.device)
        reach = len(taps) // 2
        parts = F.pad(flow.flatten(0, 1).unsqueeze(1), (reach,) * 4, mode="replicate")
        parts = F.conv2d(F.conv2d(parts, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))
        return parts.view(flow.shape)


def no_flow(moving: Tensor, fixed: Tensor) -> Tensor:
    """Zeros: photos are compared as they are."""
    return fixed.new_zeros(fixed.shape[0], 2, *fixed.shape[2:], dtype=torch.float32)


@dataclass(frozen=True, slots=True)
class BothWays:
    """How a restored image and its target lie over each other."""

    to_restored: Tensor
    """Flow (B, 2, H, W): the target, warped by it, lies on the restored image."""
    to_target: Tensor
    """Flow (B, 2, H, W): the restored image, warped by it, lies on the target."""
    restored_mask: Tensor
    """(B, 1, H, W), 1 where `to_restored` is trusted, else 0."""
    target_mask: Tensor
    """(B, 1, H, W), 1 where `to_target` is trusted, else 0."""


@torch.no_grad()
def both_ways(
    flow: FlowMethod, restored: Tensor, target: Tensor, mask: MaskKind = "calibration"
) -> BothWays:
    """Flows and masks between two batches (B, 3, H, W), in one call of `flow`."""
    restored, target = restored.float(), target.float()
    moving, fixed = torch.cat([target, restored]), torch.cat([restored, target])
    to_restored, to_target = flow(moving, fixed).chunk(2)
    masks = [torch.ones_like(to_restored[:, :1]) for _ in range(2)]
    if mask == "calibration":
        masks = [calibration_mask(to_restored), calibration_mask(to_target)]
    elif mask == "consistency":
        masks = [
            consistency_mask(to_restored, to_target),
            consistency_mask(to_target, to_restored),
        ]
    return BothWays(to_restored, to_target, *masks)


def warp(
    image: Tensor,
    flow: Tensor,
    interpolation: Interpolation = "bilinear",
    grid: Grid = "centred",
) -> Tensor:
    """`image` (B, C, H, W) sampled where `flow` (B, 2, H, W) points; float32.

    Beyond the border its last pixels go on. A zero flow returns the image: to the last bit where
    the sides are powers of two, else to rounding.

    grid: centred, or reference, the authors' grid, which stretches the image by up to half a pixel
    at its borders.
    Raises ValueError if the sizes differ.
    """
    if image.shape[0] != flow.shape[0] or image.shape[2:] != flow.shape[2:]:
        raise ValueError(f"image {tuple(image.shape)} and flow {tuple(flow.shape)} do not fit")
    places = _pixels(flow) + flow.float()
    sides = places.new_tensor([flow.shape[3], flow.shape[2]]).view(1, 2, 1, 1)
    # From pixels to grid_sample's units, in which -1 and 1 are the outer edges of the image.
    units = (2 * places + 1) / sides - 1
    if grid == "reference":
        units = 2 * places / (sides - 1) - 1  # -1 and 1 as centres of the outer pixels
    with torch.autocast(image.device.type, enabled=False):
        return F.grid_sample(
            image.float(),
            units.permute(0, 2, 3, 1),
            mode=interpolation,
            padding_mode="border",
            align_corners=False,
        )


@torch.no_grad()
def calibration_mask(flow: Tensor, tolerance: float = MASK_TOLERANCE) -> Tensor:
    """(B, 1, H, W) of 0 and 1: where a flow (B, 2, H, W) does not stray far from the mean motion.

    The flow is painted with Middlebury's colour wheel, the picture turned gray, and what differs
    from its mean by more than `tolerance` of it is distrusted. Where no displacement of a sample
    reaches STILL_PX, all of it is trusted; the reference would paint noise.
    """
    gray = _wheel_gray(flow)
    mean = gray.mean(dim=(1, 2, 3), keepdim=True)
    is_near = (gray >= (1 - tolerance) * mean) & (gray <= (1 + tolerance) * mean)
    is_still = flow.norm(dim=1, keepdim=True).amax(dim=(1, 2, 3), keepdim=True) < STILL_PX
    return (is_near | is_still).float()


@torch.no_grad()
def consistency_mask(forward: Tensor, backward: Tensor, tolerance_px: float = RETURN_PX) -> Tensor:
    """(B, 1, H, W) of 0 and 1: where going along `forward` and back ends within `tolerance_px`.

    0 where `forward` leaves the image. What fails was hidden in one of the two photos, or the flow
    is wrong there.
    """
    returns = (forward + warp(backward, forward)).norm(dim=1, keepdim=True) <= tolerance_px
    places = _pixels(forward) + forward
    x, y = places.chunk(2, dim=1)
    is_inside = (x >= 0) & (x <= forward.shape[3] - 1) & (y >= 0) & (y <= forward.shape[2] - 1)
    return (returns & is_inside).float()


def _wheel_gray(flow: Tensor) -> Tensor:
    """Gray values 0..255 (B, 1, H, W) of the flow's colours, each sample scaled to its longest."""
    longest = flow.norm(dim=1).amax(dim=(1, 2)).view(-1, 1, 1, 1)
    x, y = (flow / (longest + 1e-5)).unbind(1)
    length = torch.hypot(x, y)
    wheel = _colour_wheel().to(flow.device)
    hue = (torch.atan2(-y, -x) / torch.pi + 1) / 2 * (len(wheel) - 1)
    first = hue.long().clamp(0, len(wheel) - 1)
    share = (hue - first).unsqueeze(-1)
    colour = (1 - share) * wheel[first] + share * wheel[(first + 1) % len(wheel)]  # (B, H, W, 3)
    painted = torch.floor(255 * (1 - length.unsqueeze(-1) * (1 - colour)))
    rec_601 = painted.new_tensor([0.299, 0.587, 0.114])
    return torch.round(painted @ rec_601).unsqueeze(1)


@cache
def _colour_wheel() -> Tensor:
    """The hues, (55, 3) in [0, 1]: one channel is full, another rises or falls.

    Source: Baker et al., A Database and Evaluation Methodology for Optical Flow (2011).
    """
    full_rising = ((0, 1, 1), (1, 0, -1), (1, 2, 1), (2, 1, -1), (2, 0, 1), (0, 2, -1))
    parts = []
    for count, (full, changing, direction) in zip(HUES, full_rising, strict=True):
        part = torch.zeros(count, 3)
        ramp = torch.floor(255 * torch.arange(count) / count) / 255
        part[:, full] = 1
        part[:, changing] = ramp if direction > 0 else 1 - ramp
        parts.append(part)
    return torch.cat(parts)


def _pixels(flow: Tensor) -> Tensor:
    """Coordinates of the pixels of a flow, (1, 2, H, W), x first."""
    rows = torch.arange(flow.shape[2], dtype=torch.float32, device=flow.device)
    columns = torch.arange(flow.shape[3], dtype=torch.float32, device=flow.device)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y]).unsqueeze(0)


def _pictures(batch: Tensor) -> list[torch.Tensor]:
    """(B, 3, H, W) as B arrays (H, W, 3) in [0, 1] on the processor."""
    # A network gone astray gives no numbers; the losses tell of it, the flow need not.
    views = batch.detach().float().nan_to_num().clamp(0, 1).permute(0, 2, 3, 1).contiguous().cpu()
    return [picture.numpy() for picture in views]
