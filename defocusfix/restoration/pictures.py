"""Pictures as Python programs hold them: arrays, Pillow images, and photos with their metadata."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.restoration.stored import Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

Array: TypeAlias = npt.NDArray[Any]
Picture = TypeVar("Picture", Array, "Image", Photo)
"""An array (H, W), or (H, W, C) of gray, gray and alpha, RGB, or RGBA, as uint8, uint16, or float32
where 1 is white; a Pillow image of mode L, LA, I;16, RGB or RGBA; or a photo as it was read."""
Change = Callable[[Pixels], Pixels]
"""What is done to the colours, (H, W, 3) or (H, W, 1); gives the same shape and kind back."""

PILLOW_MODES = ("L", "LA", "I;16", "RGB", "RGBA")


def opened(picture: Any) -> Any:
    """The photo of a path, with all its metadata; any other picture as it is.

    Raises InputError if there is no photo in the file.
    """
    return read_photo(Path(picture)) if isinstance(picture, str | Path) else picture


def changed_picture(picture: Picture, change: Change) -> Picture:
    """The same kind of picture with its colours changed; alpha and metadata stay.

    Raises ValueError for any other array, or Pillow image of another mode.
    """
    changed: Any
    if isinstance(picture, np.ndarray):
        changed = _changed_array(picture, change)
    elif isinstance(picture, Photo):
        changed = picture.with_pixels(change(picture.pixels))
    else:
        changed = _changed_image(picture, change)
    same_kind: Picture = changed
    return same_kind


def colours_of(picture: Any) -> Pixels:
    """The colours of any picture, or of a file of one, without alpha: (H, W, 3) or (H, W, 1).

    Raises ValueError for any other array or Pillow image, InputError for a file without a photo.
    """
    picture = opened(picture)
    if isinstance(picture, Photo):
        return picture.pixels
    return _colours(picture if isinstance(picture, np.ndarray) else _as_array(picture))


def bits_of(picture: Array | Image | Photo) -> int:
    """Bits of a stored value: 8, 16, or 32 for float."""
    if isinstance(picture, np.ndarray):
        return 8 * picture.dtype.itemsize
    if isinstance(picture, Photo):
        return picture.bits
    return 16 if picture.mode == "I;16" else 8


def as_mask(mask: Array | Image) -> npt.NDArray[np.float32]:
    """A mask as float32: of a Pillow image, or of an array of bool, of uint8, or from 0 to 1."""
    array = mask if isinstance(mask, np.ndarray) else np.asarray(mask.convert("L"))
    if array.dtype == np.uint8:
        return np.multiply(array, np.float32(1 / 255), dtype=np.float32)
    return array.astype(np.float32, copy=False)


def _changed_array(array: Array, change: Change) -> Array:
    colours = _colours(array)
    restored = change(colours)
    if array.ndim == 2:
        return restored[:, :, 0]
    n_colours = colours.shape[2]
    if array.shape[2] == n_colours:
        return restored
    return np.concatenate((restored, array[:, :, n_colours:]), axis=2)


def _changed_image(image: Image, change: Change) -> Image:
    import PIL.Image

    changed = PIL.Image.fromarray(_changed_array(_as_array(image), change))
    changed.info = dict(image.info)
    return changed


def _colours(array: Array) -> Pixels:
    if array.ndim == 2:
        return array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise ValueError(
            f"an image must be (H, W), or (H, W, C) of 1 to 4 channels, got {array.shape}"
        )
    return array[:, :, : 1 if array.shape[2] < 3 else 3]


def _as_array(image: Image) -> Array:
    if image.mode not in PILLOW_MODES:
        raise ValueError(
            f"a Pillow image of mode {image.mode} cannot be restored: convert it to RGB"
        )
    return np.asarray(image)
