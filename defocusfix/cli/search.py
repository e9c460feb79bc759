"""From what was named to a plan, as often as it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from defocusfix.errors import InputError
from defocusfix.jobs.gathering import distinct_folders
from defocusfix.jobs.plan import Naming, OnExists, Plan
from defocusfix.jobs.planning import InPlace, home_of, make_plan

if TYPE_CHECKING:
    from defocusfix.jobs.folders import FolderChoice, Found


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a command names: photos and folders, and where what becomes of them goes.

    shard: the part of all photos that is done here, as I/N; None for all.
    """

    sources: Sequence[Path | None]
    naming: Naming
    choice: FolderChoice
    output: Path | None = None
    is_folder: bool = False
    to_stdout: bool = False
    in_place: InPlace | None = None
    on_exists: OnExists | None = None
    shard: str | None = None

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """The folders among the sources."""
        return distinct_folders(self.sources)

    @cached_property
    def home(self) -> Path | None:
        """The folder that keeps the journal; None if no folder was named."""
        return home_of(self.sources, output=self.output)

    def plan(self) -> Plan:
        """The plan for all that is there now. Raises as `make_plan`, and UsageError for a shard."""
        plan = make_plan(
            self.sources,
            naming=self.naming,
            output=self.output,
            is_folder=self.is_folder,
            to_stdout=self.to_stdout,
            in_place=self.in_place,
            on_exists=self.on_exists,
            choice=self.choice,
            outputs_of=outputs_of,
        )
        if self.shard is None:
            return plan
        from defocusfix.jobs.shards import Shard, part_of

        return part_of(plan, Shard.parse(self.shard))

    def find(self, folder: Path) -> Sequence[Found]:
        """The photos of a folder that are there now."""
        from defocusfix.jobs.folders import find_photos

        found = find_photos(folder, self.choice, passed_over=self.output, outputs_of=outputs_of)
        return found.photos


def outputs_of(home: Path) -> Collection[Path]:
    """What the journal of a folder says that runs wrote. Raises InputError if it cannot be read."""
    from defocusfix.jobs.journal import known_outputs

    try:
        return known_outputs(home)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"the journal in {home} cannot be read", why=reason) from error
