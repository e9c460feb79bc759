"""What became of every photo of a folder: rows of JSON that are only ever added.

Every run writes a file of its own, so that no two writers meet, and reading takes all files
together: what several runs, machines or copied folders did is merged by lying side by side. A
database in WAL mode would need memory shared between its users, which network shares do not give;
and of a row that was cut off, whether by a power cut or a full disk, nothing but that row is lost.
"""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from sys import intern
from typing import Any, BinaryIO, Literal, get_args

from defocusfix.errors import OutputError
from defocusfix.jobs.fingerprint import FileState
from defocusfix.jobs.folders import STATE_FOLDER
from defocusfix.photo.safe_write import flush_folder

SCHEMA = 1
SUFFIX = ".jsonl"

State = Literal["begun", "done", "failed", "found"]
STATES = frozenset(get_args(State))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a run did to one photo at one moment."""

    state: State
    """begun: taken up. done: saved. failed: see `error`. found: an output was there and stayed."""
    key: str
    """The photo's path in the folder that was named, with / between the parts."""
    root: str
    """Where that path begins, on the machine of the run."""
    run: str
    """The run, by the name of its file."""
    time: str
    """In ISO form, UTC. Clocks of machines differ, so no decision rests on it alone."""
    settings: str
    """Fingerprint."""
    model_sha256: str
    source: FileState | None = None
    """The photo, before it was read; called `input` in the file."""
    output: str | None = None
    """Path of the restored photo: within the home if it is there, otherwise absolute."""
    output_before: FileState | None = None
    """What was there when the photo was begun; None for nothing."""
    output_state: FileState | None = None
    """The restored photo, once saved."""
    map: str | None = None
    comparison: str | None = None
    seconds: float | None = None
    megapixels: float | None = None
    blur: float | None = None
    """Share of the photo that was out of focus, 0 to 1."""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: Mapping[str, object] | None = None
    """As in the events of `--json`."""

    def to_line(self) -> bytes:
        """The row as it stands in a file."""
        facts: dict[str, object] = {"schema": SCHEMA, "state": self.state, "key": self.key}
        facts |= {"root": self.root, "run": self.run, "time": self.time}
        facts |= {"settings": self.settings, "model_sha256": self.model_sha256}
        facts |= {"input": _state_to_json(self.source), "output": self.output}
        if self.state == "begun":
            facts["output_before"] = _state_to_json(self.output_before)
        rest = {
            "output_state": _state_to_json(self.output_state),
            "map": self.map,
            "comparison": self.comparison,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "megapixels": None if self.megapixels is None else round(self.megapixels, 3),
            "blur": None if self.blur is None else round(self.blur, 4),
            "warnings": self.warnings,
            "notes": self.notes,
            "error": self.error,
        }
        facts |= {name: value for name, value in rest.items() if value not in (None, ())}
        return json.dumps(facts).encode() + b"\n"


class Journal:
    """The rows of all runs in one home, and the file to which this run adds its own.

    Reads everything that is there. Safe to use from several threads. Raises OSError if it cannot be
    read, OutputError if a newer version of the program wrote it.
    """

    def __init__(self, home: Path) -> None:
        self._folder = journal_folder(home)
        self._rows: dict[str, list[Row]] = {}
        self._own: dict[str, tuple[int, ...]] = {}  # where in its file this run's rows begin
        self._read_to: dict[str, int] = {}
        self._access = threading.RLock()
        self._file: BinaryIO | None = None
        self._is_torn = False
        moment = datetime.now(UTC)
        host = re.sub(r"[^A-Za-z0-9]+", "_", platform.node())[:40] or "host"
        self.run = f"{moment:%Y%m%dT%H%M%SZ}-{host}-{os.getpid()}-{secrets.token_hex(4)}"
        """The name of this run."""
        self.refresh()

    @property
    def runs(self) -> frozenset[str]:
        """The other runs that wrote something."""
        with self._access:
            return frozenset(Path(name).stem for name in self._read_to)

    def rows(self, key: str) -> tuple[Row, ...]:
        """What is known of a photo: of each run its last rows, in no order."""
        with self._access:
            return (*self._rows.get(key, ()), *self._own_rows(key))

    def refresh(self) -> None:
        """Read what other runs have added."""
        with self._access:
            for file in _files(self._folder):
                if file.stem == self.run:
                    continue
                begin = self._read_to.get(file.name, 0)
                if file.stat().st_size > begin:
                    for row, end in _rows_of(file, begin):
                        self._read_to[file.name] = end
                        self._keep(row)

    def add(self, row: Row, *, is_lasting: bool = True) -> None:
        """Add a row of this run.

        is_lasting: whether it must survive a power cut from now on, for which the disk is waited
        for. Raises OSError if it cannot be written, or if the file is gone.
        """
        with self._access:
            if self._file is None:
                self._file = self._path.open("xb", buffering=0)
                flush_folder(self._folder)
            line = row.to_line()
            if self._is_torn:
                self._file.write(b"\n")
            begin = self._file.tell()
            self._is_torn = True
            while line:
                line = line[self._file.write(line) :]
            if is_lasting:
                os.fsync(self._file.fileno())
            self._is_torn = False
            # What was done last is all that is of use; before that, how it came to it is, too.
            before = () if row.state == "done" else self._own.get(row.key, ())
            self._own[row.key] = (*before, begin)
            self.check()

    def check(self) -> None:
        """Raise OSError if the file to which this run adds is gone, as when a share vanishes."""
        with self._access:
            if self._file is None:
                return
            there = self._path.stat()
            if not os.path.samestat(os.fstat(self._file.fileno()), there):
                raise FileNotFoundError(f"{self._folder} is another folder than before")

    def close(self) -> None:
        """Close the file of this run."""
        with self._access:
            if self._file is not None:
                self._file.close()
                self._file = None

    @property
    def _path(self) -> Path:
        return self._folder / f"{self.run}{SUFFIX}"

    def _own_rows(self, key: str) -> list[Row]:
        """What this run wrote of a photo: read again, since that is seldom asked for."""
        begins = self._own.get(key, ())
        if not begins:
            return []
        rows: list[Row] = []
        with self._path.open("rb") as lines:
            for begin in begins:
                lines.seek(begin)
                row = _row(lines.readline(), self._path)
                if row is not None:
                    rows = [*(other for other in rows if not _makes_void(row, other)), row]
        return rows

    def _keep(self, row: Row) -> None:
        """Take a row in, and leave out those that it makes void."""
        rows = self._rows.setdefault(row.key, [])
        rows[:] = [other for other in rows if not _makes_void(row, other)]
        rows.append(row)


def journal_folder(home: Path) -> Path:
    """Where the journal of a plan's home is."""
    return home / STATE_FOLDER / "journal"


def read_rows(home: Path) -> Iterator[Row]:
    """All rows of all runs, as they were written; those of one run in their order.

    Raises OSError if they cannot be read, OutputError if a newer version of the program wrote them.
    """
    for file in _files(journal_folder(home)):
        for row, _ in _rows_of(file, 0):
            yield row


def known_outputs(home: Path) -> set[Path]:
    """All files that runs wrote or began, but for those that took their photo's place; absolute.

    Raises as `read_rows`.
    """
    outputs: set[Path] = set()
    home = Path(os.path.abspath(home))  # noqa: PTH100  links are not followed
    for row in read_rows(home):
        if row.state in ("begun", "done"):
            paths = [home / path for path in (row.output, row.map, row.comparison) if path]
            outputs.update(path for path in paths if path != Path(row.root, row.key))
    return outputs


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == SUFFIX)
    except FileNotFoundError:
        return []


def _rows_of(file: Path, begin: int) -> Iterator[tuple[Row, int]]:
    """The rows from a position on, each with the position where it ends. Torn ones are left out."""
    with file.open("rb") as lines:
        lines.seek(begin)
        end = begin
        for line in lines:
            end += len(line)
            row = _row(line, file)
            if row is not None:
                yield row, end


def _row(line: bytes, file: Path) -> Row | None:
    """The row in a line; None if it is none, or was cut off."""
    try:
        facts: Any = json.loads(line.strip(b"\0 \r\n"))  # a power cut can leave zeros
        if not isinstance(facts, dict) or facts["state"] not in STATES:
            return None
        schema = int(facts["schema"])
    except (ValueError, LookupError, TypeError):
        return None
    if schema > SCHEMA:
        raise OutputError(
            f"{file} was written by a newer version of defocusfix",
            why=f"its rows have the form {schema}, this version knows those up to {SCHEMA}",
            fix="update defocusfix on this machine, or choose another folder with -o",
        )
    with suppress(ValueError, LookupError, TypeError, AttributeError):
        return _row_from(facts)
    return None


def _row_from(facts: dict[str, Any]) -> Row:
    def text(name: str) -> str:
        return intern(str(facts[name]))  # one for all rows of a run

    def path(name: str) -> str | None:
        return None if facts.get(name) is None else str(facts[name])

    return Row(
        state=facts["state"],
        key=str(facts["key"]),
        root=text("root"),
        run=text("run"),
        time=str(facts["time"]),
        settings=text("settings"),
        model_sha256=text("model_sha256"),
        source=_state_from_json(facts.get("input")),
        output=path("output"),
        output_before=_state_from_json(facts.get("output_before")),
        output_state=_state_from_json(facts.get("output_state")),
        map=path("map"),
        comparison=path("comparison"),
        seconds=facts.get("seconds"),
        megapixels=facts.get("megapixels"),
        blur=facts.get("blur"),
        warnings=tuple(map(intern, facts.get("warnings", ()))),
        notes=tuple(map(intern, facts.get("notes", ()))),
        error=facts.get("error"),
    )


def _makes_void(row: Row, other: Row) -> bool:
    """Whether a later row says all that is still of use in another one of the same photo."""
    if row.run != other.run:
        return False
    if other.state == "begun":
        return True
    return row.settings == other.settings and (row.state, other.state) in {
        ("done", "done"),
        ("done", "failed"),
        ("done", "found"),
        ("failed", "failed"),
        ("found", "found"),
        ("begun", "failed"),
    }


def _state_to_json(state: FileState | None) -> dict[str, object] | None:
    if state is None:
        return None
    return {"size": state.size, "mtime_ns": state.mtime_ns, "sha256": state.sha256}


def _state_from_json(facts: dict[str, Any] | None) -> FileState | None:
    if facts is None:
        return None
    return FileState(int(facts["size"]), int(facts["mtime_ns"]), facts["sha256"])
