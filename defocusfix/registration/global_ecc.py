"""One shift, rotation and zoom for a whole photo, by enhanced correlation.

Source: Evangelidis and Psarakis, Parametric image alignment using enhanced correlation
coefficient maximization, 2008, as in OpenCV's findTransformECC.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from defocusfix.registration.warp import FloatImage, Flow, affine_flow

SMALLEST_SIDE_PX: Final = 64  # the coarsest level keeps at least this much to hold on to
BLUR_SIGMA_PX: Final = 2.0  # hides that one photo is sharper than the other
TREND_SHARE: Final = 0.125  # of the shorter side; what varies more slowly says little of position
LUMINANCE: Final = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601, on display values
LARGEST_DISTORTION: Final = 0.2  # zoom, turn or shear beyond this is no pair of one scene
LEAST_CORRELATION: Final = 0.5  # real pairs reach 0.78 and more, strangers next to nothing
STOP: Final = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-6)


@dataclass(frozen=True, slots=True)
class GlobalAlignment:
    """Where each pixel of one photo lies in another."""

    matrix: npt.NDArray[np.float64]
    """(2, 3), from coordinates (x, y) of the fixed photo to those of the moving one."""
    correlation: float
    """Enhanced correlation reached, at most 1; 0 where none was found."""
    is_found: bool
    """False where the search failed or ended beyond reason; the matrix is the identity then."""

    def flow(self, size: tuple[int, int]) -> Flow:
        """The same as a flow (H, W, 2) for a fixed photo of `size` (height, width)."""
        return affine_flow(self.matrix, size)


NOT_FOUND: Final = GlobalAlignment(np.eye(2, 3), correlation=0.0, is_found=False)


def align_globally(moving: FloatImage, fixed: FloatImage) -> GlobalAlignment:
    """Find the affine map that lays `moving` on `fixed`; both (H, W, 3) in [0, 1], one size.

    Searched from coarse to fine, starting from a whole-image shift, so that a hand-held pair
    tens of pixels apart still meets. Differences in brightness do not matter.
    Raises ValueError if the sizes differ.
    """
    if moving.shape != fixed.shape:
        raise ValueError(f"moving {moving.shape} and fixed {fixed.shape} differ in shape")
    moving_levels, fixed_levels = _pyramid(moving), _pyramid(fixed)
    matrix = _whole_shift(moving_levels[-1], fixed_levels[-1])
    correlation = 0.0
    for level in reversed(range(len(moving_levels))):
        try:
            correlation, found = cv2.findTransformECC(
                fixed_levels[level],
                moving_levels[level],
                matrix.astype(np.float32),
                cv2.MOTION_AFFINE,
                STOP,
                inputMask=np.full(moving_levels[level].shape, 255, np.uint8),
                gaussFiltSize=5,
            )
        except cv2.error:  # raised when the correlation falls instead of rising
            return NOT_FOUND
        matrix = np.asarray(found, np.float64)
        if level > 0:
            matrix[:, 2] = _shift_one_level_finer(matrix)
    distortion = np.abs(matrix[:, :2] - np.eye(2)).max()
    if distortion > LARGEST_DISTORTION or not correlation >= LEAST_CORRELATION:
        return NOT_FOUND
    return GlobalAlignment(matrix, correlation=float(correlation), is_found=True)


def _pyramid(image: FloatImage) -> list[FloatImage]:
    """Smoothed luminance without its trend, finest first, each level half as large."""
    luminance = (image @ LUMINANCE).astype(np.float32)
    levels = [np.asarray(cv2.GaussianBlur(luminance, (0, 0), BLUR_SIGMA_PX), np.float32)]
    while min(levels[-1].shape) >= 2 * SMALLEST_SIDE_PX:
        height, width = (side // 2 for side in levels[-1].shape)
        even = levels[-1][: 2 * height, : 2 * width]
        halved = even.reshape(height, 2, width, 2).mean(axis=(1, 3))
        levels.append(halved.astype(np.float32))
    sigma_px = TREND_SHARE * min(levels[-1].shape)
    trend = cv2.GaussianBlur(levels[-1], (0, 0), sigma_px)
    return [level - np.asarray(cv2.resize(trend, level.shape[::-1])) for level in levels]


def _whole_shift(moving: FloatImage, fixed: FloatImage) -> npt.NDArray[np.float64]:
    window = cv2.createHanningWindow(fixed.shape[::-1], cv2.CV_32F)
    (shift_x, shift_y), _ = cv2.phaseCorrelate(fixed, moving, window)
    return np.array([[1, 0, shift_x], [0, 1, shift_y]], np.float64)


def _shift_one_level_finer(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The shift column for coordinates of twice the resolution.

    A centre x of the coarse level lies at 2x + 0.5 of the finer one.
    """
    half = np.full(2, 0.5)
    finer: npt.NDArray[np.float64] = 2 * matrix[:, 2] + half - matrix[:, :2] @ half
    return finer
