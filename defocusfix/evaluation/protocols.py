"""What every protocol is handed: a callable that restores, whatever is behind it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a method made of one photo."""

    image: FloatImage
    """(H, W, 3), display values; protocols clip them to [0, 1]."""
    radius_px: FloatImage | None = None
    """(H, W), blur radius in pixels of the photo, or None for a method without a map."""


Views = tuple[FloatImage, FloatImage]
"""What the left and the right halves of a dual-pixel sensor saw, each like the photo."""


class Restore(Protocol):
    """A method of restoring."""

    def __call__(self, image: FloatImage, views: Views | None = None, /) -> Restored:
        """A photo (H, W, 3) float32 in [0, 1] in, the restored photo out, same size.

        views: for those that use them; not handed over where the photo has none.
        """


def untouched(image: FloatImage, views: Views | None = None) -> Restored:
    """The photo as it is: the row that every other one is compared with."""
    return Restored(image)


def restored_image(
    restore: Restore, image: FloatImage, views: Views | None = None
) -> tuple[FloatImage, Restored]:
    """Run `restore` and give its image clipped to [0, 1], beside all it returned.

    Raises ValueError if the result has another size than the photo.
    """
    restored = restore(image) if views is None else restore(image, views)
    if restored.image.shape != image.shape:
        raise ValueError(f"photo {image.shape} came back as {restored.image.shape}")
    return np.clip(restored.image, 0, 1).astype(np.float32), restored
