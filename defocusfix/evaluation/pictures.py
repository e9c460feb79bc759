"""Photos on disk as protocols want them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from defocusfix.errors import InputError
from defocusfix.evaluation.protocols import FloatImage
from defocusfix.photo.read import read_photo

PICTURE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly inside `folder`, in order of their names.

    Raises InputError if the folder is missing or holds none.
    """
    return _pictures(folder, folder.iterdir() if folder.is_dir() else ())


def pictures_under(folder: Path) -> list[Path]:
    """The pictures inside `folder` and its subfolders, in order of their paths.

    Raises InputError if the folder is missing or holds none.
    """
    return _pictures(folder, folder.rglob("*"))


def read_picture(path: Path) -> FloatImage:
    """The picture upright, (H, W, 3) RGB in [0, 1]. Raises InputError if it cannot be read."""
    return read_photo(path).to_float()


def _pictures(folder: Path, paths: Iterable[Path]) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    found = sorted(path for path in paths if path.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise InputError(f"{folder} holds no pictures", why="looked for JPEG, PNG, TIFF and WebP")
    return found
