"""The two views of a dual-pixel photo, as files beside it."""

from __future__ import annotations

from pathlib import Path

from defocusfix.errors import InputError
from defocusfix.jobs.plan import Item
from defocusfix.photo.limits import Limits
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.restoration.restorer import Views


class ViewFiles:
    """Both views, read once.

    paths: of the left and the right one. Raises InputError if one cannot be read.
    """

    def __init__(self, paths: tuple[Path, Path], limits: Limits) -> None:
        self._paths = paths
        left, right = (read_photo(path, limits=limits).pixels for path in paths)
        self._views: Views = (left, right)

    def of(self, item: Item, photo: Photo) -> Views:
        """The views of a photo. Raises InputError if they have another size."""
        for path, view in zip(self._paths, self._views, strict=True):
            height, width, _ = view.shape
            if (width, height) != (photo.width, photo.height):
                raise InputError(
                    f"{path.name} is no view of {item.name}",
                    why=f"standing upright it has {width} x {height} pixels,\n"
                    f"and the photo {photo.width} x {photo.height}",
                    fix="give the views as they were saved together with the photo",
                )
        return self._views
