"""`defocusfix restore FOLDER`, as typed."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import numpy as np
import pytest

from defocusfix.photo.read import read_photo
from tests.photo import sample_files as samples

PHOTOS = ("a.png", "2024/a.png", "2024/may/für 写真.jpg")


@pytest.fixture
def archive(restore):
    folder = restore.folder / "archive"
    for name in PHOTOS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        encode = samples.jpeg if name.endswith("jpg") else samples.png
        (folder / name).write_bytes(encode(samples.scene()))
    return folder


def outputs(folder) -> dict[str, bytes]:
    """All files below a folder by their paths, but for the journal's."""
    files = (file for file in folder.rglob("*") if file.is_file())
    names = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
    return {name: data for name, data in names.items() if not name.startswith(".defocusfix/")}


def events(told) -> list[dict[str, object]]:
    return [json.loads(line) for line in told.stdout.splitlines()]


def summary(told) -> tuple[int, int, int]:
    """Photos that are done, skipped, failed."""
    last = next(event for event in events(told) if event["event"] == "summary")
    return last["done"], last["skipped"], last["failed"]


def test_a_folder_is_mirrored_and_the_same_command_has_nothing_left_to_do(restore, archive):
    before = outputs(archive)
    told = restore("archive", "-o", "out")
    assert told.exit_code == 0
    made = outputs(restore.folder / "out")
    expected = {"a_restored.png", "2024/a_restored.png", "2024/may/für 写真_restored.jpg"}
    assert made.keys() == expected
    assert outputs(archive) == before
    again = restore("archive", "-o", "out")
    assert (again.exit_code, outputs(restore.folder / "out")) == (0, made)
    assert "3 photos done before" in again.stderr


def test_without_an_output_folder_results_are_beside_the_photos_and_are_no_photos(restore, archive):
    for _ in range(2):
        assert restore("archive").exit_code == 0
    names = {name for name in outputs(archive) if "_restored" in name}
    assert len(names) == len(PHOTOS)
    assert not [name for name in names if name.count("_restored") > 1]


def test_a_changed_photo_is_done_again_and_other_settings_do_all_again(restore, archive):
    restore("archive", "-o", "out")
    (archive / "a.png").write_bytes(samples.png(samples.scene(30, 40)))
    assert summary(restore("archive", "-o", "out", "--json")) == (1, 2, 0)
    assert read_photo(restore.folder / "out/a_restored.png").height == 30
    assert summary(restore("archive", "-o", "out", "--json", "--strength", 0.5)) == (3, 0, 0)
    assert summary(restore("archive", "-o", "out", "--json", "--strength", 0.5)) == (0, 3, 0)
    assert summary(restore("archive", "-o", "out", "--json", "--no-resume")) == (3, 0, 0)


def test_an_output_that_somebody_changed_stays(restore, archive):
    restore("archive", "-o", "out")
    edited = samples.png(samples.scene(20, 20))
    (restore.folder / "out/a_restored.png").write_bytes(edited)
    assert summary(restore("archive", "-o", "out", "--json")) == (0, 3, 0)
    assert (restore.folder / "out/a_restored.png").read_bytes() == edited
    told = restore("archive", "-o", "out", "--json", "--on-exists", "overwrite")
    assert summary(told) == (1, 2, 0)


def test_a_broken_photo_stops_nothing_and_is_tried_again_only_if_asked(restore, archive):
    whole = samples.png(samples.scene())
    (archive / "broken.png").write_bytes(whole[:60])
    told = restore("archive", "-o", "out")
    assert told.exit_code == 3
    assert "broken.png" in told.stderr
    assert len(outputs(restore.folder / "out")) == 3
    for words, counts in (((), (0, 3, 1)), (("--retry-failed",), (0, 3, 1))):
        told = restore("archive", "-o", "out", "--json", *words)
        assert (told.exit_code, summary(told)) == (3, counts)
        (failure,) = [event for event in events(told) if event["event"] == "photo_failed"]
        assert failure.get("earlier", False) is not bool(words)
    (archive / "broken.png").write_bytes(whole)
    assert summary(restore("archive", "-o", "out", "--json")) == (1, 3, 0)


def test_fail_fast_stops_at_the_first_failure(restore, archive):
    (archive / "0.png").write_bytes(b"")
    told = restore("archive", "-o", "out", "--fail-fast", "--jobs", 1)
    assert told.exit_code == 3
    assert len(outputs(restore.folder / "out")) < 3


def test_patterns_choose_and_leave_out(restore, archive):
    restore("archive", "-o", "1", "--include", "*.JPG")
    assert outputs(restore.folder / "1").keys() == {"2024/may/für 写真_restored.jpg"}
    restore("archive", "-o", "2", "--exclude", "2024/may/**", "--no-recursive")
    assert outputs(restore.folder / "2").keys() == {"a_restored.png"}
    told = restore("archive", "-o", "3", "--include", "*.tif")
    assert (told.exit_code, (restore.folder / "3").exists()) == (4, False)
    assert "--include" in told.stderr


def test_a_dry_run_lists_everything_and_writes_nothing(restore, archive):
    told = restore("archive", "-o", "out", "--dry-run")
    assert (told.exit_code, (restore.folder / "out").exists()) == (0, False)
    assert all(os.path.join("archive", name) in told.stdout for name in PHOTOS)  # noqa: PTH118
    assert "3 photos" in told.stderr
    restore("archive", "-o", "out", "--include", "a.png")
    made = outputs(restore.folder / "out")
    (archive / "empty.png").write_bytes(b"")
    told = restore("archive", "-o", "out", "--dry-run", "--json")
    *photos, total = events(told)
    assert [photo["action"] for photo in photos] == ["done", "do", "done", "do"]
    assert (total["photos"], total["to_do"]) == (4, 2)
    assert isinstance(total["seconds"], float)
    assert total["free_bytes"] > 0
    assert outputs(restore.folder / "out") == made


def test_parts_of_a_folder_are_all_of_it_once_they_are_done(restore, archive):
    n_done = 0
    for number in (1, 2):
        told = restore("archive", "-o", "out", "--shard", f"{number}/2", "--json")
        n_done += summary(told)[0]
    assert n_done == 3
    assert summary(restore("archive", "-o", "out", "--json")) == (0, 3, 0)
    assert restore("archive", "-o", "out", "--shard", "3/2").exit_code == 2


def test_results_that_would_have_one_name_are_told_apart(restore, archive):
    (archive / "a.jpg").write_bytes(samples.jpeg(samples.scene()))
    (archive / "a.jpeg").write_bytes(samples.jpeg(samples.scene()))
    told = restore("archive", "-o", "out", "--format", "png")
    assert told.exit_code == 0
    names = outputs(restore.folder / "out").keys()
    assert {"a.jpg_restored.png", "a.jpeg_restored.png", "a.png_restored.png"} <= names


def test_in_place_the_photo_is_the_restored_one_and_the_original_is_beside_it(restore, archive):
    before = outputs(archive)
    assert restore("archive", "--in-place").exit_code == 0
    after = outputs(archive)
    assert after["a.orig.png"] == before["a.png"] != after["a.png"]
    assert summary(restore("archive", "--in-place", "--json")) == (0, 3, 0)
    assert outputs(archive) == after
    told = restore("archive", "--in-place", "--no-backup", "--strength", 0.5, "--json")
    assert summary(told) == (0, 3, 0)


def test_one_photo_in_place_has_its_backup_or_none(restore):
    photo = restore.folder / "photo.tif"
    source = samples.tiff(samples.scene(bits=16))
    photo.write_bytes(source)
    assert restore("photo.tif", "--in-place").exit_code == 0
    assert (restore.folder / "photo.orig.tif").read_bytes() == source
    restored = read_photo(photo)
    assert (restored.bits, len(np.unique(restored.pixels)) > 256) == (16, True)
    assert restore("photo.tif", "--in-place", "--no-backup").exit_code == 0
    assert {file.name for file in restore.folder.iterdir()} == {"photo.tif", "photo.orig.tif"}


@pytest.mark.parametrize(
    "words",
    [
        ("archive", "-o", "out", "--in-place"),
        ("archive", "--no-backup"),
        ("archive", "--in-place", "--crop", "0,0,9,9"),
        ("archive", "-o", "-"),
        ("archive", "-o", "out.jpg"),
        ("archive", "--watch", "--dry-run"),
        ("archive/a.png", "--watch"),
        ("archive", "archive/2024/../../other"),
        ("archive", "--shard", "nine"),
        ("archive", "--report", "report.txt"),
    ],
)
def test_what_contradicts_itself_is_refused_before_any_work(restore, archive, words):
    (restore.folder / "other").mkdir()
    told = restore(*words)
    assert told.exit_code == 2
    assert "try" in told.stderr
    assert len(outputs(restore.folder)) == len(PHOTOS)


def test_watching_does_what_is_there_and_what_comes_and_ends_with_130(restore, archive):
    def come_and_stop() -> None:
        deadline = time.monotonic() + 60
        done = restore.folder / "out"
        while len(list(done.rglob("*_restored.*"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        (archive / "new.png").write_bytes(samples.png(samples.scene()))
        while not (done / "new_restored.png").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    visitor = threading.Thread(target=come_and_stop)
    visitor.start()
    told = restore("archive", "-o", "out", "--watch")
    visitor.join()
    assert told.exit_code == 130
    assert "new_restored.png" in outputs(restore.folder / "out")
    assert signal.getsignal(signal.SIGINT) is before
