"""What the page of a batch shows of one photo, made when it is saved and kept by the journal."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from defocusfix.errors import InputError, OutputError
from defocusfix.figures.batch_page import ReportPictures
from defocusfix.figures.most_changed import most_changed
from defocusfix.figures.webp import webp_within
from defocusfix.jobs.comparison import viewable
from defocusfix.jobs.files import make_folder
from defocusfix.jobs.plan import Item
from defocusfix.photo.limits import DEFAULT, Limits
from defocusfix.photo.photo import Photo
from defocusfix.photo.pixels import Pixels, with_depth
from defocusfix.photo.read import read_photo
from defocusfix.photo.safe_write import safe_write

CROP_PX: Final = (360, 480)  # height and width
THUMBNAIL_PX: Final = 300  # the longer side
# With a third more for base64, all pictures of a photo stay below 40 KB of a page.
MOST_BYTES_OF_CROPS: Final = 24_000
MOST_BYTES_OF_THUMBNAIL: Final = 5_000


def report_pictures(before: Photo, after: Photo) -> ReportPictures:
    """The photo small, and the place that changed most, before and after. In sRGB.

    before, after: of one size and depth.
    """
    height, width = min(CROP_PX[0], before.height), min(CROP_PX[1], before.width)
    top, left = most_changed(before.pixels, after.pixels, height, width)
    crops = (_shown(photo.cropped(left, top, width, height)) for photo in (before, after))
    before_crop, after_crop = webp_within(MOST_BYTES_OF_CROPS, *crops)
    (thumbnail,) = webp_within(MOST_BYTES_OF_THUMBNAIL, _shown(_small(after)))
    return ReportPictures(
        thumbnail=thumbnail,
        before=before_crop,
        after=after_crop,
        size=(before.height, before.width),
        crop=(top, left, height, width),
    )


class PictureStore:
    """The pictures of the photos of a folder, one file each, so that later runs have them too.

    Pictures are those of an output as it was saved: once it has another size or time, they are
    none any more.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, item: Item, before: Photo, after: Photo) -> None:
        """Keep the pictures of a photo that has just been saved.

        If they cannot be written they are left out, as the page can make them of the files again;
        the photo itself is done.
        """
        if item.output is None:
            return
        with suppress(OutputError, OSError):
            self._write(item, item.output, report_pictures(before, after))

    def of(self, item: Item, limits: Limits = DEFAULT) -> ReportPictures | None:
        """The pictures of a photo that is done: kept, or made of its files and kept.

        None if one of the files is gone or cannot be read.
        """
        if item.output is None:
            return None
        with suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(self._path(item).read_bytes())
            if content["output"] == _state(item.output):
                return _from_json(content)
        source = item.backup_output if item.is_in_place else item.source
        if source is None:
            return None
        try:
            before, after = (read_photo(path, limits=limits) for path in (source, item.output))
        except InputError:
            return None
        if before.pixels.shape != after.pixels.shape:
            return None  # only a part of the photo was wanted
        if before.bits != after.bits:
            before, after = _with_8_bits(before), _with_8_bits(after)
        pictures = report_pictures(before, after)
        with suppress(OutputError, OSError):
            self._write(item, item.output, pictures)
        return pictures

    def _write(self, item: Item, output: Path, pictures: ReportPictures) -> None:
        make_folder(self._folder)
        content = {"key": item.key, "output": _state(output), **_to_json(pictures)}
        safe_write(self._path(item), json.dumps(content).encode(), may_overwrite=True)

    def _path(self, item: Item) -> Path:
        name = hashlib.sha256(os.fsencode(item.key or item.name)).hexdigest()
        return self._folder / f"{name[:32]}.json"


def _state(path: Path) -> list[int]:
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns]


def _to_json(pictures: ReportPictures) -> dict[str, object]:
    files = {name: getattr(pictures, name) for name in ("thumbnail", "before", "after")}
    return {
        "size": pictures.size,
        "crop": pictures.crop,
        **{name: base64.b64encode(content).decode("ascii") for name, content in files.items()},
    }


def _from_json(content: dict[str, str]) -> ReportPictures:
    """What `_to_json` wrote. Raises KeyError, TypeError or ValueError if it is no such thing."""
    height, width = map(int, content["size"])
    top, left, down, across = map(int, content["crop"])
    return ReportPictures(
        thumbnail=base64.b64decode(content["thumbnail"]),
        before=base64.b64decode(content["before"]),
        after=base64.b64decode(content["after"]),
        size=(height, width),
        crop=(top, left, down, across),
    )


def _small(photo: Photo) -> Photo:
    """The photo with its longer side at most `THUMBNAIL_PX`."""
    factor = THUMBNAIL_PX / max(photo.height, photo.width)
    if factor >= 1:
        return photo
    size = max(1, round(photo.width * factor)), max(1, round(photo.height * factor))

    def reduced(values: Pixels) -> Pixels:
        return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA))

    pixels = reduced(photo.pixels).reshape(size[1], size[0], -1)
    alpha = None if photo.alpha is None else reduced(photo.alpha)
    return replace(photo, pixels=pixels, alpha=alpha)


def _with_8_bits(photo: Photo) -> Photo:
    return replace(photo, pixels=with_depth(photo.pixels, np.uint8))


def _shown(photo: Photo) -> npt.NDArray[np.uint8]:
    """The photo as (H, W, 3) RGB of 8 bits in sRGB, on white where it is transparent."""
    picture = viewable(photo)
    profile = photo.icc_profile
    if profile is None:
        return picture
    is_gray = photo.pixels.shape[2] == 1
    image = Image.fromarray(picture)
    try:
        converted = ImageCms.profileToProfile(
            image.convert("L") if is_gray else image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture  # a profile that is damaged, or belongs to another kind of picture
    return picture if converted is None else np.asarray(converted, np.uint8)
