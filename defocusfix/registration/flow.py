"""A displacement for every pixel between two photos of one scene."""

from typing import Final, Protocol

import cv2
import numpy as np

from defocusfix.registration.warp import FloatImage, Flow, Mask, inside, warp

BLUR_SIGMA_PX: Final = 1.5  # hides that one photo is sharper than the other
GREY: Final = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601, on display values


class OpticalFlow(Protocol):
    """Any method that finds where the pixels of one photo lie in another."""

    def __call__(self, moving: FloatImage, fixed: FloatImage) -> Flow:
        """The flow (H, W, 2) with warp(moving, flow) on `fixed`; both (H, W, 3) in [0, 1]."""


def dis_flow(moving: FloatImage, fixed: FloatImage) -> Flow:
    """Dense inverse search, OpenCV's medium preset, on smoothed 8-bit grey values.

    Source: Kroeger et al., Fast Optical Flow using Dense Inverse Search, 2016.
    Raises ValueError if the sizes differ.
    """
    if moving.shape != fixed.shape:
        raise ValueError(f"moving {moving.shape} and fixed {fixed.shape} differ in shape")
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    start = np.zeros((*fixed.shape[:2], 2), np.float32)
    return np.asarray(search.calc(_grey(fixed), _grey(moving), start), np.float32)


def is_consistent(forward: Flow, backward: Flow, tolerance_px: float = 1.0) -> Mask:
    """(H, W), True where going forward and back again ends within `tolerance_px`.

    False where `forward` leaves the image. What fails was hidden in one of the two photos, or
    the flow is wrong there.
    """
    round_trip = forward + warp(backward, forward)
    returns: Mask = np.hypot(round_trip[..., 0], round_trip[..., 1]) <= tolerance_px
    return returns & inside(forward)


def _grey(image: FloatImage) -> np.ndarray:
    smooth = cv2.GaussianBlur((image @ GREY).astype(np.float32), (0, 0), BLUR_SIGMA_PX)
    return np.rint(np.clip(smooth, 0, 1) * 255).astype(np.uint8)
