"""One shift, rotation and zoom for a whole photo, by enhanced correlation.

Source: Evangelidis and Psarakis, Parametric image alignment using enhanced correlation
coefficient maximization, 2008, as in OpenCV's findTransformECC.
"""

from dataclasses import dataclass
from itertools import product
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
LEAST_CORRELATION_OF_TURNED: Final = 0.7  # found by more tries, so chance has more of them, too
TURNS_DEG: Final = (-12.0, -6.0, 0.0, 6.0, 12.0)  # where one try without a turn did not succeed
ZOOMS: Final = (0.88, 1.0, 1.14)
STOP: Final = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-6)

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GlobalAlignment:
    """Where each pixel of one photo lies in another."""

    matrix: Matrix
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
    tens of pixels apart still meets; where that fails, from several turns and zooms as well.
    Differences in brightness do not matter. Raises ValueError if the sizes differ.
    """
    if moving.shape != fixed.shape:
        raise ValueError(f"moving {moving.shape} and fixed {fixed.shape} differ in shape")
    moving_levels, fixed_levels = trendless_pyramid(moving), trendless_pyramid(fixed)
    found = _refined(_whole_shift(moving_levels[-1], fixed_levels[-1]), moving_levels, fixed_levels)
    if found.correlation >= LEAST_CORRELATION:
        return found
    start = _turned_start(moving_levels[-1], fixed_levels[-1])
    found = _refined(start, moving_levels, fixed_levels)
    return found if found.correlation >= LEAST_CORRELATION_OF_TURNED else NOT_FOUND


def _refined(
    start: Matrix, moving_levels: list[FloatImage], fixed_levels: list[FloatImage]
) -> GlobalAlignment:
    """From a map between the coarsest levels to one between the finest."""
    matrix, correlation = start, 0.0
    for level in reversed(range(len(moving_levels))):
        correlation, matrix = _climbed(matrix, moving_levels[level], fixed_levels[level])
        if correlation == 0:
            return NOT_FOUND
        if level > 0:
            matrix[:, 2] = _shift_one_level_finer(matrix)
    distortion = np.abs(matrix[:, :2] - np.eye(2)).max()
    if distortion > LARGEST_DISTORTION or not correlation > 0:
        return NOT_FOUND
    return GlobalAlignment(matrix, correlation=float(correlation), is_found=True)


def _climbed(start: Matrix, moving: FloatImage, fixed: FloatImage) -> tuple[float, Matrix]:
    """The enhanced correlation that can be reached at one level, and where; 0 if it falls."""
    try:
        correlation, found = cv2.findTransformECC(
            fixed,
            moving,
            start.astype(np.float32),
            cv2.MOTION_AFFINE,
            STOP,
            inputMask=np.full(moving.shape, 255, np.uint8),
            gaussFiltSize=5,
        )
    except cv2.error:  # raised when the correlation falls instead of rising
        return 0.0, start
    return float(correlation), np.asarray(found, np.float64)


def _turned_start(moving: FloatImage, fixed: FloatImage) -> Matrix:
    """The best of several turns and zooms at the coarsest level, each with its own shift."""
    height, width = fixed.shape
    best, best_correlation = np.eye(2, 3), 0.0
    for turn_deg, zoom in product(TURNS_DEG, ZOOMS):
        middle = ((width - 1) / 2, (height - 1) / 2)
        around = np.asarray(cv2.getRotationMatrix2D(middle, turn_deg, zoom), np.float64)
        turned = cv2.warpAffine(
            moving, around, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        shift = _whole_shift(np.asarray(turned, np.float32), fixed)
        start = around.copy()
        start[:, 2] += around[:, :2] @ shift[:, 2]
        correlation, matrix = _climbed(start, moving, fixed)
        if correlation > best_correlation:
            best, best_correlation = matrix, correlation
    return best


def trendless_pyramid(image: FloatImage) -> list[FloatImage]:
    """Smoothed luminance of (H, W, 3) without its trend, finest first, each level half as large."""
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


def _whole_shift(moving: FloatImage, fixed: FloatImage) -> Matrix:
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
