"""Sampling one image at displaced positions, with one grid convention for the whole project.

Pixel centres lie at whole coordinates, (0, 0) is the centre of the first pixel. A flow
(H, W, 2) holds displacements (x, y) in pixels: result(x, y) = image(x + flow_x, y + flow_y).
"""

import cv2
import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]
Flow = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def warp(image: FloatImage, flow: Flow) -> FloatImage:
    """`image` sampled where `flow` points, bicubic, (H, W) or (H, W, C) as given.

    A zero flow returns the image unchanged to the last bit. Beyond the border the image is
    mirrored; `inside` says where that happened. Raises ValueError if the sizes differ.
    """
    _require_one_size(image, flow)
    column, row = _positions(flow)
    sampled = cv2.remap(image, column, row, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(sampled, np.float32)


def inside(flow: Flow) -> Mask:
    """(H, W), True where `flow` points into the image."""
    height, width = flow.shape[:2]
    column, row = _positions(flow)
    is_inside: Mask = (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)
    return is_inside


def compose(outer: Flow, inner: Flow) -> Flow:
    """One flow for warping twice: warp(warp(image, inner), outer), resampled only once."""
    return outer + warp(inner, outer)


def affine_flow(matrix: npt.NDArray[np.floating], size: tuple[int, int]) -> Flow:
    """The flow (H, W, 2) of an affine map (2, 3) from result to source coordinates.

    size: (height, width) of the result.
    """
    height, width = size
    row, column = np.mgrid[:height, :width].astype(np.float64)
    source_x = matrix[0, 0] * column + matrix[0, 1] * row + matrix[0, 2]
    source_y = matrix[1, 0] * column + matrix[1, 1] * row + matrix[1, 2]
    return np.stack([source_x - column, source_y - row], axis=-1).astype(np.float32)


def _positions(flow: Flow) -> tuple[FloatImage, FloatImage]:
    height, width = flow.shape[:2]
    column = np.arange(width, dtype=np.float32)[None, :] + flow[..., 0]
    row = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    return column, row


def _require_one_size(image: FloatImage, flow: Flow) -> None:
    if image.shape[:2] != flow.shape[:2]:
        raise ValueError(f"image {image.shape[:2]} and flow {flow.shape[:2]} differ in size")
