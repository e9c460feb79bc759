"""Photos on disk as protocols want them."""

from pathlib import Path

from defocusfix.evaluation.protocols import FloatImage
from defocusfix.photo.read import read_photo


def read_picture(path: Path) -> FloatImage:
    """The picture upright, (H, W, 3) RGB in [0, 1]. Raises InputError if it cannot be read."""
    return read_photo(path).to_float()
