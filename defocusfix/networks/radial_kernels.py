"""Radial blur kernels from seeds, and blurring with them by ring sums.

seeds (B, 35, H, W): for every pixel 2, 3, ..., 8 values for the kernels of size 3, 5, ..., 15. The
absolute value of seed k of a kernel is the logit of its cells at radius k; a cell between two whole
radii interpolates linearly; cells further out than the kernel's reach, (K - 1) / 2, have logit 0
(or no weight, see `RadialKernels`). A softmax over the K * K cells makes the kernel: positive, sum
1, the same for all colours, unchanged by rotation by 90 degrees and by mirroring.
Source: arXiv 2409.17792 (IJCV 2025) and its predecessor, arXiv 2211.14502 (AAAI 2023).

Cells at one radius share one logit. So a kernel is known by the masses of its rings, and blurring
is the sum, over rings, of mass times the image's mean over the ring. The 24 rings of the largest
kernel serve all sizes; with what lies outside each of the seven discs that makes 31 fixed filters
in place of 679 shifted copies of the image, for the same result.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REACHES = (1, 2, 3, 4, 5, 6, 7)  # px from the centre of each kernel to the middle of its sides
SEED_COUNTS = tuple(reach + 1 for reach in REACHES)
SEEDS = sum(SEED_COUNTS)  # 35
BRANCHES = 1 + len(REACHES)  # the first is the image as it is
RADIUS_PER_RMS = math.sqrt(2)  # of a uniform disc
LEAST_SQUARED_RADIUS = 1e-8  # px^2; the root's slope stays finite


def _squared_distances(reach: int) -> list[int]:
    """Of the K * K cells from the centre, in reading order."""
    line = range(-reach, reach + 1)
    return [row**2 + column**2 for row in line for column in line]


def _ring_squares(reach: int) -> list[int]:
    """The squared radii of a kernel's rings: all that occur inside its disc, from 0 up."""
    return sorted({square for square in _squared_distances(reach) if square <= reach**2})


RINGS = tuple(len(_ring_squares(reach)) + 1 for reach in REACHES)  # the last is the outside; 87

Outside = Literal["exp0", "zero"]
Padding = Literal["reflect", "replicate", "zeros"]


class RadialKernels(nn.Module):
    """What seeds stand for. Without parameters; its fixed filters are made once.

    outside: "exp0", as in the reference: a kernel's corners have logit 0, hence little weight but
    some; "zero": none, the kernel is a disc.
    padding: how the image goes on beyond its border. "zeros", as in the reference, darkens a frame
    of 7 px; "reflect" and "replicate" keep a constant image constant.
    Raises ValueError for other words.
    """

    filters: Tensor  # (31, 1, 15, 15): means over the 24 rings and over the 7 outsides
    interpolation: Tensor  # (87, 35, 1, 1): absolute seeds to the logit of one cell of each ring
    log_cells: Tensor  # (87,): logarithm of a ring's number of cells
    spreading: Tensor  # (31, 87, 1, 1): which filter serves which ring of which kernel
    squared_radii: Tensor  # (87, 1, 1): mean squared distance of a ring's cells, px^2

    def __init__(self, *, outside: Outside = "exp0", padding: Padding = "reflect") -> None:
        super().__init__()
        if outside not in get_args(Outside):
            raise ValueError(f"outside is one of {get_args(Outside)}, not {outside!r}")
        if padding not in get_args(Padding):
            raise ValueError(f"padding is one of {get_args(Padding)}, not {padding!r}")
        self.outside = outside
        self.padding = padding
        for name, values in _fixed_numbers(outside).items():
            self.register_buffer(name, values, persistent=False)

    def ring_masses(self, seeds: Tensor) -> tuple[Tensor, ...]:
        """Of each kernel the share of its weight on every ring, (B, rings + 1, H, W).

        Rings are in the order of their radius; the last share lies outside the disc. They sum to 1.
        """
        logits = F.conv2d(seeds.abs(), self.interpolation, self.log_cells)  # (B, 87, H, W)
        return tuple(part.softmax(dim=1) for part in logits.split(RINGS, dim=1))

    def blur(self, image: Tensor, seeds: Tensor, weights: Tensor) -> Tensor:
        """`image` (B, C, H, W), every pixel a mixture of itself and of the seven kernels' results.

        weights: (B, 8, H, W), of the image as it is and of the kernels from small to large; they
        sum to 1. Raises ValueError where an image is too small to be mirrored at its border.
        """
        _, *shares = weights.split(1, dim=1)
        masses = zip(shares, self.ring_masses(seeds), strict=True)
        spread = torch.cat([share * mass for share, mass in masses], dim=1)  # (B, 87, H, W)
        coefficients = F.conv2d(spread, self.spreading)  # (B, 31, H, W)
        B, C, H, W = image.shape
        wide = extended(image, REACHES[-1], self.padding).flatten(0, 1).unsqueeze(1)
        means = F.conv2d(wide, self.filters).view(B, C, -1, H, W)  # (B, C, 31, H, W)
        return weights[:, :1] * image + (means * coefficients.unsqueeze(1)).sum(dim=2)

    def radius_px(self, seeds: Tensor, weights: Tensor | None = None) -> Tensor:
        """Blur radius (B, 1, H, W) in pixels: of the disc that spreads light as far.

        That is sqrt(2) times the root mean square radius of the one kernel that all branches make
        together, by their weights (B, 8, H, W); the first, the image as it is, spreads nothing.
        Without weights the seven kernels count alike.
        """
        masses = self.ring_masses(seeds)
        squares = self.squared_radii.split(RINGS)
        spreads = [(m * s).sum(dim=1, keepdim=True) for m, s in zip(masses, squares, strict=True)]
        spread = torch.cat(spreads, dim=1)  # (B, 7, H, W) px^2
        if weights is None:
            together = spread.mean(dim=1, keepdim=True)
        else:
            together = (weights[:, 1:] * spread).sum(dim=1, keepdim=True)
        return RADIUS_PER_RMS * together.clamp_min(LEAST_SQUARED_RADIUS).sqrt()

    def kernels(self, seeds: Tensor) -> tuple[Tensor, ...]:
        """The kernels themselves, cell by cell in reading order: (B, K * K, H, W) for each K.

        679 numbers per pixel, to look at and to check `blur` with.
        """
        kernels = []
        for reach, own in zip(REACHES, seeds.abs().split(SEED_COUNTS, dim=1), strict=True):
            squares = _squared_distances(reach)
            rows = torch.tensor([_interpolated(square, reach) for square in squares])
            logits = F.conv2d(own, rows[:, :, None, None].to(own))
            if self.outside == "zero":
                is_outside = torch.tensor(squares, device=own.device) > reach**2
                logits = logits.masked_fill(is_outside[:, None, None], -math.inf)
            kernels.append(logits.softmax(dim=1))
        return tuple(kernels)


def apply_kernels(image: Tensor, kernels: Tensor, padding: Padding = "reflect") -> Tensor:
    """`image` (B, C, H, W) blurred at each pixel by its own kernel, of any shape.

    kernels: (B, K * K, H, W), K odd, cells in reading order: the weight of the neighbours of a
    pixel, itself in the middle. Holds K * K shifted copies of the image.
    """
    B, C, H, W = image.shape
    size = math.isqrt(kernels.shape[1])
    copies = F.unfold(extended(image, size // 2, padding), size)  # (B, C * K * K, H * W)
    return (copies.view(B, C, -1, H, W) * kernels.unsqueeze(1)).sum(dim=2)


def extended(image: Tensor, margin: int, padding: Padding) -> Tensor:
    """`image` (B, C, H, W) gone on by `margin` px beyond each border.

    Raises ValueError where it is too small to be mirrored.
    """
    if padding == "zeros":
        return F.pad(image, (margin,) * 4)
    if padding == "reflect" and min(image.shape[-2:]) <= margin:
        raise ValueError(
            f"an image of {image.shape[-2]} x {image.shape[-1]} px cannot be mirrored {margin} px "
            "beyond its border"
        )
    return F.pad(image, (margin,) * 4, mode=padding)


def _interpolated(square: int, reach: int) -> list[float]:
    """How much each seed of a kernel adds to the logit of a cell at the root of `square`."""
    row = [0.0] * (reach + 1)
    if square > reach**2:
        return row
    radius = math.sqrt(square)
    below = math.isqrt(square)
    row[below] = 1 - (radius - below)
    if radius > below:
        row[below + 1] = radius - below
    return row


def _fixed_numbers(outside: Outside) -> dict[str, Tensor]:
    """The buffers of `RadialKernels`."""
    largest = REACHES[-1]
    distances = torch.tensor(_squared_distances(largest)).view(2 * largest + 1, -1)
    filters = [(distances == square).float() for square in _ring_squares(largest)]
    rows: list[list[float]] = []
    cells: list[float] = []
    squared_radii: list[float] = []
    served_by: list[int] = []  # a filter for each row
    for reach, before in zip(REACHES, accumulate((0, *SEED_COUNTS)), strict=False):
        box = _squared_distances(reach)
        squares = _ring_squares(reach)
        rows += [[0.0] * before + _interpolated(square, reach) for square in squares]
        cells += [box.count(square) for square in squares]
        squared_radii += squares
        served_by += range(len(squares))
        beyond = [square for square in box if square > reach**2]
        rows.append([])
        cells.append(len(beyond) if outside == "exp0" else 0)
        squared_radii.append(sum(beyond) / len(beyond))
        served_by.append(len(filters))
        corners = torch.tensor(box).view(2 * reach + 1, -1) > reach**2
        filters.append(F.pad(corners.float(), (largest - reach,) * 4))
    stacked = torch.stack(filters)  # (31, 15, 15)
    spreading = F.one_hot(torch.tensor(served_by), len(filters)).float().T  # (31, 87)
    interpolation = torch.tensor([row + [0.0] * (SEEDS - len(row)) for row in rows])  # (87, 35)
    return {
        "filters": (stacked / stacked.sum(dim=(1, 2), keepdim=True)).unsqueeze(1),
        "interpolation": interpolation[:, :, None, None],
        "log_cells": torch.tensor(cells).log(),
        "spreading": spreading[:, :, None, None],
        "squared_radii": torch.tensor(squared_radii)[:, None, None],
    }
