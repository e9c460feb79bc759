"""LPIPS, the learned distance between two images, from a graph that the user has.

No weights come with defocusfix. One graph is made with the authors' package and torch, with the
AlexNet backbone that papers mostly report:

    images = torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)
    sizes = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    torch.onnx.export(lpips.LPIPS(net="alex").eval(), images, "lpips.onnx",
                      dynamic_shapes=(sizes, sizes))

The two images must not be one tensor, or the graph compares the first image with itself.

Source: Zhang et al., The unreasonable effectiveness of deep features as a perceptual metric,
CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from defocusfix.engines.engine import FloatArray
from defocusfix.engines.memory import first_line
from defocusfix.errors import DeviceError, ModelError

ImageDistance = Callable[[FloatArray, FloatArray], float]
"""Two images (H, W, 3) in [0, 1] in, their distance out: 0 for equal ones."""

EXPECTED = "give LPIPS as an ONNX graph: two images (B, 3, H, W) in [-1, 1] in, one number out"
TRIAL_SIZE = (64, 80)  # height and width; a graph for one fixed size fails on it
LARGEST_OF_EQUALS = 1e-3  # what a distance may say of an image and itself


def open_lpips(path: Path, *, threads: int | None = None) -> ImageDistance:
    """Load a graph on the CPU and try it on one small pair.

    threads: None takes one per physical core. Raises ModelError unless the graph takes two images
    of any size and gives one number, next to 0 for equal images. The distance that is returned
    raises DeviceError if memory runs out.
    """
    if not path.is_file():
        raise ModelError(f"there is no file {path}", fix=EXPECTED)
    # As in `select`: 190 ms to import, which a mistake in the command need not wait for.
    from defocusfix.engines.foreign import check_paths
    from defocusfix.engines.onnxruntime import load_errors, load_session, runtime_errors

    check_paths(path, fix=EXPECTED)
    session = load_session(path, threads=threads, fix=EXPECTED)
    inputs = [node.name for node in session.get_inputs()]
    n_outputs = len(session.get_outputs())
    if len(inputs) != 2 or n_outputs != 1:
        raise _unfit(path, f"it has {len(inputs)} inputs and {n_outputs} outputs")

    def compute(image: FloatArray, target: FloatArray) -> float:
        batches = map(_as_input, (image, target))
        (found,) = session.run(None, dict(zip(inputs, batches, strict=True)))
        return float(np.asarray(found).item())

    def distance(image: FloatArray, target: FloatArray) -> float:
        try:
            return compute(image, target)
        except runtime_errors() as error:
            height, width = image.shape[:2]
            raise DeviceError(
                f"{path.name} could not compare two images of {width} x {height} px",
                why=first_line(error),
                fix="leave out --lpips if memory ran out",
            ) from error

    # ValueError: more numbers than one came out.
    unfit: tuple[type[Exception], ...] = (*load_errors(), ValueError)
    image, other = np.random.default_rng(0).random((2, *TRIAL_SIZE, 3), dtype=np.float32)
    try:
        of_equals, of_strangers = compute(image, image), compute(image, other)
    except unfit as error:
        raise _unfit(path, first_line(error)) from error
    if not abs(of_equals) <= LARGEST_OF_EQUALS < of_strangers:
        raise _unfit(
            path, f"equal images are {of_equals:.3g} apart, different ones {of_strangers:.3g}"
        )
    return distance


def _as_input(image: FloatArray) -> FloatArray:
    """(H, W, 3) in [0, 1] -> (1, 3, H, W) in [-1, 1]."""
    return np.ascontiguousarray(2 * image.transpose(2, 0, 1)[None] - 1, np.float32)


def _unfit(path: Path, why: str) -> ModelError:
    return ModelError(f"{path.name} is no distance between two images", why=why, fix=EXPECTED)
