from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from defocusfix.errors import InputError, OutputError
from defocusfix.photo.replace import check_replaceable, replacement
from tests.rights import without_roots_rights

OLD, NEW = b"old" * 50_000, b"new" * 70_000
on_unix = pytest.mark.skipif(os.name == "nt", reason="signals, links and permissions of Unix")


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "für 写真.tif"
    path.write_bytes(OLD)
    os.utime(path, (1e9, 1e9))
    return path


@pytest.fixture
def backup(photo) -> Path:
    return photo.with_name("für 写真.orig.tif")


@pytest.fixture
def no_links(monkeypatch):
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)


def replace(path: Path, backup: Path | None = None) -> None:
    with replacement(path, check_replaceable(path), backup=backup) as file:
        file.write(NEW)


def test_the_new_file_has_the_name_and_the_old_one_is_kept_with_its_time(photo, backup):
    replace(photo, backup)
    assert (photo.read_bytes(), backup.read_bytes()) == (NEW, OLD)
    assert backup.stat().st_mtime == 1e9
    assert photo.stat().st_mtime > 1e9
    assert set(photo.parent.iterdir()) == {photo, backup}


def test_where_there_are_no_links_the_old_file_is_copied(photo, backup, no_links):
    replace(photo, backup)
    assert (photo.read_bytes(), backup.read_bytes()) == (NEW, OLD)
    assert backup.stat().st_mtime == 1e9
    assert set(photo.parent.iterdir()) == {photo, backup}


def test_without_a_backup_only_the_new_file_is_there(photo):
    replace(photo)
    assert photo.read_bytes() == NEW
    assert list(photo.parent.iterdir()) == [photo]


@pytest.mark.parametrize("has_links", [True, False])
def test_another_backup_is_never_written_over(photo, backup, has_links, request):
    if not has_links:
        request.getfixturevalue("no_links")
    backup.write_bytes(b"the true original")
    with pytest.raises(OutputError, match=r"orig\.tif exists already"):
        replace(photo, backup)
    assert (photo.read_bytes(), backup.read_bytes()) == (OLD, b"the true original")
    assert set(photo.parent.iterdir()) == {photo, backup}


def test_a_file_that_was_saved_meanwhile_stays_as_it_was_saved(photo, backup):
    was = check_replaceable(photo)
    photo.write_bytes(b"saved by the editor")
    with (
        pytest.raises(OutputError, match="changed or removed while"),
        replacement(photo, was, backup=backup) as file,
    ):
        file.write(NEW)
    assert photo.read_bytes() == b"saved by the editor"
    assert list(photo.parent.iterdir()) == [photo]


def test_a_file_that_was_removed_meanwhile_does_not_come_back(photo, backup):
    was = check_replaceable(photo)
    photo.unlink()
    with (
        pytest.raises(OutputError, match="changed or removed while"),
        replacement(photo, was, backup=backup) as file,
    ):
        file.write(NEW)
    assert list(photo.parent.iterdir()) == []


@pytest.mark.parametrize("step", ["os.fsync", "Path.replace"])
@pytest.mark.parametrize("has_links", [True, False])
def test_a_full_disk_leaves_everything_as_it_was(
    photo, backup, step, has_links, monkeypatch, request
):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if not has_links:
        request.getfixturevalue("no_links")
    monkeypatch.setattr(f"defocusfix.photo.safe_write.{step}", full)
    with pytest.raises(OutputError, match="no space left"):
        replace(photo, backup)
    assert photo.read_bytes() == OLD
    # Where a copy is made, it needs the same steps and is not there either.
    assert list(photo.parent.iterdir()) == [photo]


@on_unix
def test_a_link_stays_a_link_and_the_file_behind_it_is_replaced(photo, tmp_path):
    (tmp_path / "album").mkdir()
    link, backup = tmp_path / "album" / "link.tif", tmp_path / "album" / "link.orig.tif"
    link.symlink_to(photo)
    replace(link, backup)
    assert link.is_symlink()
    assert (link.read_bytes(), photo.read_bytes(), backup.read_bytes()) == (NEW, NEW, OLD)
    assert not backup.is_symlink()


@on_unix
def test_other_names_of_the_file_keep_the_old_one(photo, backup, tmp_path):
    other = tmp_path / "other.tif"
    other.hardlink_to(photo)
    replace(photo, backup)
    assert (photo.read_bytes(), other.read_bytes()) == (NEW, OLD)


@on_unix
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_permissions_stay(photo, backup, mode):
    photo.chmod(mode)
    replace(photo, backup)
    assert stat.S_IMODE(photo.stat().st_mode) == mode


@pytest.mark.skipif(sys.platform != "linux", reason="extended attributes as Linux has them")
def test_extended_attributes_stay(photo, backup):
    try:
        os.setxattr(photo, "user.xdg.tags", b"holiday")
    except OSError:
        pytest.skip("the file system has none")
    replace(photo, backup)
    assert os.getxattr(photo, "user.xdg.tags") == b"holiday"


@pytest.mark.skipif(sys.platform != "linux", reason="root's rights as Linux has them")
def test_the_owner_stays_where_this_user_may_give_files_away(photo, backup):
    try:
        os.chown(photo, 12345, 23456)
    except PermissionError:
        pytest.skip("only root may")
    replace(photo, backup)
    assert (photo.stat().st_uid, photo.stat().st_gid) == (12345, 23456)


@pytest.mark.parametrize("mode", [0o444, 0o400])
def test_a_protected_file_is_refused(photo, mode):
    photo.chmod(mode)
    with pytest.raises(OutputError, match="protected against writing"):
        check_replaceable(photo)
    photo.chmod(0o644)
    assert photo.read_bytes() == OLD


@pytest.mark.skipif(sys.platform != "linux", reason="drops root's rights the way Linux has it")
def test_a_file_in_a_folder_that_takes_no_new_ones_is_refused(photo):
    photo.parent.chmod(0o555)
    script = (
        "import sys; from pathlib import Path\n"
        "from defocusfix.errors import OutputError\n"
        "from defocusfix.photo.replace import check_replaceable\n"
        "try: check_replaceable(Path(sys.argv[1]))\n"
        "except OutputError as error: print(error.why)\n"
    )
    command = [*without_roots_rights(), sys.executable, "-c", script, str(photo)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    photo.parent.chmod(0o755)
    assert told.strip() == "permission denied"


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        check_replaceable(tmp_path / "nothing.tif")
    with pytest.raises(OutputError, match="not a file"):
        check_replaceable(tmp_path)


KILLED_AT_EVERY_STEP = """
import errno, os, shutil, signal, sys
from pathlib import Path
from defocusfix.photo.replace import check_replaceable, replacement

folder, has_links = Path(sys.argv[1]), sys.argv[2] == "links"
photo, backup = folder / "photo.tif", folder / "photo.orig.tif"
OLD, NEW = b"old" * 50_000, b"new" * 70_000


def refuse(self, target):
    raise OSError(errno.EPERM, "no links here")


def replace(dies_at):
    step = 0

    def die(*_, **__):
        nonlocal step
        step += 1
        if step == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def dying(function):
        return lambda *words, **options: (die(), function(*words, **options))[1]

    if not has_links:
        Path.hardlink_to = refuse
    os.fsync = dying(os.fsync)
    sys.addaudithook(die)  # is called before whatever changes a file or a folder
    with replacement(photo, check_replaceable(photo), backup=backup) as file:
        file.write(NEW[:-1])
        file.flush()
        die()
        file.write(NEW[-1:])


dies_at = 0
while True:
    dies_at += 1
    shutil.rmtree(folder)
    folder.mkdir()
    photo.write_bytes(OLD)
    child = os.fork()
    if child == 0:
        replace(dies_at)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    found, kept = photo.read_bytes(), backup.read_bytes() if backup.exists() else None
    assert (found, kept) in ((OLD, None), (OLD, OLD), (NEW, OLD)), (dies_at, found[:9], kept)
    print(ended, found == NEW, kept == OLD)
    if ended == 0:
        break
    assert ended == -signal.SIGKILL, ended
    # The next run, which may find the backup it is to make, leaves nothing else behind.
    if found == OLD and (has_links or kept is None):
        with replacement(photo, check_replaceable(photo), backup=backup) as file:
            file.write(NEW)
        assert (photo.read_bytes(), backup.read_bytes()) == (NEW, OLD)
"""


@on_unix
@pytest.mark.parametrize("links", ["links", "no links"])
def test_killed_at_any_step_one_whole_file_has_the_name_and_the_old_one_is_whole(tmp_path, links):
    words = [sys.executable, "-c", KILLED_AT_EVERY_STEP, tmp_path / "folder", links]
    (tmp_path / "folder").mkdir()
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    lines = [line.split() for line in ended.stdout.splitlines()]
    states = {(is_new, has_backup) for _, is_new, has_backup in lines}
    assert states == {("False", "False"), ("False", "True"), ("True", "True")}
    assert [status for status, *_ in lines] == [str(-signal.SIGKILL)] * (len(lines) - 1) + ["0"]
