from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from defocusfix.errors import OutputError
from defocusfix.photo import safe_write as writing
from defocusfix.photo.safe_write import (
    MARK,
    check_writable,
    new_file,
    remove_leftovers,
    safe_write,
)
from tests.rights import without_roots_rights


def test_a_file_is_written_and_nothing_else_is_left(tmp_path):
    safe_write(tmp_path / "für 写真.jpg", b"data")
    assert [file.name for file in tmp_path.iterdir()] == ["für 写真.jpg"]
    assert (tmp_path / "für 写真.jpg").read_bytes() == b"data"


def test_what_is_there_stays_unless_overwriting_is_allowed(tmp_path):
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"old")
    with pytest.raises(OutputError, match="exists already"):
        safe_write(file, b"new")
    assert file.read_bytes() == b"old"
    safe_write(file, b"new", may_overwrite=True)
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("defocusfix.photo.safe_write.os.fsync", full)
    with pytest.raises(OutputError, match="no space left"):
        safe_write(file, b"new", may_overwrite=True)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_without_hard_links_nothing_is_overwritten_either(tmp_path, monkeypatch):
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    file = tmp_path / "photo.jpg"
    safe_write(file, b"first")
    with pytest.raises(OutputError, match="exists already"):
        safe_write(file, b"second")
    assert file.read_bytes() == b"first"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OutputError, match="make the folder first"):
        safe_write(tmp_path / "nowhere" / "photo.jpg", b"data")


STEPS = ("write", "flush", "os.fsync", "Path.chmod", "Path.hardlink_to", "Path.unlink")

KILLED = """
import os, signal, sys
from pathlib import Path
from defocusfix.photo import safe_write
from tests.rights import without_roots_rights

folder, step = Path(sys.argv[1]), sys.argv[2]
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
if step == "os.fsync":
    safe_write.os.fsync = die
elif step.startswith("Path."):
    setattr(Path, step.removeprefix("Path."), die)
with safe_write.new_file(folder / "photo.jpg", may_overwrite=sys.argv[3] == "yes") as file:
    file.write(b"new" * 100_000)
    if step == "write":
        die()
    file.flush()
    if step == "flush":
        die()
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize("step", [*STEPS, "Path.replace"])
def test_killed_at_any_step_the_file_is_whole_or_not_there_and_the_next_run_cleans_up(
    tmp_path, step
):
    file = tmp_path / "photo.jpg"
    may_overwrite = step == "Path.replace"
    if may_overwrite:
        file.write_bytes(b"old")
    words = [sys.executable, "-c", KILLED, tmp_path, step, "yes" if may_overwrite else "no"]
    ended = subprocess.run(words, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not file.exists() or file.read_bytes() in (b"old", b"new" * 100_000)
    (leftover,) = set(tmp_path.iterdir()) - {file}
    assert leftover.name.endswith(MARK)

    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) <= {file}


def test_a_file_that_is_being_written_is_no_leftover(tmp_path):
    file = tmp_path / "photo.jpg"
    with new_file(file) as part:
        part.write(b"data")
        remove_leftovers(tmp_path)
    assert file.read_bytes() == b"data"


def test_strangers_files_are_left_alone(tmp_path):
    names = ("photo.jpg", ".hidden", ".photo.x.part", "photo.defocusfix-part")
    for name in names:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names)


def test_an_error_while_writing_leaves_nothing(tmp_path):
    def fail() -> None:
        with new_file(tmp_path / "photo.jpg") as file:
            file.write(b"half")
            raise KeyError("trouble")

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_file_appearing_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / "photo.jpg"

    def race() -> None:
        with new_file(path) as file:
            file.write(b"ours")
            path.write_bytes(b"theirs")

    with pytest.raises(OutputError, match="exists already"):
        race()
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["a b.jpg", "写真.jpg", "x" * 200 + ".jpg", ".jpg", "a[1]*.jpg", "-"]
)
def test_odd_names_are_written(tmp_path, name):
    safe_write(tmp_path / name, b"data")
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(sys.platform != "linux", reason="drops root's rights the way Linux has it")
def test_a_folder_one_may_not_write_to_is_refused_and_left_as_it_was(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"old")
    tmp_path.chmod(0o555)
    script = (
        "import sys; from pathlib import Path\n"
        "from defocusfix.errors import OutputError\n"
        "from defocusfix.photo.safe_write import check_writable, safe_write\n"
        "path = Path(sys.argv[1])\n"
        "overwrite = lambda: safe_write(path, b'new', may_overwrite=True)\n"
        "inside = lambda: check_writable(path.parent / 'to' / 'make' / 'photo.jpg')\n"
        "for attempt in (lambda: check_writable(path), inside, overwrite):\n"
        "    try: attempt()\n"
        "    except OutputError as error: print(error.why)\n"
    )
    photo = str(tmp_path / "photo.jpg")
    command = [*without_roots_rights(), sys.executable, "-c", script, photo]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == ["permission denied"] * 3
    assert (tmp_path / "photo.jpg").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
    tmp_path.chmod(0o755)


def test_a_try_whose_file_another_run_takes_for_a_leftover_has_not_failed(tmp_path, monkeypatch):
    make = writing._temporary_file

    class Unlocked:
        def __init__(self, file):
            self.file = file

        def close(self):
            self.file.close()
            remove_leftovers(tmp_path)

    def make_unlocked(path):
        file, temporary = make(path)
        return Unlocked(file), temporary

    monkeypatch.setattr(writing, "_temporary_file", make_unlocked)
    check_writable(tmp_path / "photo.jpg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed there")
def test_a_new_file_that_another_run_is_about_to_remove_is_made_again(tmp_path, monkeypatch):
    made = []

    def make(**where):
        handle, name = mkstemp(**where)
        made.append(name)
        if len(made) == 1:
            assert writing.lock(seeker.enter_context(os.fdopen(os.open(name, os.O_RDONLY), "rb")))
        return handle, name

    mkstemp = tempfile.mkstemp
    monkeypatch.setattr(tempfile, "mkstemp", make)
    # Somebody looks for leftovers, has locked the first one, and is about to remove it.
    with ExitStack() as seeker, new_file(tmp_path / "photo.jpg") as file:
        Path(made[0]).unlink(missing_ok=True)
        file.write(b"whole")
    assert len(made) == 2
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("photo.jpg", b"whole")]
