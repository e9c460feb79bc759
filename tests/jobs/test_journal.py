"""Rows that survive what happens to files, and those of many runs taken together."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from defocusfix.errors import OutputError
from defocusfix.jobs.fingerprint import FileState
from defocusfix.jobs.journal import Journal, Row, journal_folder, known_outputs, read_rows

STATE = FileState(5, 1_700_000_000_123_456_789, "c0ffee")
ROW = Row(
    state="done",
    key="sub/ä \udcff.jpg",
    root="/photos",
    run="r",
    time="2026-11-20T10:00:00.000+00:00",
    settings="5e77",
    model_sha256="ab",
    source=STATE,
    output="sub/a_restored.jpg",
    output_state=replace(STATE, sha256=None),
    seconds=1.5,
    warnings=("pale",),
)


@pytest.fixture
def home(tmp_path):
    journal_folder(tmp_path).mkdir(parents=True)
    return tmp_path


def journal_of(home, *rows):
    """The file of a run that wrote these rows."""
    journal = Journal(home)
    for row in rows:
        journal.add(replace(row, run=journal.run))
    journal.close()
    return journal_folder(home) / f"{journal.run}.jsonl"


def test_what_is_added_is_read_again_as_it_was(home):
    file = journal_of(home, ROW)
    assert list(read_rows(home)) == [replace(ROW, run=file.stem)]


def test_a_row_is_one_line_of_json_that_says_its_schema(home):
    (line,) = journal_of(home, ROW).read_text().splitlines()
    facts = json.loads(line)
    assert (facts["schema"], facts["state"], facts["key"]) == (1, "done", ROW.key)
    assert facts["input"] == {"size": 5, "mtime_ns": STATE.mtime_ns, "sha256": "c0ffee"}


def test_a_run_that_adds_nothing_leaves_no_file(home):
    journal_of(home)
    assert list(journal_folder(home).iterdir()) == []


def test_the_rows_of_all_runs_are_taken_together_and_new_ones_are_seen_when_asked_for(home):
    journal_of(home, ROW)
    journal = Journal(home)
    journal_of(home, replace(ROW, settings="other"))
    assert len(journal.rows(ROW.key)) == 1
    journal.refresh()
    assert {row.settings for row in journal.rows(ROW.key)} == {"5e77", "other"}


def test_of_one_run_only_what_is_still_of_use_is_kept_in_memory(home):
    begun, failed = (replace(ROW, state=state) for state in ("begun", "failed"))
    journal_of(home, begun, failed, begun, ROW)
    assert [row.state for row in Journal(home).rows(ROW.key)] == ["done"]
    journal_of(home, ROW, begun)
    assert [row.state for row in Journal(home).rows(ROW.key)].count("begun") == 1


def test_a_journal_that_is_copied_twice_says_nothing_twice(home):
    file = journal_of(home, ROW)
    file.with_name("copy.jsonl").write_bytes(file.read_bytes())
    assert len(Journal(home).rows(ROW.key)) == 1


@pytest.mark.parametrize(
    "torn",
    [
        b'{"schema": 1, "state": "do',
        b"\0\0\0\0\0\0\0\0",
        b"\xff\xfe\n",
        b"[]\n",
        b'{"schema": 1, "state": "done", "key": "a"}\n',
        b'{"schema": "x", "state": "done"}\n',
        b"\n\n",
    ],
)
def test_a_torn_row_is_left_out_and_those_around_it_are_read(home, torn):
    file = journal_of(home, ROW)
    line = file.read_bytes()
    file.write_bytes(line + torn + (b"" if torn.endswith(b"\n") else b"\n") + line)
    journal_of(home, replace(ROW, settings="other"))
    assert sorted(row.settings for row in read_rows(home)) == ["5e77", "5e77", "other"]


def test_a_row_after_zeros_that_a_power_cut_left_is_read(home):
    file = journal_of(home, ROW)
    file.write_bytes(b"\0" * 100 + file.read_bytes())
    assert len(list(read_rows(home))) == 1


def test_a_row_that_is_still_being_written_is_seen_once_it_is_whole(home):
    file = journal_of(home, ROW)
    line = file.read_bytes()
    file.write_bytes(line[:40])
    journal = Journal(home)
    assert journal.rows(ROW.key) == ()
    file.write_bytes(line)
    journal.refresh()
    assert len(journal.rows(ROW.key)) == 1


def test_after_a_write_that_failed_in_the_middle_the_next_row_is_whole(home):
    journal = Journal(home)
    journal.add(ROW)

    class Full:
        def __init__(self, file):
            self.file = file
            self.n_left = 30

        def write(self, data):
            if self.n_left == 0:
                raise OSError(28, "No space left on device")
            part = data[: self.n_left]
            self.n_left -= len(part)
            return self.file.write(part)

        def tell(self):
            return self.file.tell()

        def fileno(self):
            return self.file.fileno()

    whole, journal._file = journal._file, Full(journal._file)
    with pytest.raises(OSError, match="No space"):
        journal.add(replace(ROW, key="lost"))
    journal._file = whole
    journal.add(replace(ROW, key="next"))
    journal.close()
    assert [row.key for row in read_rows(home)] == [ROW.key, "next"]


def test_unknown_keys_are_ignored_and_a_newer_schema_is_refused_in_words(home):
    file = journal_of(home, ROW)
    facts = json.loads(file.read_text())
    file.write_text(json.dumps(facts | {"colour": "blue"}) + "\n")
    assert len(list(read_rows(home))) == 1
    file.write_text(json.dumps(facts | {"schema": 2}) + "\n")
    with pytest.raises(OutputError, match="newer version") as refusal:
        Journal(home)
    assert "update defocusfix" in refusal.value.fix


def test_a_journal_whose_folder_is_gone_is_noticed(home):
    journal = Journal(home)
    journal.add(ROW)
    journal.check()
    journal_folder(home).rename(home / "elsewhere")
    with pytest.raises(FileNotFoundError):
        journal.check()
    journal_folder(home).mkdir()
    (journal_folder(home) / f"{journal.run}.jsonl").touch()  # another disk under the same name
    with pytest.raises(FileNotFoundError):
        journal.add(ROW)
    journal.close()


def test_outputs_are_known_but_for_those_that_took_their_photos_place(home):
    in_place = replace(ROW, key="b.jpg", root=str(home), output="b.jpg")
    unfinished = replace(ROW, state="begun", output="c.jpg", map="c.png")
    journal_of(home, ROW, in_place, unfinished, replace(ROW, state="found", output="theirs.jpg"))
    names = {path.relative_to(home).as_posix() for path in known_outputs(home)}
    assert names == {"sub/a_restored.jpg", "c.jpg", "c.png"}
