"""Windows of photos of which no better picture is known, for trained networks to teach on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from defocusfix.rendering.camera import SUBSAMPLINGS
from defocusfix.rendering.exposure import through_jpeg
from defocusfix.rendering.photos import PhotoLibrary, facts_of_photos
from defocusfix.training.data import Picture, Variation

JPEG_SHARE = 0.5  # of the windows, compressed once more, as photos on the web are
JPEG_QUALITIES = (60, 95)


class PhotoSource:
    """Windows of the photos of some folders, varied as rendered pairs are.

    Sample k is a function of (seed, k). Safe to use from several threads.
    """

    def __init__(self, folders: Sequence[Path], seed: int, *, size: int) -> None:
        """size: side of the windows in px. Raises InputError if a folder holds no photos."""
        self._library = PhotoLibrary(folders)
        self._lock = threading.Lock()  # of the library, which keeps decoded photos
        self._seed = seed
        self._size = size

    @property
    def facts(self) -> dict[str, Any]:
        """What tells its photos from others."""
        return facts_of_photos(self._library.files)

    def sample(self, k: int) -> Picture:
        """Sample `k`: (size, size, 3) uint8 RGB. Raises InputError if a photo cannot be read."""
        rng = np.random.default_rng((self._seed, k))
        with self._lock:
            window = self._library.window(rng, self._size)
        picture = Variation(rng, brightest=int(window.max())).of_picture(window)
        if rng.random() >= JPEG_SHARE:
            return picture
        quality = int(rng.integers(*JPEG_QUALITIES, endpoint=True))
        return through_jpeg(picture, quality, SUBSAMPLINGS[int(rng.integers(len(SUBSAMPLINGS)))])
