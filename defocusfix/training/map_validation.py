"""A look in mid-training at a network that maps blur: its maps, its kernels, and what they explain.

Everywhere: `reblur_error`, the mean absolute difference between the blurred photo and the sharp one
blurred by the map, and `sharp_error`, without blurring it. Where the blur radius is known, also the
figures of `defocusfix evaluate --rendered`, once over everything and once where there is texture,
and two more. `level_error_px`: as the first, if the levels of the map, rather than what its kernels
do, were radii. `sign_accuracy`: the share of what is out of focus that is told on its right side,
as the mean over both sides; which sign means which side is chosen for the whole set, so chance
gives one half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from defocusfix.evaluation.protocols import Restore, Restored, Views
from defocusfix.evaluation.rendered import score_rendered, summarise
from defocusfix.figures.kernel_sheet import kernel_sheet, signed_map
from defocusfix.figures.map_image import FloatImage
from defocusfix.networks.blur_map import BlurMap
from defocusfix.networks.kernel_bank import kernel_size
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.recipe import Validation

LARGEST_PAIRS, LARGEST_PICTURES = 64, 12
LEAST_BLUR_PX = 1.0  # from which on a side of focus is asked for


@dataclass(frozen=True, slots=True)
class _Found:
    """What a network makes of one photo."""

    radius_px: FloatImage
    """(H, W), signed, the mean over the colours."""
    level: FloatImage
    """(H, W): size of the level, the mean over the colours."""
    reblurred: FloatImage
    """(H, W, 3)."""


Pictures = Mapping[str, FloatImage]
"""Of one photo, (H, W, 3) in [0, 1]: "blurred", "all_in_focus"; "left", "right" if there are."""


def photo_validation(
    count: int, views_of: Callable[[int], Pictures]
) -> Callable[[nn.Module], Validation]:
    """A look at photos whose blur nobody knows; the score is the error of reblurring.

    views_of: number, below `count`, to photo; sides are multiples of the network's.
    """

    @cache
    def looked_at() -> list[Pictures]:
        return [views_of(number) for number in range(min(LARGEST_PAIRS, count))]

    def validate(network: nn.Module) -> Validation:
        mapped = _blur_map(network)
        found = [_find(mapped, **views) for views in looked_at()]
        metrics = _errors(looked_at(), found)
        pictures = _pictures(mapped, looked_at(), found, [None] * len(found))
        return Validation(metrics, score=-metrics["reblur_error"], pictures=pictures)

    return validate


def rendered_map_validation(rendered: RenderedSet) -> Callable[[nn.Module], Validation]:
    """A look at rendered pairs; the score is the map's error where there is texture.

    Raises InputError where the truth of a set is only what networks restored.
    """
    rendered.require_truth()
    pairs = [rendered[k] for k in range(min(LARGEST_PAIRS, len(rendered)))]
    looked_at = [
        {"blurred": _as_float(blurred), "all_in_focus": _as_float(sharp)}
        for blurred, sharp, _ in pairs
    ]
    truths = [radius.astype(np.float32) for _, _, radius in pairs]

    def validate(network: nn.Module) -> Validation:
        mapped = _blur_map(network)
        found = [_find(mapped, **views) for views in looked_at]
        scores = score_rendered(_told([np.abs(each.radius_px) for each in found]), pairs)
        level_scores = score_rendered(_told([each.level for each in found]), pairs)
        metrics = _errors(looked_at, found)
        for region in ("all", "textured"):
            summary = summarise(scores, region)
            metrics[f"radius_error_px_{region}"] = summary.map_error_px
            metrics[f"radius_relative_error_{region}"] = summary.map_relative_error
            metrics[f"radius_correlation_{region}"] = summary.map_correlation
        metrics["level_error_px_textured"] = summarise(level_scores, "textured").map_error_px
        metrics["sign_accuracy"] = sign_accuracy([each.radius_px for each in found], truths)
        pictures = _pictures(mapped, looked_at, found, truths)
        return Validation(metrics, score=-metrics["radius_error_px_textured"], pictures=pictures)

    return validate


def _told(maps: Sequence[FloatImage]) -> Restore:
    """Leaves photos as they are and tells a map of each, in turn."""
    remaining = iter(maps)

    def restore(image: FloatImage, views: Views | None = None) -> Restored:
        return Restored(image, next(remaining))

    return restore


def sign_accuracy(maps: Sequence[FloatImage], truths: Sequence[FloatImage]) -> float:
    """Share of what is out of focus whose side is told right, the mean over both sides, 0.5 to 1.

    maps: (H, W), signed. truths: (H/2, W/2), signed; those of less than 1 px do not count. The sign
    of all maps together may be the wrong way round. nan where a side does not occur.
    """
    right, counted = {True: 0, False: 0}, {True: 0, False: 0}
    for found, truth in zip(maps, truths, strict=True):
        height, width = truth.shape
        halved = found.reshape(height, 2, width, 2).mean(axis=(1, 3))
        for is_positive in (True, False):
            side = truth >= LEAST_BLUR_PX if is_positive else truth <= -LEAST_BLUR_PX
            counted[is_positive] += int(np.count_nonzero(side))
            right[is_positive] += int(np.count_nonzero(side & ((halved > 0) == is_positive)))
    if not all(counted.values()):
        return float("nan")
    share = sum(right[side] / counted[side] for side in right) / 2
    return max(share, 1 - share)


def _blur_map(network: nn.Module) -> BlurMap:
    if not isinstance(network, BlurMap):
        raise TypeError(f"{type(network).__name__} is no blur map")
    return network


@torch.no_grad()
def _find(
    network: BlurMap,
    *,
    blurred: FloatImage,
    all_in_focus: FloatImage,
    left: FloatImage | None = None,
    right: FloatImage | None = None,
) -> _Found:
    device = next(network.parameters()).device
    one, other = (blurred if view is None else view for view in (left, right))
    views = torch.cat([_as_tensor(one), _as_tensor(other)], dim=1).to(device)
    levels = network.estimator(views)
    reblurred = network.kernels(_as_tensor(all_in_focus).to(device), levels)
    radius = network.kernels.radius_px(levels).mean(dim=1)[0]
    return _Found(
        radius_px=radius.cpu().numpy(),
        level=levels.abs().mean(dim=1)[0].cpu().numpy(),
        reblurred=reblurred[0].permute(1, 2, 0).cpu().numpy(),
    )


def _errors(looked_at: Sequence[Pictures], found: Sequence[_Found]) -> dict[str, float]:
    reblurred = [
        np.abs(each.reblurred - views["blurred"]).mean()
        for views, each in zip(looked_at, found, strict=True)
    ]
    sharp = [np.abs(views["all_in_focus"] - views["blurred"]).mean() for views in looked_at]
    return {"reblur_error": float(np.mean(reblurred)), "sharp_error": float(np.mean(sharp))}


def _pictures(
    network: BlurMap,
    looked_at: Sequence[Pictures],
    found: Sequence[_Found],
    truths: Sequence[FloatImage | None],
) -> dict[str, NDArray[np.uint8]]:
    """The kernels, and of each photo: itself, sharp, reblurred, its map, the truth if known."""
    scale = float(network.kernels.level_radii_px().detach().max())
    pictures = {"kernels": kernels_picture(network)}
    shown = list(zip(looked_at, found, truths, strict=True))[:LARGEST_PICTURES]
    for number, (views, each, truth) in enumerate(shown):
        photos = (views["blurred"], views["all_in_focus"], each.reblurred)
        parts = [np.rint(photo.clip(0, 1) * 255).astype(np.uint8) for photo in photos]
        parts.append(signed_map(each.radius_px, scale))
        if truth is not None:
            parts.append(signed_map(truth.repeat(2, axis=0).repeat(2, axis=1), scale))
        pictures[f"pair_{number:02d}"] = np.hstack(parts)
    return pictures


def kernels_picture(network: BlurMap) -> NDArray[np.uint8]:
    """All kernels but those of level 0, the positive side above the negative one."""
    kernels = network.kernels.kernels().detach().cpu().numpy()
    return kernel_sheet(
        [[_inner(side[level], kernel_size(level)) for level in range(1, len(side))]
         for side in kernels]
    )  # fmt: skip


def _inner(kernel: FloatImage, size: int) -> FloatImage:
    rim = (len(kernel) - size) // 2
    return kernel[rim : rim + size, rim : rim + size]


def _as_float(picture: NDArray[np.uint8]) -> FloatImage:
    return picture.astype(np.float32) / np.float32(255)


def _as_tensor(image: FloatImage) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
