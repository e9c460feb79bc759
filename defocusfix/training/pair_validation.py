"""A look at a network in mid-training, by pairs that it does not learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from defocusfix.evaluation.pairs import ALIGNMENTS, PairCase, mean_score, pair_case, score_pair
from defocusfix.networks.deblurrer import as_deblurrer, crop_multiple
from defocusfix.registration.warp import FloatImage
from defocusfix.training.dual_pixel_data import AnyPairSource, middle
from defocusfix.training.recipe import Validation

LARGEST_PAIRS, LARGEST_PICTURES = 24, 8
CROP_PX = 512


def pair_validation(source: AnyPairSource) -> Callable[[nn.Module], Validation]:
    """The scores of `defocusfix evaluate` on the middle of the first pairs, raw and aligned.

    For each alignment of the target: the mean PSNR of the output and what it gained over the
    untouched photo. The network's score is the gain after whole shifts of tiles, in which neither a
    drift nor the flow that trained the network has a part; raw where no pair can be aligned.
    """

    @cache
    def cases(multiple: int) -> list[PairCase]:
        found = []
        for n in range(min(LARGEST_PAIRS, len(source))):
            seen = middle(source, n, CROP_PX, multiple)
            views = (seen["left"], seen["right"]) if "left" in seen else None
            case = pair_case(source.name(n), seen["blurred"], seen["all_in_focus"])
            found.append(replace(case, views=views))
        return found

    def validate(network: nn.Module) -> Validation:
        deblurrer = as_deblurrer(network)
        device = next(network.parameters()).device

        def as_batch(*images: FloatImage) -> Tensor:
            joined = torch.from_numpy(np.concatenate(images, axis=2))
            return joined.permute(2, 0, 1)[None].to(device)

        def restore(case: PairCase) -> FloatImage:
            views = None if case.views is None else as_batch(*case.views)
            restored = deblurrer.deblur(as_batch(case.image), views=views).restored[0].clamp(0, 1)
            return restored.permute(1, 2, 0).cpu().numpy()

        looked_at = cases(crop_multiple(deblurrer))
        outputs = [restore(case) for case in looked_at]
        found = [s for c, o in zip(looked_at, outputs, strict=True) for s in score_pair(c, o)]
        untouched = [s for case in looked_at for s in score_pair(case, case.image)]
        metrics: dict[str, float] = {}
        for alignment in ALIGNMENTS:
            after, before = mean_score(found, alignment), mean_score(untouched, alignment)
            if after is not None and before is not None:
                metrics[f"psnr_{alignment}"] = after.psnr_db
                metrics[f"gain_{alignment}"] = after.psnr_db - before.psnr_db
        shown = list(zip(looked_at, outputs, strict=True))[:LARGEST_PICTURES]
        return Validation(
            metrics,
            score=metrics.get("gain_tiled", metrics["gain_raw"]),
            pictures={
                f"pair_{number:02d}": np.hstack(
                    [_as_bytes(view) for view in (case.image, output, case.targets["raw"].image)]
                )
                for number, (case, output) in enumerate(shown)
            },
        )

    return validate


def _as_bytes(image: FloatImage) -> NDArray[np.uint8]:
    return np.rint(image * 255).astype(np.uint8)
