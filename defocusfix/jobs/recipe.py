"""How photos are restored, as plain values, so that any process can build the work from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from defocusfix.jobs.files import Streams
from defocusfix.jobs.restoring import Restoring
from defocusfix.jobs.treatment import Treatment
from defocusfix.restoration.restorer import Restorer, open_restorer
from defocusfix.restoration.settings import RestoreSettings

if TYPE_CHECKING:
    from defocusfix.jobs.report_pictures import PictureStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Made once at the edge and handed on, to other processes as well."""

    treatment: Treatment
    settings: RestoreSettings = field(default_factory=RestoreSettings)
    model: str | Path | None = None
    """As for `Restorer`."""
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    """Of the processor; None for one per core."""
    may_overwrite: bool = False
    """Whether outputs that are there already are replaced."""

    def work(self, streams: Streams, pictures: PictureStore | None = None) -> Restoring:
        """What restores photos in this process; its network is opened when first needed.

        pictures: keeps what a report shows of each photo; None if there is none. Raises InputError
        if the mask cannot be read.
        """
        return Restoring(
            self.treatment,
            self.restorers(),
            streams,
            may_overwrite=self.may_overwrite,
            pictures=pictures,
        )

    def restorers(self) -> Callable[[int], Restorer]:
        """What opens a restorer for outputs of as many bits, and keeps it."""
        return restorers(
            self.model,
            engine=self.engine,
            device=self.device,
            precision=self.precision,
            threads=self.threads,
            settings=self.settings,
        )


def restorers(
    model: str | Path | None,
    *,
    engine: str,
    device: str,
    precision: str,
    threads: int | None,
    settings: RestoreSettings | None = None,
) -> Callable[[int], Restorer]:
    """What opens a restorer for outputs of as many bits, and keeps it.

    There are two at most, for 8 bits and for more: the choice of precision knows no others.
    """

    @cache
    def for_depth(output_bits: int) -> Restorer:
        return open_restorer(
            model,
            settings=settings,
            engine=engine,
            device=device,
            precision=precision,
            output_bits=output_bits,
            threads=threads,
        )

    return lambda bits: for_depth(8 if bits == 8 else 16)
