"""Whether learnt kernels have become what the lens does to a point.

A kernel of a level is compared with the lens's own point spread functions of all radii, and the
nearest one counts: a level is free to mean another radius than its number. The distance is half the
sum of absolute differences, both of sum 1, the share of the light that lies in the wrong place. The
lens blurs in linear light and the kernels what a photo's tone curve makes of it, so none can be 0.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from map_scenes import LARGEST_PX, LENSES

from defocusfix.figures.kernel_sheet import kernel_sheet
from defocusfix.networks.blur_map import BlurMap
from defocusfix.optics import butterworth

LEVELS = range(2, 7)  # in use by the scenes, and large enough to have a shape
RADII_PX = np.arange(0.5, LARGEST_PX + 3, 0.1)


def recovery(network: BlurMap, lens: str, picture: Path) -> dict[str, float]:
    """Mean distance of the kernels that were begun with, and of those learnt; a picture of both.

    Rows of the picture: begun with, learnt, the lens's own that is nearest to what was learnt.
    """
    learnt = network.kernels.kernels()[0].detach().numpy()
    before = [butterworth(level) for level in LEVELS]
    after = [_trimmed(learnt[level], len(butterworth(level))) for level in LEVELS]
    aperture = LENSES[lens].aperture
    true = [aperture.point_spread_function(float(radius)) for radius in RADII_PX]
    nearest = [min(true, key=lambda psf: _distance(kernel, psf)) for kernel in after]
    sheet = kernel_sheet([before, after, nearest], cell_px=120)
    cv2.imwrite(str(picture), sheet[..., ::-1])
    return {
        "kernels_off_before": float(
            np.mean([min(_distance(kernel, psf) for psf in true) for kernel in before])
        ),
        "kernels_off_after": float(
            np.mean([_distance(kernel, psf) for kernel, psf in zip(after, nearest, strict=True)])
        ),
    }


def _distance(kernel: np.ndarray, psf: np.ndarray) -> float:
    side = max(len(kernel), len(psf))
    one, other = (np.pad(part, (side - len(part)) // 2) for part in (kernel, psf))
    return float(np.abs(one / one.sum() - other / other.sum()).sum() / 2)


def _trimmed(kernel: np.ndarray, size: int) -> np.ndarray:
    rim = (len(kernel) - size) // 2
    return kernel[rim : rim + size, rim : rim + size]
