"""Blur kernels by level and side of focus that are learnt, and blurring with them by a map.

sharp (B, C, H, W) and a signed map b (B, C, H, W), in levels  ->  reblurred (B, C, H, W):

    reblurred = sum_i  max(0, 1 - |b - i|) (k+_i * sharp)  +  max(0, 1 - |b + i|) (k-_i * sharp)

with i = 0, 1, ..., 24 and both terms of i = 0 halved, so that weights sum to 1. Level i is meant
for a blur radius of i px; its kernel, shared by the colours, is free. Both sides of the plane of
focus begin with the same kernels. 55,730 numbers for 25 levels.
Source: "Learnable Blur Kernel for Single-Image Defocus Deblurring in the Wild" (AAAI 2023, arXiv
2211.14017).

How it is computed. Between two whole levels the result is linear in b, so its slope is the
difference of the two blurred images: value and slope are summed up level by level, and no level is
kept. Levels that no pixel of an image needs are skipped for that image. Small kernels run as
convolutions, large ones as products of Fourier transforms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from defocusfix.networks.radial_kernels import RADIUS_PER_RMS, Padding, extended

LEVELS = 25
LARGEST_DIRECT_SIZE = 9  # px; benchmarks/kernel_bank_speed.py
FAST_FACTORS = (2, 3, 5, 7)


def kernel_size(level: int) -> int:
    """Side in pixels of the kernels of a level: its disc, and the rim that smoothing adds."""
    disc = 2 * level + 1
    if level == 0:
        return disc
    smoothing = round(disc / 7) + 1
    return disc + 2 * ((smoothing + 1 - smoothing % 2) // 2)


class KernelBank(nn.Module):
    """Kernels of `levels` levels on both sides of focus; at first all leave the image alone.

    has_sides: whether the sides have kernels of their own, as in the reference; else the positive
    ones serve both, and the sign of a map says nothing.
    is_normalised: whether kernels are kept from negative cells and sum to 1, by taking the absolute
    values of the numbers that are learnt and dividing by their sum; kernels that are so to begin
    with do not change by it. The reference does not.
    Both are kept with the weights.
    padding: how the image goes on beyond its border; zeros as in the reference, which darken it.
    """

    cells: Tensor  # (N,): where the numbers of one side lie among levels * K * K cells
    squared_distances: Tensor  # (K, K), px^2 from the middle
    has_sides: Tensor  # (), bool
    is_normalised: Tensor  # (), bool

    def __init__(
        self,
        levels: int = LEVELS,
        *,
        has_sides: bool = True,
        is_normalised: bool = False,
        padding: Padding = "reflect",
    ) -> None:
        super().__init__()
        if levels < 2:
            raise ValueError(f"a bank has at least 2 levels, got {levels}")
        self.levels = levels
        self.padding: Padding = padding
        largest = kernel_size(levels - 1)
        used = torch.zeros(levels, largest, largest, dtype=torch.bool)
        for level in range(levels):
            rim = (largest - kernel_size(level)) // 2
            used[level, rim : largest - rim, rim : largest - rim] = True
        line = torch.arange(largest, dtype=torch.float32) - largest // 2
        self.register_buffer("cells", used.flatten().nonzero()[:, 0], persistent=False)
        self.register_buffer(
            "squared_distances", line[:, None] ** 2 + line[None, :] ** 2, persistent=False
        )
        self.register_buffer("has_sides", torch.tensor(has_sides))
        self.register_buffer("is_normalised", torch.tensor(is_normalised))
        middle = [kernel_size(level) ** 2 // 2 for level in range(levels)]
        identity = [F.one_hot(torch.tensor(m), 2 * m + 1).float() for m in middle]
        self.positive = nn.Parameter(torch.cat(identity))
        self.negative = nn.Parameter(torch.cat(identity))

    def start_from(self, kernels: Sequence[Tensor]) -> None:
        """Begin with `kernels` (k, k), one a level, on both sides.

        Raises ValueError where their number or sizes are not those of the bank.
        """
        sizes = [tuple(kernel.shape) for kernel in kernels]
        if sizes != [(kernel_size(level),) * 2 for level in range(self.levels)]:
            raise ValueError(f"kernels of these sizes do not fit {self.levels} levels: {sizes}")
        with torch.no_grad():
            numbers = torch.cat([kernel.flatten() for kernel in kernels])
            self.positive.copy_(numbers)
            self.negative.copy_(numbers)

    def kernels(self) -> Tensor:
        """(2, levels, K, K): positive and negative side; zeros around the smaller ones.

        A kernel is what becomes of one point, so `forward` convolves with it.
        """
        largest = kernel_size(self.levels - 1)
        negative = torch.where(self.has_sides, self.negative, self.positive)
        stored = torch.stack([self.positive, negative])  # (2, N)
        # Not abs(): its slope at 0 is 0, and cells that begin with 0 could never change.
        magnitudes = torch.where(stored < 0, -stored, stored)
        numbers = torch.where(self.is_normalised, magnitudes, stored)
        places = self.cells.expand_as(numbers)
        wide = numbers.new_zeros(2, self.levels * largest**2).scatter(1, places, numbers)
        kernels = wide.view(2, self.levels, largest, largest)
        sums = kernels.sum(dim=(2, 3), keepdim=True)
        return kernels / torch.where(self.is_normalised, sums, torch.ones_like(sums))

    def forward(self, sharp: Tensor, levels: Tensor) -> Tensor:
        """`sharp` blurred by the signed map `levels`; see `reblur`."""
        return reblur(sharp, levels, self.kernels(), self.padding)

    def level_radii_px(self) -> Tensor:
        """(2, levels): blur radius in px that each kernel makes, of the disc that spreads as far.

        That is sqrt(2) times its root mean square radius; negative cells are left out.
        """
        kernels = self.kernels().clamp_min(0)
        moments = (kernels * self.squared_distances).sum(dim=(2, 3))
        masses = kernels.sum(dim=(2, 3)).clamp_min(1e-12)
        return RADIUS_PER_RMS * (moments / masses).clamp_min(0).sqrt()

    def radius_px(self, levels: Tensor) -> Tensor:
        """Signed blur radius in pixels, of the shape of `levels`: what its kernels really make."""
        positive, negative = self.level_radii_px()
        radii = torch.cat([negative.flip(0)[:-1], positive])  # of levels -(L - 1) to L - 1
        steps = radii[1:] - radii[:-1]
        lowest = self.levels - 1
        below = levels.floor().clamp(-lowest, lowest - 1)
        places = (below + lowest).long()
        radius = radii[places] + (levels - below) * steps[places]
        return torch.where(levels < 0, -radius, radius)


def reblur(sharp: Tensor, levels: Tensor, kernels: Tensor, padding: Padding) -> Tensor:
    """`sharp` (B, C, H, W) blurred by the signed map `levels` of the same shape.

    levels: in [-(L - 1), L - 1]. kernels: (2, L, K, K), positive and negative side.
    Gradients reach the map and the kernels; `sharp` must not need one. At a whole level the map's
    gradient is that towards the level above.
    Raises ValueError where an image is too small to be mirrored at its border.
    """
    found: Tensor = _Reblur.apply(sharp.float(), levels.float(), kernels.float(), padding)
    return found


class _Reblur(torch.autograd.Function):
    """(sharp, levels, kernels, padding) -> reblurred; see the module's description."""

    @staticmethod
    def forward(
        ctx: Any, sharp: Tensor, levels: Tensor, kernels: Tensor, padding: Padding
    ) -> Tensor:
        plan = _Plan(sharp, levels, kernels.shape[1], padding)
        value = torch.zeros_like(plan.images)
        slope = torch.zeros_like(plan.images)
        for level, images in plan.used():
            blurred = plan.blurred(images, _kernel_of(kernels, level))
            is_lower, is_upper, weight = plan.weights(level, images)
            value.index_add_(0, images, weight * blurred)
            slope.index_add_(0, images, (is_upper.float() - is_lower.float()) * blurred)
        ctx.save_for_backward(sharp, levels, kernels, slope.view_as(levels))
        ctx.padding = padding
        return value.view_as(levels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        sharp, levels, kernels, slope = ctx.saved_tensors
        if ctx.needs_input_grad[0]:
            raise RuntimeError("the image that is reblurred must not need a gradient: detach it")
        to_levels = gradient * slope if ctx.needs_input_grad[1] else None
        if not ctx.needs_input_grad[2]:
            return None, to_levels, None, None
        plan = _Plan(sharp, levels, kernels.shape[1], ctx.padding)
        arriving = gradient.reshape_as(plan.images)
        to_kernels = torch.zeros_like(kernels)
        inner = _middle(kernels.shape[-1], 2 * plan.reach + 1)
        for level, images in plan.used():
            _, _, weight = plan.weights(level, images)
            found = plan.correlated(images, weight * arriving[images])
            for side, part in _sides(level):
                to_kernels[side, abs(level), inner, inner] += part * found
        return None, to_levels, to_kernels, None


class _Plan:
    """The images of a batch, one per colour, and which levels each of them needs."""

    def __init__(self, sharp: Tensor, levels: Tensor, count: int, padding: Padding) -> None:
        height, width = sharp.shape[-2:]
        self.images = sharp.reshape(-1, height, width)  # (N, H, W), N = B * C
        self.below = levels.reshape(-1, height, width).floor().clamp(1 - count, count - 2)
        self.share = levels.reshape(-1, height, width) - self.below
        lowest, highest = (int(bound) for bound in self.below.aminmax())
        self.levels = range(lowest, highest + 2)
        self.reach = kernel_size(max(abs(lowest), abs(highest + 1))) // 2
        self.wide = extended(sharp, self.reach, padding).flatten(0, 1)
        self.period = tuple(_fast_length(side) for side in self.wide.shape[-2:])

    def used(self) -> Iterator[tuple[int, Tensor]]:
        """Signed levels, and the numbers of the images in which they count."""
        held = self.below.flatten(1)
        for level in self.levels:
            counts = ((held == level) | (held == level - 1)).any(dim=1)
            if counts.any():
                yield level, counts.nonzero()[:, 0]

    def weights(self, level: int, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where a level is the lower and the upper one of two, and its weight, (n, H, W)."""
        below, share = self.below[images], self.share[images]
        is_lower, is_upper = below == level, below == level - 1
        return is_lower, is_upper, (1 - share) * is_lower + share * is_upper

    def blurred(self, images: Tensor, kernel: Tensor) -> Tensor:
        """The chosen images convolved with a kernel (k, k)."""
        size = len(kernel)
        rows, columns = (slice(self.reach, self.reach + side) for side in self.images.shape[-2:])
        if size > LARGEST_DIRECT_SIZE:
            around_origin = F.pad(
                kernel, (0, self.period[1] - size, 0, self.period[0] - size)
            ).roll((-(size // 2), -(size // 2)), (0, 1))
            spectra = self.spectra[images] * torch.fft.rfft2(around_origin)
            return torch.fft.irfft2(spectra, s=self.period)[:, rows, columns]
        rim = self.reach - size // 2
        height, width = self.wide.shape[-2:]
        wide = self.wide[images, rim : height - rim, rim : width - rim]
        # Images as channels: on a processor, many times faster than images as a batch.
        each = kernel.flip(0, 1).expand(len(images), 1, size, size).contiguous()
        return F.conv2d(wide[None], each, groups=len(images))[0]

    def correlated(self, images: Tensor, gradient: Tensor) -> Tensor:
        """(2 reach + 1, same): gradient to the kernel that the images were convolved with."""
        below, right = (
            period - self.reach - side
            for period, side in zip(self.period, gradient.shape[-2:], strict=True)
        )
        framed = F.pad(gradient, (self.reach, right, self.reach, below))
        product = (torch.fft.rfft2(framed) * self.spectra[images].conj()).sum(dim=0)
        around = torch.fft.irfft2(product, s=self.period)
        size = 2 * self.reach + 1
        return around.roll((self.reach, self.reach), (0, 1))[:size, :size]

    @cached_property
    def spectra(self) -> Tensor:
        """Fourier transforms of the extended images."""
        return torch.fft.rfft2(self.wide, s=self.period)


def _sides(level: int) -> tuple[tuple[int, float], ...]:
    """Banks that a signed level is taken from, and how much of each."""
    if level == 0:
        return (0, 0.5), (1, 0.5)
    return ((0, 1.0),) if level > 0 else ((1, 1.0),)


def _kernel_of(kernels: Tensor, level: int) -> Tensor:
    """(k, k), of a signed level, without the zeros around it."""
    inner = _middle(kernels.shape[-1], kernel_size(abs(level)))
    parts = [part * kernels[side, abs(level), inner, inner] for side, part in _sides(level)]
    return torch.stack(parts).sum(dim=0)


def _middle(length: int, part: int) -> slice:
    return slice((length - part) // 2, (length + part) // 2)


def _fast_length(least: int) -> int:
    """The next number without prime factors above 7."""
    length = least
    while _without_small_factors(length) > 1:
        length += 1
    return length


def _without_small_factors(number: int) -> int:
    for factor in FAST_FACTORS:
        while number % factor == 0:
            number //= factor
    return number
