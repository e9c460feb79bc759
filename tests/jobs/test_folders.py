from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defocusfix.errors import InputError
from defocusfix.jobs.folders import FolderChoice, LeftOut, find_photos, natural_order

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode("utf-8", "surrogateescape"))
    return folder


def keys(folder: Path, *args: object, **options: object) -> list[str]:
    return [photo.key for photo in find_photos(folder, *args, **options).photos]


def test_photos_of_all_formats_are_found_in_all_folders_and_other_files_are_counted(tmp_path):
    files(tmp_path, "a.JPG", "b.tiff", "c.heic", "x/d.nef", "x/y/e.webp", "notes.txt", "x/f.mov")
    search = find_photos(tmp_path)
    assert [photo.key for photo in search.photos] == [
        "a.JPG",
        "b.tiff",
        "c.heic",
        "x/d.nef",
        "x/y/e.webp",
    ]
    assert search.left_out == {LeftOut.OTHER_FILE: 2}
    first = search.photos[0]
    assert (first.path, first.root, first.size) == (tmp_path / "a.JPG", tmp_path, 5)
    assert first.mtime_ns == (tmp_path / "a.JPG").stat().st_mtime_ns
    assert keys(tmp_path, FolderChoice(is_recursive=False)) == ["a.JPG", "b.tiff", "c.heic"]


def test_numbers_in_names_are_sorted_as_numbers(tmp_path):
    files(tmp_path, "img10.jpg", "IMG2.jpg", "img1.jpg", "s10/a.jpg", "s9/a.jpg")
    assert keys(tmp_path) == ["img1.jpg", "IMG2.jpg", "img10.jpg", "s9/a.jpg", "s10/a.jpg"]


@given(st.lists(st.text("aB1029/\u0661\u00b2", min_size=1, max_size=8), max_size=6, unique=True))
def test_any_names_can_be_put_in_order_and_the_order_is_one(names):
    backwards = names[::-1]
    assert sorted(backwards, key=natural_order) == sorted(names, key=natural_order)


def test_hidden_entries_and_the_folders_of_systems_are_left_out(tmp_path):
    files(tmp_path, ".a.jpg", ".hidden/b.jpg", "@eaDir/c.jpg", ".defocusfix/report/d.jpg", "e.jpg")
    search = find_photos(tmp_path)
    assert [photo.key for photo in search.photos] == ["e.jpg"]
    assert search.left_out == {LeftOut.HIDDEN: 3}


def test_what_was_made_of_a_photo_is_left_out_while_the_photo_is_there(tmp_path):
    made = ["a_restored.jpg", "a_restored-2.png", "a_defocus.png", "a_compare.png", "a.orig.jpg"]
    files(tmp_path, "a.jpg", *made)
    files(tmp_path, "IMG.heic", "IMG.heic_restored.jpg", "x/a_restored.jpg", "chair_restored.jpg")
    files(tmp_path, "house.jpg", "house_restored_1998.jpg")
    search = find_photos(tmp_path)
    assert [photo.key for photo in search.photos] == [
        "a.jpg",
        "chair_restored.jpg",
        "house.jpg",
        "house_restored_1998.jpg",
        "IMG.heic",
        "x/a_restored.jpg",
    ]
    assert search.left_out == {LeftOut.OWN_OUTPUT: len(made) + 1}


def test_outputs_that_a_journal_on_the_way_knows_are_left_out(tmp_path):
    files(tmp_path, "old/.defocusfix/journal/x.jsonl", "old/sub/a_restored.jpg", "old/b.jpg")
    asked = []

    def outputs_of(folder: Path) -> list[Path]:
        asked.append(folder)
        return [folder / "sub" / "a_restored.jpg"]

    assert keys(tmp_path, outputs_of=outputs_of) == ["old/b.jpg"]
    assert asked == [tmp_path / "old"]


def test_the_output_folder_is_not_looked_into_but_the_named_one_always_is(tmp_path):
    files(tmp_path, "a.jpg", "out/b.jpg")
    assert keys(tmp_path, passed_over=tmp_path / "out") == ["a.jpg"]
    assert keys(tmp_path, passed_over=tmp_path) == ["a.jpg", "out/b.jpg"]
    assert keys(tmp_path, passed_over=tmp_path / "missing") == ["a.jpg", "out/b.jpg"]


def test_patterns_choose_photos_and_leave_out_whole_folders(tmp_path):
    files(tmp_path, "a.jpg", "b.tif", "2024/c.jpg", "2024/web/d.jpg")
    of_2024 = ["2024/c.jpg", "2024/web/d.jpg"]
    assert keys(tmp_path, FolderChoice(include=("*.jpg",))) == [*of_2024, "a.jpg"]
    assert keys(tmp_path, FolderChoice(include=("2024/**",))) == of_2024
    assert keys(tmp_path, FolderChoice(exclude=("WEB", "b.*"))) == ["2024/c.jpg", "a.jpg"]
    left_out = find_photos(tmp_path, FolderChoice(exclude=("2024/",))).left_out
    assert left_out == {LeftOut.NOT_CHOSEN: 1}


@needs_links
def test_links_are_followed_and_nothing_is_met_twice(tmp_path):
    files(tmp_path, "in/z/a.jpg", "elsewhere/b.jpg")
    root = tmp_path / "in"
    (root / "a-loop").symlink_to(root)
    (root / "b-same").symlink_to(root / "z")
    (root / "c-other").symlink_to(tmp_path / "elsewhere")
    (root / "d-other").symlink_to(tmp_path / "elsewhere")
    (root / "linked.jpg").symlink_to(root / "z" / "a.jpg")
    (root / "nowhere.jpg").symlink_to(tmp_path / "missing.jpg")
    (root / "itself.jpg").symlink_to(root / "itself.jpg")
    search = find_photos(root)
    assert [photo.key for photo in search.photos] == ["c-other/b.jpg", "z/a.jpg"]
    assert search.left_out == {LeftOut.MET_BEFORE: 4, LeftOut.DANGLING: 2}


@needs_links
def test_a_link_to_a_photo_elsewhere_is_a_photo_once(tmp_path):
    files(tmp_path, "in/a.jpg", "elsewhere/b.jpg")
    for name in ("y.jpg", "x.jpg"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "elsewhere" / "b.jpg")
    photos = find_photos(tmp_path / "in").photos
    assert [(photo.key, photo.is_link) for photo in photos] == [("a.jpg", False), ("x.jpg", True)]
    assert photos[1].size == len("elsewhere/b.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_named_like_a_photo_is_none(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    assert find_photos(tmp_path).left_out == {LeftOut.OTHER_FILE: 1}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no text")
def test_names_that_are_no_text_and_accents_of_two_kinds_survive_json(tmp_path):
    files(tmp_path, os.fsdecode(b"caf\xe9.jpg"), "caf\u00e9.jpg", "cafe\u0301.jpg", "写真.jpg")
    found = keys(tmp_path)
    assert len(set(found)) == 4
    assert json.loads(json.dumps(found)) == found
    assert all((tmp_path / key).is_file() for key in found)


def test_a_folder_that_cannot_be_read_is_told_and_the_others_are_done(tmp_path, monkeypatch):
    files(tmp_path, "a.jpg", "closed/b.jpg")
    scandir = os.scandir

    def refusing(folder: Path) -> object:
        if folder == tmp_path / "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    search = find_photos(tmp_path)
    assert [photo.key for photo in search.photos] == ["a.jpg"]
    assert search.left_out == {LeftOut.UNREADABLE: 1}
    assert "closed cannot be read and was left out: permission denied" in search.warnings[0]
    with pytest.raises(InputError, match="closed cannot be read"):
        find_photos(tmp_path / "closed")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        find_photos(tmp_path / "missing")


@pytest.mark.slow
def test_a_hundred_thousand_photos_are_found_within_seconds(tmp_path):
    for number in range(100_000):
        folder = tmp_path / f"{number // 1000}"
        if number % 1000 == 0:
            folder.mkdir()
        (folder / f"{number}.jpg").touch()
    assert len(find_photos(tmp_path).photos) == 100_000
