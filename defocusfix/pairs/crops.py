"""Crops from pairs of photos that need not line up: sample k is a function of (seed, k)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from defocusfix.errors import InputError, TrainingError
from defocusfix.pairs.find import PairFiles
from defocusfix.pairs.geometry import common_box
from defocusfix.pairs.pixels import as_float
from defocusfix.pairs.store import PairStore, StoredPair
from defocusfix.photo.pixels import Pixels
from defocusfix.registration.exposure import with_gains
from defocusfix.registration.warp import FloatImage, Flow, affine_flow, warp

Alignment = Literal["none", "shift", "affine", "local"]

ALIGNMENTS: tuple[Alignment, ...] = get_args(Alignment)

WARP_MARGIN_PX = 16  # read around a crop that is resampled, so that its border shows real pixels
SMALLEST_GAIN = 0.002  # exposures that differ by less are left alone: no rounding for nothing
TRIES = 8  # of a place at which both photos of a pair show a whole crop


@dataclass(frozen=True, slots=True)
class PairSettings:
    """How crops are taken from pairs; the defaults are what we recommend.

    Raises ValueError for values that cannot work.
    """

    crop_px: int = 256
    """Side of a crop at the training scale. Reference: 256."""
    scale: int | Literal["auto"] = 1
    """Photos are reduced by this whole factor first, so that their blur fits the kernels, which
    reach 7 px; "auto" measures the blur of each pair and takes the factor that fits it, as far as
    a crop still fits into the photo. Reference: 1."""
    alignment: Alignment = "shift"
    """none: the same place of both photos. shift: the sharp crop is taken where the blurred one
    shows its middle, in whole pixels, which resamples nothing. affine: the sharp crop is resampled
    by one shift, rotation and zoom for the whole photo. local: and by what parallax leaves, found
    by blurring it as the other photo is. Reference: none."""
    matches_exposure: bool = True
    """Whether the sharp photo gets the exposure of the blurred one, one gain per channel in linear
    light; with the alignment "local" also what varies slowly over the photo, as towards the
    corners. Reference: no."""
    augments: bool = True
    """Whether crops are mirrored and turned by quarter turns. Reference: no."""
    halves_range: bool = False
    """Whether crops come from the upper left half of all places only. Reference: yes, by a slip."""
    cache: Path | None = None
    """Folder for decoded photos, found again by later runs; None takes a temporary one."""

    def __post_init__(self) -> None:
        if self.crop_px < 16 or self.crop_px % 16:
            raise ValueError(f"crop_px must be a multiple of 16, got {self.crop_px}")
        if self.scale != "auto" and self.scale < 1:
            raise ValueError(f"scale is auto or a whole factor of at least 1, got {self.scale}")
        if self.alignment not in ALIGNMENTS:
            raise ValueError(f"alignment is one of {', '.join(ALIGNMENTS)}, not {self.alignment!r}")


class PairCrops:
    """Training samples from pairs of photos. Safe to use from several threads.

    Samples run through all pairs in a new random order per epoch, one crop of each; the photos are
    read when their turn comes.
    """

    def __init__(self, pairs: Sequence[PairFiles], settings: PairSettings, seed: int) -> None:
        """Raises TrainingError if there is nothing to train on."""
        if not pairs:
            raise TrainingError("there are no pairs to train on")
        self.settings = settings
        self._seed = seed
        self._store = PairStore(
            pairs, scale=settings.scale, folder=settings.cache, least_side_px=settings.crop_px
        )
        self._order = lru_cache(maxsize=2)(self._shuffled)  # an epoch's end overlaps the next

    def __len__(self) -> int:
        """Pairs, that is samples per epoch."""
        return len(self._store)

    def sample(self, k: int) -> tuple[FloatImage, FloatImage]:
        """Sample `k`: blurred and all-in-focus crop, (crop_px, crop_px, 3) RGB in [0, 1].

        Raises InputError if a photo cannot be read, is smaller than a crop, or the two of its pair
        differ in size.
        """
        rng = np.random.default_rng((self._seed, k))
        number = self.number_of(k)
        pair = self._store[number]
        corner = self._place(rng, number, pair)
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        blurred, sharp = self._crops(number, pair, corner, self.settings.crop_px)
        if self.settings.augments:
            blurred, sharp = (_turned(view, turns, mirrored) for view in (blurred, sharp))
        return blurred, sharp

    def number_of(self, k: int) -> int:
        """Which pair sample `k` is taken from."""
        epoch, position = divmod(k, len(self))
        return int(self._order(epoch)[position])

    def centre(self, number: int, largest_px: int, multiple: int) -> tuple[FloatImage, FloatImage]:
        """Both photos of a pair around the middle, with sides of up to `largest_px`.

        The sides are multiples of `multiple`. Raises InputError as `sample` does.
        """
        pair = self._store[number]
        height, width = pair.size
        side = min(largest_px, height, width) // multiple * multiple
        if side == 0:
            raise self._too_small(number, pair, multiple)
        corner = ((width - side) // 2, (height - side) // 2)
        return self._crops(number, pair, corner, side)

    def common(
        self, number: int, largest_px: int, multiple: int
    ) -> tuple[FloatImage, FloatImage, FloatImage]:
        """As `centre`, around the middle of what both photos show.

        The blurred photo, the sharp one at the same place as it was taken, and the sharp one as
        the settings have it. Raises InputError as `sample` does.
        """
        pair = self._store[number]
        height, width = pair.size
        left, top, right, bottom = common_box(self._store.geometry(number).matrix, pair.size)
        side = min(largest_px, right - left, bottom - top) // multiple * multiple
        if side == 0:
            side = min(largest_px, height, width) // multiple * multiple
        if side == 0:
            raise self._too_small(number, pair, multiple)
        corner = (
            min(max((left + right - side) // 2, 0), width - side),
            min(max((top + bottom - side) // 2, 0), height - side),
        )
        blurred, laid = self._crops(number, pair, corner, side)
        return blurred, as_float(_cut(pair.all_in_focus, corner, side)), laid

    def name(self, number: int) -> str:
        """What the pair is called."""
        return self._store.pairs[number].name

    def scale(self, number: int) -> int:
        """The factor by which this pair is reduced; measured the first time if it is "auto"."""
        return self._store.scale_of(number)

    def _place(self, rng: np.random.Generator, number: int, pair: StoredPair) -> tuple[int, int]:
        """Left and top of a crop of the blurred photo, whose counterpart lies inside as well.

        Where no such place turns up, the last one tried.
        """
        height, width = pair.size
        side = self.settings.crop_px
        if min(height, width) < side:
            raise self._too_small(number, pair, side)
        left = top = 0
        for _ in range(TRIES):
            left, top = (int(rng.integers(room - side + 1)) for room in (width, height))
            if self.settings.halves_range:
                left, top = left // 2, top // 2
            if self.settings.alignment == "none":
                break
            x, y = self._counterpart(number, (left, top), side)
            if 0 <= x <= width - side and 0 <= y <= height - side:
                break
        return left, top

    def _counterpart(self, number: int, corner: tuple[int, int], side: int) -> tuple[int, int]:
        """Left and top of the sharp crop that shows, in its middle, what the blurred one shows."""
        x, y = (start + (side - 1) / 2 for start in corner)
        if self.settings.alignment == "local":
            middle = corner[0] + side // 2, corner[1] + side // 2
            flow, _ = self._store.remainder(number).at(middle, (1, 1), self.scale(number))
            x, y = x + float(flow[0, 0, 0]), y + float(flow[0, 0, 1])
        there = self._store.geometry(number).matrix @ np.array([x, y, 1.0])
        left, top = there - (side - 1) / 2
        return round(left), round(top)

    def _crops(
        self, number: int, pair: StoredPair, corner: tuple[int, int], side: int
    ) -> tuple[FloatImage, FloatImage]:
        blurred = as_float(_cut(pair.blurred, corner, side))
        shade = None
        if self.settings.alignment == "affine":
            sharp = self._resampled(number, pair, corner, side)
        elif self.settings.alignment == "local":
            begin = corner[0] - WARP_MARGIN_PX, corner[1] - WARP_MARGIN_PX
            wide = side + 2 * WARP_MARGIN_PX
            flow, shade = self._store.remainder(number).at(begin, (wide, wide), self.scale(number))
            sharp = self._resampled(number, pair, corner, side, flow)
        else:
            if self.settings.alignment == "shift":
                places = zip(self._counterpart(number, corner, side), pair.size[::-1], strict=True)
                left, top = (min(max(place, 0), room - side) for place, room in places)
                corner = left, top
            sharp = as_float(_cut(pair.all_in_focus, corner, side))
        if self.settings.matches_exposure:
            gains = self._store.geometry(number).gains
            if shade is not None:
                gains = gains * _without_margin(shade, side)
            if np.abs(gains - 1).max() >= SMALLEST_GAIN:
                sharp = with_gains(sharp, gains)
        return blurred, sharp

    def _resampled(
        self,
        number: int,
        pair: StoredPair,
        corner: tuple[int, int],
        side: int,
        first: Flow | None = None,
    ) -> FloatImage:
        """The sharp photo as seen from the blurred one's crop.

        first: displacements of the crop with its margin, before the map of the whole photo.
        """
        left, top = self._counterpart(number, corner, side)
        wide = side + 2 * WARP_MARGIN_PX
        start = left - WARP_MARGIN_PX, top - WARP_MARGIN_PX
        view = as_float(_cut_beyond(pair.all_in_focus, start, wide))
        # Both views begin a margin before their corners; the map goes between these new origins.
        matrix = self._store.geometry(number).matrix.copy()
        matrix[:, 2] += matrix[:, :2] @ (np.array(corner) - WARP_MARGIN_PX) - np.array(start)
        flow = affine_flow(matrix, (wide, wide))
        if first is not None:
            flow += first @ matrix[:, :2].T.astype(np.float32)
        return np.clip(_without_margin(warp(view, flow), side), 0, 1)

    def _too_small(self, number: int, pair: StoredPair, side: int) -> InputError:
        height, width = pair.size
        return InputError(
            f"{self.name(number)} is smaller than a crop",
            why=f"{width} x {height} px at scale 1/{self.scale(number)}, crops have {side} px",
            fix="a smaller crop_px or scale (--set), or leave the pair out",
        )

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        # Three numbers seed the order and two a sample, so the two streams never meet.
        return np.random.default_rng((self._seed, epoch, 0)).permutation(len(self))


def _cut(pixels: Pixels, corner: tuple[int, int], side: int) -> Pixels:
    left, top = corner
    return pixels[top : top + side, left : left + side]


def _without_margin(view: FloatImage, side: int) -> FloatImage:
    inner = slice(WARP_MARGIN_PX, WARP_MARGIN_PX + side)
    return view[inner, inner]


def _cut_beyond(pixels: Pixels, corner: tuple[int, int], side: int) -> Pixels:
    """As `_cut`; beyond the border the photo is mirrored."""
    rows, columns = (
        _mirrored(np.arange(start, start + side), length)
        for start, length in zip(reversed(corner), pixels.shape[:2], strict=True)
    )
    return pixels[rows[:, None], columns]


def _mirrored(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    if length == 1:
        return np.zeros_like(places)
    period = 2 * (length - 1)
    folded = np.abs(places) % period
    return np.asarray(np.minimum(folded, period - folded))


def _turned(image: FloatImage, turns: int, mirrored: bool) -> FloatImage:
    turned = np.rot90(image, turns)
    return turned[:, ::-1] if mirrored else turned
