"""One picture restored in one call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy.typing as npt

from defocusfix.photo.photo import Photo
from defocusfix.restoration.pictures import Picture, bits_of, opened
from defocusfix.restoration.restorer import Restorer
from defocusfix.restoration.settings import RestoreSettings

if TYPE_CHECKING:
    from PIL.Image import Image


@overload
def restore(
    picture: Picture,
    *,
    views: tuple[Any, Any] | None = None,
    mask: npt.NDArray[Any] | Image | None = None,
    model: str | Path | None = None,
    settings: RestoreSettings | None = None,
    engine: str = "auto",
    device: str = "auto",
) -> Picture: ...
@overload
def restore(
    picture: str | Path,
    *,
    views: tuple[Any, Any] | None = None,
    mask: npt.NDArray[Any] | Image | None = None,
    model: str | Path | None = None,
    settings: RestoreSettings | None = None,
    engine: str = "auto",
    device: str = "auto",
) -> Photo: ...
def restore(
    picture: Any,
    *,
    views: tuple[Any, Any] | None = None,
    mask: npt.NDArray[Any] | Image | None = None,
    model: str | Path | None = None,
    settings: RestoreSettings | None = None,
    engine: str = "auto",
    device: str = "auto",
) -> Any:
    """Restore one picture; a `Restorer` is for more than one.

    picture: an array, (H, W) or (H, W, C) of gray, gray and alpha, RGB, or RGBA, display-encoded,
    as uint8, uint16, or float32 where 1 is white; a Pillow image; a photo as `read_photo` gives
    it; or the path of a photo. It is not changed, and the same kind comes back; for a path a
    `Photo` with all its metadata. Alpha stays as it is.
    views: of a dual-pixel sensor, left and right, any kinds of picture, of the picture's size; for
    models that take them, and only for those.
    mask: where the picture may change, white, and where not, black: a Pillow image, or an array
    (h, w) of bool, of uint8, or from 0 to 1; stretched over the picture, feathered inwards.
    model: an ONNX file, or the name of bundled weights; None for the default ones.
    engine, device: `auto` takes the fastest that works here; anything else is a demand.

    Raises ValueError for any other array or Pillow image, InputError for a file that is no photo,
    ModelError, DeviceError, or UsageError for an unknown name, and for views that the model does
    not take, or lacks.
    """
    picture = opened(picture)
    restorer = Restorer(engine, settings, model=model, device=device, output_bits=bits_of(picture))
    return restorer.restore(picture, views=views, mask=mask)
