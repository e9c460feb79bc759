"""What goes where, settled completely before the first pixel is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from defocusfix.jobs.own_outputs import RESTORED

if TYPE_CHECKING:
    # Reads photos' suffixes, and with them all that reads photos.
    from defocusfix.jobs.folders import LeftOut


class OnExists(Enum):
    """What to do about an output that is there already."""

    ERROR = "error"
    SKIP = "skip"
    OVERWRITE = "overwrite"
    RENAME = "rename"


@dataclass(frozen=True, slots=True)
class Item:
    """One photo of a plan."""

    source: Path | None
    """None for standard input."""
    output: Path | None
    """What the command is for, the restored photo or the map; None for standard output."""
    map_output: Path | None = None
    """Where a defocus map goes besides; None for no map."""
    comparison_output: Path | None = None
    """Where a picture or page of before and after goes; None for none."""
    is_skipped: bool = False
    """Whether the output is there already and stays."""
    key: str = ""
    """What the journal knows the photo by, unique in a plan: its path within the folder that was
    named, with / between the parts."""
    backup_output: Path | None = None
    """Where the photo as it was is kept, if the output takes its place; None for nowhere."""
    replaces: bool = False
    """Whether the output takes the place of the file that is there: in place the photo itself,
    otherwise an output of an earlier run."""

    @property
    def is_in_place(self) -> bool:
        """Whether the output takes the place of the photo."""
        return self.source is not None and self.output == self.source

    @property
    def name(self) -> str:
        """What the user calls the photo."""
        return "standard input" if self.source is None else str(self.source)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Every file this item writes."""
        paths = (self.output, self.map_output, self.comparison_output, self.backup_output)
        return tuple(path for path in paths if path is not None)


@dataclass(frozen=True, slots=True)
class Plan:
    """All photos of one command.

    No two items write one file, and none writes over an input that is not its own.
    """

    items: tuple[Item, ...]
    on_exists: OnExists
    home: Path | None = None
    """The folder that keeps the journal; None for a plan without one, of named files only.

    Where there is a journal, it is asked about each photo when its turn comes, and no item is
    skipped or renamed in advance for an output that exists."""
    warnings: tuple[str, ...] = ()
    """What the user should know before the work begins."""
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    """How many entries of the folders are none of the photos, by the reason."""

    @property
    def todo(self) -> tuple[Item, ...]:
        """The items that are not skipped."""
        return tuple(item for item in self.items if not item.is_skipped)


def keep_suffix(source: Path) -> str:
    """The suffix of a photo that keeps its format."""
    return source.suffix


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What the outputs of a command are called where the user did not name them."""

    ending: str = RESTORED
    """Between the stem of a photo's name and the suffix."""
    suffix_of: Callable[[Path], str] = keep_suffix
    """The suffix of the output, from the path of a photo."""
    map_suffix: str | None = None
    """Suffix of a map `{stem}_defocus`; None for no map."""
    map_output: Path | None = None
    """The map's own name, for a single photo."""
    comparison_suffix: str | None = None
    """Suffix of a before and after `{stem}_compare`; None for none."""
