"""What a run would find done, told without writing anything or locking anybody out."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from defocusfix.errors import InputError
from defocusfix.jobs.events import PhotoFailed, PhotoSkipped, Settled, SkipReason
from defocusfix.jobs.journal import Row, read_rows
from defocusfix.jobs.plan import Item, OnExists
from defocusfix.jobs.sight import Sight


class Outlook:
    """The journal of a folder as it stands, asked about items as `Bookkeeping` would be.

    home, settings, on_exists, resumes, retries_failed, verifies: as for `Bookkeeping`. Raises
    InputError if the journal cannot be read, OutputError if a newer version wrote it.
    """

    def __init__(
        self,
        home: Path,
        *,
        settings: str,
        on_exists: OnExists = OnExists.SKIP,
        resumes: bool = True,
        retries_failed: bool = False,
        verifies: bool = False,
    ) -> None:
        self._home = home
        self._settings = settings
        self._on_exists = on_exists
        self._retries_failed = retries_failed
        self._verifies = verifies
        self._rows: dict[str, list[Row]] = defaultdict(list)
        runs = set()
        try:
            for row in read_rows(home):
                self._rows[row.key].append(row)
                runs.add(row.run)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(f"the journal in {home} cannot be read", why=reason) from error
        self._ignored = frozenset() if resumes else frozenset(runs)

    def settled(self, item: Item) -> Settled | None:
        """Why an item needs no work now; None if it needs some, or its photo is not there."""
        try:
            return self._settled(item)
        except OSError:
            return None

    def _settled(self, item: Item) -> Settled | None:
        rows = self._rows.get(item.key, [])
        sight = Sight(item, self._home, self._settings, rows, verifies=self._verifies)
        if sight.done(ignored=self._ignored) or sight.completed(ignored=self._ignored):
            return PhotoSkipped(item, SkipReason.DONE)
        failed = None if self._retries_failed else sight.failed(ignored=self._ignored)
        if failed is not None:
            return PhotoFailed(item, failed, is_earlier=True)
        if self._on_exists is OnExists.SKIP and item.output in sight.strange_outputs():
            return PhotoSkipped(item, SkipReason.EXISTS)
        return None
