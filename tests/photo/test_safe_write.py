from __future__ import annotations

import errno
from pathlib import Path

import pytest

from defocusfix.errors import OutputError
from defocusfix.photo.safe_write import safe_write


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
