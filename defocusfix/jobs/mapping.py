"""Defocus maps as the work of a plan: how blurred each place of a photo is, and nothing else."""

from __future__ import annotations

from functools import partial
from typing import Literal

from defocusfix.jobs.events import Method
from defocusfix.jobs.files import Streams, make_folder, read_item
from defocusfix.jobs.map_file import encode_map, write_map
from defocusfix.jobs.plan import Item
from defocusfix.jobs.restoring import blur_of, method_of
from defocusfix.jobs.run import Computed, Report, Saved
from defocusfix.jobs.treatment import MapFormat
from defocusfix.photo.limits import Limits
from defocusfix.photo.photo import Photo
from defocusfix.restoration.defocus_map import DefocusMap
from defocusfix.restoration.restorer import Restorer

MAP_BITS = 32  # a map is measured in fractions of a pixel, which less than fp32 would blur


class Mapping:
    """Writes the defocus maps of a plan's photos, as its outputs.

    scale: finest size computed, 1 for the full one, 2 for half, 4 for a quarter.
    """

    def __init__(
        self,
        restorer: Restorer,
        *,
        program: str,
        map_format: MapFormat,
        scale: Literal[1, 2, 4],
        limits: Limits,
        streams: Streams,
        may_overwrite: bool,
    ) -> None:
        self.program = program
        self._restorer = restorer
        self._map_format = map_format
        self._scale = scale
        self._limits = limits
        self._streams = streams
        self._may_overwrite = may_overwrite

    def warm_up(self, item: Item) -> None:
        """Nothing: the restorer is open."""

    def read(self, item: Item) -> Photo:
        """The photo."""
        return read_item(item, self._limits, self._streams)

    def method(self, photo: Photo) -> Method:
        """By what the map will be made."""
        return method_of(self._restorer, MAP_BITS)

    def megapixels(self, photo: Photo) -> float:
        """Of the whole photo."""
        return photo.megapixels

    def compute(self, item: Item, photo: Photo, report: Report) -> Computed:
        """Make the map. Raises UsageError if the network gives none."""
        found = self._restorer.defocus_map(photo.pixels, scale=self._scale, report=report)
        return Computed(
            blur=blur_of(found), scales={}, warnings=(), save=partial(self._save, item, found)
        )

    def _save(self, item: Item, found: DefocusMap) -> Saved:
        if item.output is None:
            self._streams.write(encode_map(found, self._map_format))
            return Saved()
        make_folder(item.output.parent)
        write_map(found, item.output, self._map_format, may_overwrite=self._may_overwrite)
        return Saved()
