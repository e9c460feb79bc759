"""Scores of a network on held-out photos, as `restore` would treat them: whole, at full size.

Training may look at reduced photos; a user restores whole ones, so these are what counts. Of a
large photo a square around the middle is taken, so that a look costs seconds, not minutes. Input,
base model and tuned network are compared with the very same targets: as they were taken, and laid
over the untouched photos once, with parallax and uneven light taken out as for training
(pairs/remainder.py), followed by each of the alignments of evaluation/pairs.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from defocusfix.errors import TrainingError
from defocusfix.evaluation.metrics import psnr, ssim_gaussian
from defocusfix.evaluation.pairs import ALIGNMENTS, PairCase, Target, pair_case
from defocusfix.networks.deblurrer import as_deblurrer
from defocusfix.pairs.crops import PairCrops
from defocusfix.registration.global_ecc import LUMINANCE
from defocusfix.registration.warp import FloatImage
from defocusfix.training.recipe import Validation

JUDGING = "tiled"  # whole shifts of tiles: neither a drift nor the flow that taught has a part
SMALLEST_SIDE_PX, LARGEST_SIDE_PX = 256, 1536
PICTURES, PICTURE_PX = 8, 320
DETAIL_SIGMA_PX = 1.5  # leaves noise out
LEAST_DETAIL = 1e-6  # of a blank photo

Row = dict[str, str | float]
"""Figures of one photo: pair, scene, psnr_<alignment> for each target that it has, ssim, and its
detail as a share of the target's, which PSNR, kind to what is soft, does not tell."""


@dataclass(slots=True)
class HeldOut:
    """Pairs that nothing is learnt from, with their targets laid over them."""

    cases: list[PairCase]
    scenes: Mapping[str, str]
    """Scene by pair."""
    base: list[Row] = field(default_factory=list)
    """Figures of the base model: those of the first look, or of an earlier command."""

    @property
    def judging(self) -> str:
        """Alignment that the verdict goes by: tiled, or raw where no pair could be aligned."""
        return JUDGING if any(JUDGING in case.targets for case in self.cases) else "raw"

    @property
    def megapixels(self) -> float:
        """Of one look."""
        return sum(case.image.shape[0] * case.image.shape[1] for case in self.cases) / 1e6

    def of(self, names: Sequence[str]) -> HeldOut:
        """Some of the pairs alone, without figures of the base model."""
        return HeldOut([case for case in self.cases if case.name in names], self.scenes)

    def untouched(self) -> list[Row]:
        """Figures of the photos as they are."""
        return [self._row(case, case.image) for case in self.cases]

    def look(self, network: nn.Module) -> Validation:
        """Figures of a network in mid-training; for `Recipe.validate`."""
        outputs = [_restored(network, case.image) for case in self.cases]
        rows = [self._row(case, output) for case, output in zip(self.cases, outputs, strict=True)]
        self.base = self.base or rows
        found, base = mean_figures(rows, self.scenes), mean_figures(self.base, self.scenes)
        judged = f"psnr_{self.judging}"
        gain = found[judged] - base[judged]
        shown = list(zip(self.cases, outputs, strict=True))[:PICTURES]
        return Validation(
            metrics=found | {"gain_db": gain},
            score=gain,
            pictures={
                case.name.replace("/", "-"): _picture(case, output) for case, output in shown
            },
            each=tuple(rows),
            told=f"held-out {found[judged]:.2f} dB  gain {gain:+.3f} dB  SSIM {found['ssim']:.3f}",
        )

    def _row(self, case: PairCase, output: FloatImage) -> Row:
        row: Row = {"pair": case.name, "scene": self.scenes[case.name]}
        for alignment in ALIGNMENTS:
            if alignment in case.targets:
                target = case.targets[alignment]
                row[f"psnr_{alignment}"] = psnr(output, target.image, target.mask)
        if self.judging in case.targets:
            target = case.targets[self.judging]
            row["ssim"] = ssim_gaussian(output, target.image, target.mask)
            row["detail"] = _detail(output, target.mask) / _detail(target.image, target.mask)
        return row


def held_out_pairs(
    source: PairCrops, scenes: Mapping[str, str], *, multiple: int, megapixels: float
) -> HeldOut:
    """Read and align all pairs of `source`, which gives them at full size.

    multiple: sides of what the network takes. megapixels: about as many are looked at in all.
    Raises TrainingError if not one pair is there.
    """
    if len(source) == 0:
        raise TrainingError("no pair is held out: nothing could be judged")
    side = math.sqrt(1e6 * megapixels / len(source))
    side_px = round(min(max(side, SMALLEST_SIDE_PX), LARGEST_SIDE_PX))
    return HeldOut([_case(source, n, side_px, multiple) for n in range(len(source))], scenes)


def _case(source: PairCrops, number: int, side_px: int, multiple: int) -> PairCase:
    blurred, taken, laid = source.common(number, side_px, multiple)
    case = pair_case(source.name(number), blurred, laid, matches_exposure=False)
    raw = Target(taken, case.targets["raw"].mask)
    return replace(case, targets=case.targets | {"raw": raw})


def mean_figures(rows: Sequence[Row], scenes: Mapping[str, str]) -> dict[str, float]:
    """The mean over the scenes of each figure, each scene the mean of its pairs."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        for key, value in row.items():
            if isinstance(value, float):
                of_scenes = found.setdefault(key, {})
                of_scenes.setdefault(scenes[str(row["pair"])], []).append(value)
    return {
        key: float(np.mean([np.mean(values) for values in of_scenes.values()]))
        for key, of_scenes in found.items()
    }


def _detail(image: FloatImage, mask: NDArray[np.bool_]) -> float:
    """How strongly an image varies from pixel to pixel, noise aside; above 0."""
    smooth = cv2.GaussianBlur(image @ LUMINANCE, (0, 0), DETAIL_SIGMA_PX)
    curvature = np.asarray(cv2.Laplacian(smooth, cv2.CV_32F))
    return float(np.sqrt(np.square(curvature)[mask].mean())) + LEAST_DETAIL


def _restored(network: nn.Module, image: FloatImage) -> FloatImage:
    device = next(network.parameters()).device
    batch = torch.from_numpy(image).permute(2, 0, 1)[None].to(device)
    with torch.no_grad():
        restored = as_deblurrer(network).deblur(batch).restored[0].clamp(0, 1)
    return restored.permute(1, 2, 0).cpu().numpy()


def _picture(case: PairCase, output: FloatImage) -> NDArray[np.uint8]:
    """Input, output and target side by side, around the middle."""
    target = case.targets.get("global", case.targets["raw"])
    views = [_middle(view) for view in (case.image, output, target.image)]
    return np.rint(np.hstack(views).clip(0, 1) * 255).astype(np.uint8)


def _middle(image: FloatImage) -> FloatImage:
    top, left = (max(0, (side - PICTURE_PX) // 2) for side in image.shape[:2])
    return image[top : top + PICTURE_PX, left : left + PICTURE_PX]
