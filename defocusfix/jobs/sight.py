"""One photo as it stands when its turn has come: its files, and what the journal says of them.

Nothing here rests on the order of what several runs wrote, since their clocks may differ: a photo
is done if some row says so whose photo and output are the ones that are there now.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from defocusfix.errors import InputError
from defocusfix.jobs.fingerprint import FileState, PresentFile
from defocusfix.jobs.journal import Row
from defocusfix.jobs.plan import Item

NO_RUNS: frozenset[str] = frozenset()


class Sight:
    """What there is of one item.

    rows: all that the journal says of it. verifies: whether files are compared by content though
    their size and time are equal. Raises OSError if the photo is not there.
    """

    def __init__(
        self, item: Item, home: Path, settings: str, rows: Sequence[Row], *, verifies: bool
    ) -> None:
        if item.source is None:
            raise ValueError("standard input has no place in a journal")
        self.item = item
        self.rows = rows
        self.root = root_of(item.source, item.key)
        self.source = PresentFile(item.source)
        self._home = home
        self._settings = settings
        self._verifies = verifies
        self._files: dict[Path, PresentFile | None] = {item.source: self.source}

    @property
    def output(self) -> PresentFile | None:
        """What has the name of the output; None for nothing."""
        return None if self.item.output is None else self._file(self.item.output)

    def done(self, *, ignored: Collection[str] = NO_RUNS) -> Row | None:
        """A row that says that the item is done as it is wanted; None if there is none.

        ignored: runs whose rows do not count. Raises OSError if a file cannot be read.
        """
        rows = [row for row in self.rows if row.state == "done" and row.run not in ignored]
        # First those for which no file must be read.
        rows.sort(key=lambda row: self.as_seen(row) != row)
        return next((row for row in rows if self._is_still_done(row)), None)

    def failed(self, *, ignored: Collection[str] = NO_RUNS) -> InputError | None:
        """What an earlier run met that could not do the photo as it is; None if none tried.

        Only what is about the photo itself counts: an output that could not be written may well be
        another time. So does no failure of what another run could do.
        """
        done = {row.source for row in self.rows if row.state == "done" and self._is_alike(row)}
        hashes = {state.sha256 for state in done if state is not None}
        for row in self.rows:
            if row.state != "failed" or row.run in ignored or not self._is_alike(row):
                continue
            error = row.error or {}
            if error.get("error") != "InputError" or row.source is None:
                continue
            if row.source.sha256 not in hashes and self.source.is_as(row.source):
                what, why, fix = (str(error.get(name, "")) for name in ("what", "why", "try"))
                return InputError(what, why=why, fix=fix)
        return None

    def completed(self, *, ignored: Collection[str] = NO_RUNS) -> Row | None:
        """A row of a run that was killed when the output was there but not written down yet.

        With the state of that output; None if there is none. Map and comparison are written before
        the photo, and every file appears complete, so the photo was the last step.
        """
        for row, output in self._unwritten():
            if row.run in ignored:
                continue
            if self.item.is_in_place or (self._is_alike(row) and self.source.is_as(row.source)):
                return replace(row, output_state=output.read())
        return None

    def strange_outputs(self) -> tuple[Path, ...]:
        """Files that have the name of an output, and that no run wrote or somebody changed."""
        item = self.item
        paths = [path for path in (item.output, item.map_output, item.comparison_output) if path]
        there = [path for path in paths if path != item.source and os.path.lexists(path)]
        own = {name for row in self.rows for name in self._own(row)} if there else set()
        return tuple(path for path in there if name_in(self._home, path) not in own)

    def as_seen(self, row: Row) -> Row:
        """A row that is true of the files, with their present times."""
        if self.item.is_in_place or row.source is None or row.output_state is None:
            return row
        output = self._file(self._home / row.output) if row.output else None
        if output is None:
            return row
        return replace(
            row,
            source=replace(row.source, mtime_ns=self.source.state.mtime_ns),
            output_state=replace(row.output_state, mtime_ns=output.state.mtime_ns),
        )

    def _is_alike(self, row: Row) -> bool:
        """Whether a row is about the same settings."""
        return row.settings == self._settings

    def _is_still_done(self, row: Row) -> bool:
        if row.output is None:
            return False
        if self.item.is_in_place:
            # What is restored already is not restored again, whatever the settings of today.
            is_same = row.output == name_in(self._home, self.item.output)
            return is_same and self.source.is_as(row.output_state, verifies=self._verifies)
        if not self._is_alike(row) or not self.source.is_as(row.source, verifies=self._verifies):
            return False
        return self._is_untouched(row.output, row) and all(
            os.path.lexists(self._home / name) for name in (row.map, row.comparison) if name
        )

    def _is_untouched(self, output: str, row: Row) -> bool:
        file = self._file(self._home / output)
        return file is not None and file.is_as(row.output_state, verifies=self._verifies)

    def _own(self, row: Row) -> tuple[str, ...]:
        """The files that a row says were made of this photo, and that may be replaced."""
        is_same_photo = row.root == self.root or self.source.is_as(row.source)
        if not is_same_photo or row.state not in ("begun", "done") or row.output is None:
            return ()
        # Of those the journal keeps no state; what was begun may have got as far as them.
        others = tuple(name for name in (row.map, row.comparison) if name)
        if row.state == "done":
            is_own = self._is_untouched(row.output, row)
        else:
            is_own = any(row is begun for begun, _ in self._unwritten())
        return (row.output, *others) if is_own else others

    def _unwritten(self) -> Iterator[tuple[Row, PresentFile]]:
        """Rows of what was begun, never ended, and has another output now than when it began."""
        ends = [row for row in self.rows if row.state == "done"]
        for row in self.rows:
            if row.state != "begun" or row.output is None:
                continue
            if any(end.run != row.run and end.time >= row.time for end in ends):
                continue  # another run did it since
            output = self._file(self._home / row.output)
            if output is not None and not output.is_as(row.output_before):
                yield row, output

    def _file(self, path: Path) -> PresentFile | None:
        if path not in self._files:
            try:
                self._files[path] = PresentFile(path)
            except FileNotFoundError:
                self._files[path] = None
        return self._files[path]


def root_of(source: Path, key: str) -> str:
    """Where the path begins that a key is: two photos of one key and one root are the same one."""
    path = Path(os.path.abspath(source)).as_posix()  # noqa: PTH100  links are not followed
    return path.removesuffix(f"/{key}")


def name_in(home: Path, path: Path | None) -> str | None:
    """How the journal calls a file: by its path within the home, if it is there."""
    if path is None:
        return None
    if path.is_relative_to(home):
        return path.relative_to(home).as_posix()
    return Path(os.path.abspath(path)).as_posix()  # noqa: PTH100  links are not followed


def state_of(path: Path) -> FileState | None:
    """A file with its content; None if it is not there. Raises OSError if it cannot be read."""
    try:
        return PresentFile(path).read()
    except FileNotFoundError:
        return None


def was_left(path: Path, before: FileState | None) -> bool:
    """Whether a file is there, of the same size and time as before."""
    try:
        now = FileState.of(path)
    except OSError:
        return False
    return before is not None and (now.size, now.mtime_ns) == (before.size, before.mtime_ns)
