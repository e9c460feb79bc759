"""Pairs of a blurred and an all-in-focus photo, raw and aligned side by side.

Two shots of one scene never match exactly: the camera moved, focusing zoomed, the exposure
changed with the aperture. Every output is therefore scored against four targets: as it is
("raw"), after one shift, rotation and zoom ("global"), and on top of that after whole shifts of
at most 2 px, tile by tile ("tiled"), or after optical flow ("flow"). The tiles are the control: a
gain that only the flow finds is one of the flow. All but the raw one also have their exposure
matched, one gain per channel in linear light. Targets are aligned to the untouched input, once,
so that no method can influence its own target.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.errors import InputError
from defocusfix.evaluation.metrics import (
    mae,
    psnr,
    rounded_to_8_bits,
    ssim_gaussian,
    ssim_uniform,
)
from defocusfix.evaluation.pictures import read_picture
from defocusfix.evaluation.protocols import FloatImage, Restore, Views, restored_image
from defocusfix.pairs.find import PairFiles
from defocusfix.registration.exposure import exposure_gains, with_gains
from defocusfix.registration.flow import OpticalFlow, dis_flow, is_consistent
from defocusfix.registration.global_ecc import align_globally
from defocusfix.registration.local_shift import tiled_shifts
from defocusfix.registration.warp import Flow, compose, inside, warp

Mask = npt.NDArray[np.bool_]
ImageDistance = Callable[[FloatImage, FloatImage], float]
"""LPIPS: two images (H, W, 3) in [0, 1] in, a distance out."""

ALIGNMENTS: Final = ("raw", "global", "tiled", "flow")
SEAM_PX: Final = 5  # half of the largest SSIM window, which must not look across a seam
LEAST_SHARE: Final = 0.2  # of a photo that an alignment must leave, or it counts as failed


@dataclass(frozen=True, slots=True)
class Target:
    """What an output is compared with, and where."""

    image: FloatImage
    """(H, W, 3) in [0, 1]."""
    mask: Mask
    """(H, W), True where the target can be trusted."""


@dataclass(frozen=True, slots=True)
class PairCase:
    """A blurred photo with its targets."""

    name: str
    image: FloatImage
    """(H, W, 3) in [0, 1]."""
    targets: dict[str, Target]
    """By alignment; "raw" is always there, the others where aligning succeeded."""
    views: Views | None = None
    """Of the blurred photo, for methods that use them."""


@dataclass(frozen=True, slots=True)
class PairScore:
    """Figures of one output against one target."""

    pair: str
    alignment: str
    psnr_db: float
    psnr_8bit_db: float
    """PSNR after rounding the output as an 8-bit file would."""
    ssim_uniform: float
    ssim_gaussian: float
    mae: float
    lpips: float
    """nan where no such distance was handed in."""


def read_pair(files: PairFiles, flow: OpticalFlow = dis_flow) -> PairCase:
    """Read a pair, and its views if there are any, and align its target.

    Raises InputError if the sizes differ.
    """
    image = read_picture(files.blurred)
    target = _of_same_size(image, files.blurred, files.all_in_focus, "its target")
    case = pair_case(files.name, image, target, flow)
    if files.views is None:
        return case
    left, right = (_of_same_size(image, files.blurred, view, "its view") for view in files.views)
    return replace(case, views=(left, right))


def pair_case(
    name: str,
    image: FloatImage,
    target: FloatImage,
    flow: OpticalFlow = dis_flow,
    *,
    matches_exposure: bool = True,
) -> PairCase:
    """The case of restoring `image` towards `target`; both (H, W, 3) in [0, 1], one size.

    matches_exposure: False for a target that has the exposure of `image` already.
    """
    size = image.shape[:2]
    targets = {"raw": Target(target, np.ones(size, np.bool_))}
    alignment = align_globally(target, image)
    if alignment.is_found:
        coarse = alignment.flow((size[0], size[1]))

        def aligned(by: Flow, mask: Mask) -> Target:
            moved = warp(target, by)
            return Target(with_exposure_of(image, moved, mask) if matches_exposure else moved, mask)

        in_line = aligned(coarse, inside(coarse))
        # Flow takes brightness for position, so it gets the target with its exposure matched.
        rest = flow(in_line.image, image)
        fine = compose(rest, coarse)
        trusted = is_consistent(rest, flow(image, in_line.image)) & inside(fine)
        shifts = tiled_shifts(in_line.image, image)
        tiled = compose(shifts, coarse)
        found = {
            "global": in_line,
            "tiled": aligned(tiled, inside(tiled) & _away_from_seams(shifts)),
            "flow": aligned(fine, trusted),
        }
        targets |= {k: t for k, t in found.items() if t.mask.mean() >= LEAST_SHARE}
    return PairCase(name, image, targets)


def with_exposure_of(image: FloatImage, target: FloatImage, mask: Mask) -> FloatImage:
    """`target` with one gain per channel in linear light, fitted to `image` inside `mask`."""
    return with_gains(target, exposure_gains(target, image, mask))


def score_pair(
    case: PairCase, output: FloatImage, lpips: ImageDistance | None = None
) -> list[PairScore]:
    """Figures of a finished output (H, W, 3) in [0, 1], one per target of the case.

    lpips: outside the mask it is shown the target itself.
    """
    return [
        PairScore(
            pair=case.name,
            alignment=alignment,
            psnr_db=psnr(output, target.image, target.mask),
            psnr_8bit_db=psnr(rounded_to_8_bits(output), target.image, target.mask),
            ssim_uniform=ssim_uniform(output, target.image, target.mask),
            ssim_gaussian=ssim_gaussian(output, target.image, target.mask),
            mae=mae(output, target.image, target.mask),
            lpips=float("nan") if lpips is None else lpips(_filled(output, target), target.image),
        )
        for alignment, target in case.targets.items()
    ]


def score_pairs(
    methods: Mapping[str, Restore],
    cases: Iterable[PairCase],
    lpips: ImageDistance | None = None,
) -> dict[str, list[PairScore]]:
    """Scores by method, each pair aligned once and held only while it is scored."""
    scores: dict[str, list[PairScore]] = {name: [] for name in methods}
    for case in cases:
        for name, restore in methods.items():
            output, _ = restored_image(restore, case.image, case.views)
            scores[name] += score_pair(case, output, lpips)
    return scores


def pair_gains(untouched: Sequence[PairScore], restored: Sequence[PairScore]) -> list[float]:
    """Gain in dB of each pair against its best aligned target, in the order of the pairs.

    untouched, restored: what `score_pairs` gives for both methods.
    """
    gains: list[float] = []
    for before, after in zip(untouched, restored, strict=True):
        gain = after.psnr_db - before.psnr_db
        if after.alignment == ALIGNMENTS[0]:  # a pair begins; each later alignment is a better one
            gains.append(gain)
        else:
            gains[-1] = gain
    return gains


def mean_score(scores: Sequence[PairScore], alignment: str) -> PairScore | None:
    """The mean over the pairs of one alignment; None where there is none."""
    chosen = [score for score in scores if score.alignment == alignment]
    if not chosen:
        return None
    return PairScore(
        pair=f"mean of {len(chosen)}",
        alignment=alignment,
        psnr_db=float(np.mean([score.psnr_db for score in chosen])),
        psnr_8bit_db=float(np.mean([score.psnr_8bit_db for score in chosen])),
        ssim_uniform=float(np.mean([score.ssim_uniform for score in chosen])),
        ssim_gaussian=float(np.mean([score.ssim_gaussian for score in chosen])),
        mae=float(np.mean([score.mae for score in chosen])),
        lpips=float(np.mean([score.lpips for score in chosen])),
    )


def _of_same_size(image: FloatImage, path: Path, other: Path, role: str) -> FloatImage:
    found = read_picture(other)
    if image.shape != found.shape:
        raise InputError(
            f"{path.name} and {role} differ in size",
            why=f"{image.shape[:2]} and, of {other}, {found.shape[:2]}",
        )
    return found


def _away_from_seams(flow: Flow) -> Mask:
    """(H, W), True where `flow` is constant all around."""
    window = np.ones((2 * SEAM_PX + 1,) * 2, np.uint8)
    is_constant: Mask = (cv2.dilate(flow, window) == cv2.erode(flow, window)).all(axis=2)
    return is_constant


def _filled(output: FloatImage, target: Target) -> FloatImage:
    return np.where(target.mask[..., None], output, target.image)
