"""The journal of a folder kept while its photos are done, so that none is done twice."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from defocusfix.errors import DefocusfixError, InputError, OutputError
from defocusfix.jobs.claims import Claims
from defocusfix.jobs.events import (
    PhotoDone,
    PhotoFailed,
    PhotoSkipped,
    Settled,
    SkipReason,
    error_to_json,
)
from defocusfix.jobs.fingerprint import FileState
from defocusfix.jobs.folders import STATE_FOLDER
from defocusfix.jobs.journal import Journal, Row, State, journal_folder
from defocusfix.jobs.own_outputs import numbered
from defocusfix.jobs.plan import Item, OnExists
from defocusfix.jobs.sight import Sight, name_in, root_of, state_of, was_left
from defocusfix.photo.safe_write import remove_leftovers

# What the system says when a disk is full or a share is gone, which no other photo would escape.
_ABOUT_ALL = "ENOSPC EDQUOT EROFS ESTALE ENOTCONN ENODEV ENXIO EHOSTDOWN EHOSTUNREACH ETIMEDOUT"
ABOUT_ALL = frozenset(getattr(errno, name) for name in _ABOUT_ALL.split() if hasattr(errno, name))


class Bookkeeping:
    """The `Books` of a run over folders. Safe to use from several threads.

    home: the folder that keeps the journal. settings: fingerprint of what makes the outputs.
    on_exists: what to do about an output that no run wrote, or that was changed since.
    resumes: whether photos that an earlier run finished stay as they are. retries_failed: whether
    those are tried again that an earlier run could not do. verifies:
    whether files are compared by content though their size and time are equal. folders: those that
    were named; that one of them is gone ends the run. hashes_inputs: whether photos are read when
    they are taken; otherwise `done` is told what they were, as it may be by another machine.

    Raises OutputError if the home cannot be written to, or a newer version wrote the journal.
    """

    def __init__(
        self,
        home: Path,
        *,
        settings: str,
        model_sha256: str,
        on_exists: OnExists = OnExists.SKIP,
        resumes: bool = True,
        retries_failed: bool = False,
        verifies: bool = False,
        folders: Sequence[Path] = (),
        hashes_inputs: bool = True,
    ) -> None:
        self._home = home
        self._settings = settings
        self._model_sha256 = model_sha256
        self._on_exists = on_exists
        self._retries_failed = retries_failed
        self._verifies = verifies
        self._hashes_inputs = hashes_inputs
        self._folders = {folder: _identity(folder) for folder in folders}
        self._begun: dict[str, Row] = {}
        self._trouble: OutputError | None = None
        with self._at_home():
            claims = home / STATE_FOLDER / "claims"
            for folder in (journal_folder(home), claims):
                folder.mkdir(parents=True, exist_ok=True)
            self._claims = Claims(claims)
            self._journal = Journal(home)
        self._ignored = frozenset() if resumes else self._journal.runs

    @property
    def run(self) -> str:
        """The name of this run in the journal."""
        return self._journal.run

    @property
    def has_locks(self) -> bool:
        """Whether another run over this folder would be noticed; some network shares hide it."""
        return self._claims.has_locks

    def known(self, item: Item) -> Row | None:
        """What the journal says of an item that some run finished with these settings."""
        rows = self._journal.rows(item.key)
        done = [row for row in rows if row.state == "done" and row.settings == self._settings]
        return max(done, key=lambda row: row.time, default=None)

    def take(self, item: Item) -> Item | Settled:
        """The item as it shall be done, claimed and written down as begun, or why it shall not.

        Raises InputError if the photo cannot be read, OutputError if its output is there and must
        neither stay nor go, or if the home cannot be written to.
        """
        if item.source is None:
            return item
        with _reading(item.source):
            settled = self._settled(self._look(item))
        if settled is not None:
            return settled
        with self._at_home():
            if not self._claims.take(item.key):
                return PhotoSkipped(item, SkipReason.CLAIMED)
        taken: Item | Settled | None = None
        try:
            with _reading(item.source):
                taken = self._claimed(item)
        finally:
            if not isinstance(taken, Item):
                self._claims.release(item.key)
        return taken

    def check(self) -> None:
        """Raise OutputError if the home is gone."""
        with self._at_home():
            self._journal.check()

    def done(
        self, done: PhotoDone, *, source: FileState | None = None, output: FileState | None = None
    ) -> None:
        """Write down a photo that is saved, and give it back.

        source, output: the photo when it was read and what came of it, where another machine knows
        them; None to go by `take` and to look. Raises OutputError if the home cannot be written to.
        """
        item = done.item
        begun = self._begun.pop(item.key, None)
        if begun is None or item.output is None:
            return
        with self._at_home():
            self._add(
                replace(
                    self._mine(begun),
                    state="done",
                    source=source or begun.source,
                    output_state=output or state_of(item.output),
                    seconds=done.seconds,
                    megapixels=done.megapixels,
                    blur=None if done.blur is None else done.blur.share_out_of_focus,
                    warnings=done.warnings,
                    notes=done.notes,
                )
            )
        self._claims.release(item.key)

    def failed(self, failed: PhotoFailed) -> None:
        """Write down a photo that failed, and give it back.

        Raises the error itself if it is not about this photo only, and OutputError if the home, or
        InputError if a named folder is gone.
        """
        item, error = failed.item, failed.error
        if error is self._trouble or _about_all(error):
            raise error
        self._check_folders(error)
        if item.source is None:
            return
        begun = self._begun.pop(item.key, None)
        with self._at_home():
            row = begun or self._row("failed", item, root_of(item.source, item.key))
            # A photo that changed or vanished meanwhile may not be at fault.
            source = row.source if was_left(item.source, row.source) else None
            error_facts = error_to_json(error)
            self._add(replace(self._mine(row), state="failed", source=source, error=error_facts))
        self._claims.release(item.key)

    def close(self) -> None:
        """Give back what was taken and not done, and close the journal."""
        self._claims.close()
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _look(self, item: Item) -> Sight:
        rows = self._journal.rows(item.key)
        return Sight(item, self._home, self._settings, rows, verifies=self._verifies)

    def _settled(self, sight: Sight) -> Settled | None:
        """What is told of an item that needs no work; None if it needs some."""
        done = sight.done(ignored=self._ignored)
        if done is not None:
            self._note_new_times(done, sight)
            return PhotoSkipped(sight.item, SkipReason.DONE)
        failed = None if self._retries_failed else sight.failed(ignored=self._ignored)
        return None if failed is None else PhotoFailed(sight.item, failed, is_earlier=True)

    def _note_new_times(self, done: Row, sight: Sight) -> None:
        """Spare the next run from reading what this one had to read to know it again."""
        seen = sight.as_seen(done)
        if seen != done:
            with self._at_home():
                self._add(self._mine(seen), is_lasting=False)

    def _claimed(self, item: Item) -> Item | Settled:
        """As `take`, once no other run can be at the item."""
        sight = self._look(item)
        if sight.output is not None or sight.rows:
            with self._at_home():
                self._journal.refresh()
            sight = self._look(item)
            settled = self._settled(sight)
            if settled is not None:
                return settled
            if any(row.state == "begun" for row in sight.rows):
                self._tidy(item)
            completed = sight.completed(ignored=self._ignored)
            if completed is not None:
                with self._at_home():
                    self._add(self._mine(replace(completed, state="done")))
                return PhotoSkipped(item, SkipReason.DONE)
        allowed = self._allowed(sight)
        if allowed is None:
            self._note_found(sight)
            return PhotoSkipped(item, SkipReason.EXISTS)
        before = sight.output if allowed.output == item.output else None
        row = self._row("begun", allowed, sight.root)
        begun = replace(
            row,
            source=sight.source.read() if self._hashes_inputs else sight.source.state,
            output_before=None if before is None else before.read(),
        )
        with self._at_home():
            self._add(begun)
        self._begun[item.key] = begun
        return allowed

    def _tidy(self, item: Item) -> None:
        """Remove what a killed run left around a photo it was at.

        That may be in the folders of the outputs or, before these were made, in one around them.
        """
        for output in item.outputs:
            for folder in output.parents:
                remove_leftovers(folder)
                if not folder.is_relative_to(self._home) or folder == self._home:
                    break

    def _allowed(self, sight: Sight) -> Item | None:
        """The item with outputs that may be written; None if its output is there and stays."""
        item = sight.item
        strange = sight.strange_outputs()
        if strange and self._on_exists is OnExists.ERROR:
            raise OutputError(
                f"{strange[0]} exists already",
                why="no run that the journal knows wrote it, or it was changed since",
                fix="--on-exists skip, overwrite or rename; or another place with -o",
            )
        if self._on_exists is OnExists.SKIP:
            if item.output in strange:
                return None
            item = _with_outputs(item, lambda path: None if path in strange else path)
        if self._on_exists is OnExists.RENAME:
            item = _with_outputs(item, lambda path: _free(path) if path in strange else path)
        paths = (item.output, item.map_output, item.comparison_output)
        return replace(item, replaces=any(path and os.path.lexists(path) for path in paths))

    def _note_found(self, sight: Sight) -> None:
        output = sight.output
        known = [row.output_state for row in sight.rows if row.state == "found"]
        if output is None or any(output.is_as(state) for state in known):
            return
        found = self._row("found", sight.item, sight.root)
        with self._at_home():
            row = replace(found, source=sight.source.state, output_state=output.state)
            self._add(row, is_lasting=False)

    def _row(self, state: State, item: Item, root: str) -> Row:
        return Row(
            state=state,
            key=item.key,
            root=root,
            run=self._journal.run,
            time=_now(),
            settings=self._settings,
            model_sha256=self._model_sha256,
            output=name_in(self._home, item.output),
            map=name_in(self._home, item.map_output),
            comparison=name_in(self._home, item.comparison_output),
        )

    def _mine(self, row: Row) -> Row:
        """The row as one that this run writes now."""
        return replace(row, run=self._journal.run, time=_now(), output_before=None)

    def _add(self, row: Row, *, is_lasting: bool = True) -> None:
        self._journal.add(row, is_lasting=is_lasting)

    @contextmanager
    def _at_home(self) -> Iterator[None]:
        """Say of what goes wrong that the journal cannot be kept, and remember it."""
        try:
            yield
        except OSError as error:
            self._trouble = OutputError(
                f"the journal in {self._home / STATE_FOLDER} cannot be kept",
                why=(error.strerror or str(error)).lower(),
                fix="all that is finished is kept; the same command goes on from there",
            )
            raise self._trouble from error

    def _check_folders(self, error: DefocusfixError) -> None:
        """Raise InputError if a named folder is another one than at the beginning, or none."""
        for folder, before in self._folders.items():
            if _identity(folder) != before:
                raise InputError(
                    f"the folder {folder} is gone",
                    why=error.what,
                    fix="all that is finished is kept; the same command goes on from there",
                ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _identity(folder: Path) -> tuple[int, int] | None:
    """Equal as long as a folder is there and on the same disk."""
    try:
        facts = folder.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _with_outputs(item: Item, named: Callable[[Path], Path | None]) -> Item:
    """The item with other names for what it writes."""
    return replace(
        item,
        output=item.output and named(item.output),
        map_output=item.map_output and named(item.map_output),
        comparison_output=item.comparison_output and named(item.comparison_output),
    )


def _free(path: Path) -> Path:
    """The first of `name-2.ext`, `name-3.ext`, ... that nothing has."""
    names = (path.with_name(numbered(path, number)) for number in count(2))
    return next(name for name in names if not os.path.lexists(name))


def _about_all(error: BaseException | None) -> bool:
    """Whether every photo would meet an error, as that of a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in ABOUT_ALL:
            return True
        error = error.__cause__
    return False


@contextmanager
def _reading(source: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"there is no file {source}") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{source} cannot be read", why=reason) from error
