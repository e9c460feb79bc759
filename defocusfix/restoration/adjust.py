"""From what the network found to stored values: how much of it each pixel gets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from defocusfix.restoration.level import N_COLOURS
from defocusfix.restoration.mask import Mask
from defocusfix.restoration.settings import RestoreSettings
from defocusfix.restoration.stored import Pixels, changed
from defocusfix.restoration.tiles import Span

FloatArray = npt.NDArray[np.float32]
BAND_ROWS = 64  # changed at a time, so that temporary copies stay small
BOKEH_FADE = 0.75  # share of the radius to keep from which restoration fades out


class Finisher:
    """Changes the stored values of a rectangle of a photo, part by part, and keeps its map.

    pixels: the whole photo. target: where the rectangle's stored values go; may be a part of
    `pixels`: rows are written only once `release` says that nobody will read them any more.
    """

    def __init__(
        self,
        pixels: Pixels,
        target: Pixels,
        rows: Span,
        columns: Span,
        *,
        settings: RestoreSettings,
        mask: Mask | None,
        has_radius: bool,
    ) -> None:
        self.target = target
        self._pixels = pixels
        self._rows, self._columns = rows, columns
        self._settings, self._mask = settings, mask
        self._waiting: list[tuple[Span, Span, Pixels]] = []
        shape = (len(rows), len(columns))
        self.radius_px = np.zeros(shape, np.float16) if has_radius else None

    def take(self, rows: Span, columns: Span, values: FloatArray) -> None:
        """Work out a finished part. values: (C, rows, columns), change and radius in pixels."""
        for band in _bands(rows):
            of_band = values[:, band.within(rows).indices]
            change, radius_px = of_band[:N_COLOURS], None
            if self.radius_px is not None:
                radius_px = of_band[N_COLOURS]
                self.radius_px[self._place(band, columns)] = radius_px
            if not change.any():
                continue
            stored = self._pixels[band.indices, columns.indices]
            amount = self._amount(band, columns, radius_px)
            self._waiting.append((band, columns, changed(stored, change, amount)))

    def release(self, first_row: int) -> None:
        """Write what has been worked out above a row: from there on the photo is still read."""
        waiting = self._waiting
        self._waiting = []
        for rows, columns, stored in waiting:
            if rows.stop <= first_row:
                self.target[self._place(rows, columns)] = stored
            else:
                self._waiting.append((rows, columns, stored))

    def _place(self, rows: Span, columns: Span) -> tuple[slice, slice]:
        return rows.within(self._rows).indices, columns.within(self._columns).indices

    def _amount(
        self, rows: Span, columns: Span, radius_px: FloatArray | None
    ) -> FloatArray | np.float32:
        amount: FloatArray | np.float32 = np.float32(self._settings.strength)
        if radius_px is not None:
            amount = amount * share_restored(radius_px, self._settings)
        if self._mask is not None:
            amount = amount * self._mask.part(rows, columns)
        return amount


def share_restored(radius_px: FloatArray, settings: RestoreSettings) -> FloatArray | np.float32:
    """How much of the restoration blur of these radii gets, 0 to 1; in one number if all alike."""
    share: FloatArray | np.float32 = np.float32(1)
    if settings.protect_sharp > 0:
        closed_px = settings.protect_sharp
        share = share * _rise(radius_px, closed_px, 2 * closed_px)
    if settings.keep_bokeh_px is not None:
        kept_px = settings.keep_bokeh_px
        share = share * (1 - _rise(radius_px, BOKEH_FADE * kept_px, kept_px))
    return share


def _rise(values: FloatArray, start: float, stop: float) -> FloatArray:
    """0 up to `start`, 1 from `stop` on, smooth in between."""
    ramp = ((values - np.float32(start)) * np.float32(1 / (stop - start))).clip(0, 1)
    smooth: FloatArray = ramp * ramp * (3 - 2 * ramp)
    return smooth


def _bands(rows: Span) -> list[Span]:
    return [
        Span(start, min(start + BAND_ROWS, rows.stop))
        for start in range(rows.start, rows.stop, BAND_ROWS)
    ]
