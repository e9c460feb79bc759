"""What the journal and the files together say of each photo, one decision after the other."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from defocusfix.errors import InputError, OutputError
from defocusfix.jobs.events import PhotoFailed, PhotoSkipped, SkipReason
from defocusfix.jobs.fingerprint import FileState, PresentFile, settings_fingerprint
from defocusfix.jobs.journal import read_rows
from defocusfix.jobs.plan import Item, OnExists
from defocusfix.jobs.treatment import Treatment
from defocusfix.restoration.settings import RestoreSettings
from tests.jobs.copying import BROKEN, Copying, books_of, copy_all, counts, plan_of, restored

LATER = 1_900_000_000


@pytest.fixture
def folder(tmp_path):
    """Three photos, one of them in a folder of its own."""
    (tmp_path / "in/sub").mkdir(parents=True)
    for name in ("a", "b", "sub/a"):
        (tmp_path / f"in/{name}.jpg").write_bytes(f"photo {name}".encode())
    return tmp_path / "in"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "out"


def skipped(events: list) -> dict[str, SkipReason]:
    return {e.item.key: e.reason for e in events if isinstance(e, PhotoSkipped)}


def test_what_is_done_is_not_done_again(folder, home):
    assert counts(copy_all(folder, home)[0]) == (3, 0, 0)
    finished, work, events = copy_all(folder, home)
    assert counts(finished) == (0, 3, 0)
    assert work.saved == []
    assert set(skipped(events).values()) == {SkipReason.DONE}


def test_a_row_says_what_was_done(folder, home):
    copy_all(folder, home, with_map=True)
    row = next(row for row in read_rows(home) if row.state == "done" and row.key == "sub/a.jpg")
    source, output = folder / "sub/a.jpg", home / "sub/a.jpg"
    assert row.source == PresentFile(source).read()
    assert row.output_state == PresentFile(output).read()
    assert (row.output, row.map, row.root) == ("sub/a.jpg", "sub/a.jpg.map", folder.as_posix())
    assert (row.warnings, row.megapixels, row.error) == (("pale",), 0.0, None)


def test_a_changed_photo_is_done_again_and_its_own_old_output_replaced(folder, home):
    copy_all(folder, home, with_map=True)
    (folder / "a.jpg").write_bytes(b"other")
    finished, work, _ = copy_all(folder, home, with_map=True)
    assert (counts(finished), work.saved) == ((1, 2, 0), ["a.jpg"])
    assert (home / "a.jpg").read_bytes() == restored(b"other")
    assert (home / "a.jpg.map").read_bytes() == b"map of other"


def test_a_changed_photo_whose_output_somebody_changed_too_is_left(folder, home):
    copy_all(folder, home)
    (folder / "a.jpg").write_bytes(b"other")
    (home / "a.jpg").write_bytes(b"retouched")
    _, work, events = copy_all(folder, home)
    assert work.saved == []
    assert skipped(events)["a.jpg"] is SkipReason.EXISTS
    assert (home / "a.jpg").read_bytes() == b"retouched"


def test_a_missing_output_is_made_again(folder, home):
    copy_all(folder, home, with_map=True)
    (home / "a.jpg").unlink()
    (home / "b.jpg.map").unlink()
    assert copy_all(folder, home, with_map=True)[1].saved == ["a.jpg", "b.jpg"]


def test_other_settings_replace_what_those_before_made(folder, home):
    def run(settings: str) -> list[str]:
        work = Copying(mark=settings.encode())
        return copy_all(folder, home, work, settings=settings)[1].saved

    assert len(run("soft")) == 3
    assert len(run("strong")) == 3
    assert run("strong") == []
    assert len(run("soft")) == 3
    assert (home / "a.jpg").read_bytes() == b"softphoto a"


def test_files_that_are_only_touched_or_copied_are_known_by_their_content(folder, home, tmp_path):
    copy_all(folder, home)
    for file in (folder / "a.jpg", home / "a.jpg", home / "b.jpg"):
        os.utime(file, (LATER, LATER))
    assert counts(copy_all(folder, home)[0]) == (0, 3, 0)
    folder.rename(tmp_path / "moved")
    home.rename(tmp_path / "moved out")
    assert counts(copy_all(tmp_path / "moved", tmp_path / "moved out")[0]) == (0, 3, 0)


def test_what_was_known_by_its_content_is_known_by_its_time_from_then_on(folder, home, monkeypatch):
    copy_all(folder, home)
    os.utime(folder / "a.jpg", (LATER, LATER))
    os.utime(home / "b.jpg", (LATER, LATER))
    copy_all(folder, home)
    monkeypatch.setattr("defocusfix.jobs.fingerprint.sha256_of", None)
    assert counts(copy_all(folder, home)[0]) == (0, 3, 0)


def test_the_same_size_and_time_is_only_doubted_when_asked_to(folder, home):
    copy_all(folder, home)
    photo = folder / "a.jpg"
    times = photo.stat().st_atime_ns, photo.stat().st_mtime_ns
    photo.write_bytes(photo.read_bytes().swapcase())
    os.utime(photo, ns=times)
    assert counts(copy_all(folder, home)[0]) == (0, 3, 0)
    assert copy_all(folder, home, verifies=True)[1].saved == ["a.jpg"]


def test_what_failed_is_told_again_and_not_tried_again_unless_asked_to(folder, home):
    (folder / "a.jpg").write_bytes(BROKEN)
    reads: list[str] = []
    finished, _, _ = copy_all(folder, home)
    assert counts(finished) == (2, 0, 1)
    work = Copying({"read": lambda item: reads.append(item.key)})
    finished, _, events = copy_all(folder, home, work)
    assert (counts(finished), reads) == ((0, 2, 1), [])
    (failed,) = (event for event in events if isinstance(event, PhotoFailed))
    assert failed.is_earlier
    assert (failed.error.what, failed.error.why) == (
        f"{folder / 'a.jpg'} cannot be read",
        "damaged",
    )
    assert counts(copy_all(folder, home, work, retries_failed=True)[0]) == (0, 2, 1)
    assert reads == ["a.jpg"]


def test_what_failed_and_was_changed_is_tried_again(folder, home):
    (folder / "a.jpg").write_bytes(BROKEN)
    copy_all(folder, home)
    (folder / "a.jpg").write_bytes(b"mended")
    assert counts(copy_all(folder, home)[0]) == (1, 2, 0)


def test_an_output_that_could_not_be_written_is_tried_again_each_time(folder, home):
    def refuse(item: Item) -> None:
        if item.key == "a.jpg":
            raise OutputError("refused")

    assert counts(copy_all(folder, home, Copying({"save": refuse}))[0]) == (2, 0, 1)
    assert counts(copy_all(folder, home)[0]) == (1, 2, 0)


def test_a_photo_that_was_done_and_failed_elsewhere_is_not_failed(folder, home):
    copy_all(folder, home)
    (home / "a.jpg").unlink()

    def refuse(item: Item) -> None:
        raise InputError("a hiccup of the share")

    copy_all(folder, home, Copying({"read": refuse}))
    assert counts(copy_all(folder, home)[0]) == (1, 2, 0)


@pytest.mark.parametrize(
    ("on_exists", "expected"),
    [
        (OnExists.SKIP, (2, 1, 0)),
        (OnExists.ERROR, (2, 0, 1)),
        (OnExists.OVERWRITE, (3, 0, 0)),
        (OnExists.RENAME, (3, 0, 0)),
    ],
)
def test_an_output_that_no_run_wrote_is_dealt_with_as_asked(folder, home, on_exists, expected):
    home.mkdir()
    (home / "a.jpg").write_bytes(b"mine")
    finished, _, events = copy_all(folder, home, on_exists=on_exists)
    assert counts(finished) == expected
    is_mine = on_exists is not OnExists.OVERWRITE
    assert ((home / "a.jpg").read_bytes() == b"mine") == is_mine
    assert (home / "a-2.jpg").exists() == (on_exists is OnExists.RENAME)
    if on_exists is OnExists.SKIP:
        assert skipped(events) == {"a.jpg": SkipReason.EXISTS}
    again = copy_all(folder, home, on_exists=on_exists)[0]
    assert again.n_done == 0
    n_found = len([row for row in read_rows(home) if row.state == "found"])
    assert n_found == (on_exists is OnExists.SKIP)


def test_a_map_that_no_run_wrote_stays_and_the_photo_is_done(folder, home):
    home.mkdir()
    (home / "a.jpg.map").write_bytes(b"mine")
    assert counts(copy_all(folder, home, with_map=True)[0]) == (3, 0, 0)
    assert (home / "a.jpg.map").read_bytes() == b"mine"
    assert counts(copy_all(folder, home, with_map=True)[0]) == (0, 3, 0)


def test_two_folders_with_photos_of_one_name_do_not_replace_each_others_outputs(
    folder, home, tmp_path
):
    copy_all(folder, home)
    other = tmp_path / "tuesday"
    other.mkdir()
    (other / "a.jpg").write_bytes(b"tuesday")
    _, _, events = copy_all(other, home)
    assert skipped(events) == {"a.jpg": SkipReason.EXISTS}
    assert (home / "a.jpg").read_bytes() == restored(b"photo a")


def test_without_resuming_what_earlier_runs_did_is_done_again(folder, home):
    copy_all(folder, home)
    assert counts(copy_all(folder, home, resumes=False)[0]) == (3, 0, 0)
    assert counts(copy_all(folder, home)[0]) == (0, 3, 0)


def test_in_place_a_photo_is_done_once_whatever_the_settings_and_again_when_it_changes(folder):
    def run(**wishes):
        return copy_all(folder, folder, in_place=True, **wishes)[1].saved

    assert len(run()) == 3
    assert run() == []
    assert run(settings="other") == []
    assert (folder / "a.jpg").read_bytes() == restored(b"photo a")
    (folder / "a.jpg").write_bytes(b"exported anew")
    assert run() == ["a.jpg"]


def test_another_run_at_a_photo_is_waited_for_till_the_end_and_then_left(folder, home):
    with books_of(home) as other:
        taken = other.take(plan_of(folder, home).items[0])
        assert isinstance(taken, Item)
        finished, _, events = copy_all(folder, home)
        assert (finished.n_done, finished.n_claimed) == (2, 1)
        assert skipped(events) == {"a.jpg": SkipReason.CLAIMED}
    assert copy_all(folder, home)[1].saved == ["a.jpg"]


def test_a_photo_that_another_run_finishes_meanwhile_is_found_done(folder, home):
    other = books_of(home)
    plan = plan_of(folder, home)
    taken = other.take(plan.items[0])
    assert isinstance(taken, Item)

    def finish(item: Item) -> None:
        if item.key == "b.jpg":
            home.mkdir(exist_ok=True)
            (home / "a.jpg").write_bytes(b"by the other run")
            other.done(done_of(taken))

    finished, work, events = copy_all(folder, home, Copying({"compute": finish}))
    assert counts(finished) == (2, 1, 0)
    assert skipped(events) == {"a.jpg": SkipReason.DONE}
    assert work.saved == ["b.jpg", "sub/a.jpg"]
    other.close()


def done_of(item: Item):
    from defocusfix.jobs.events import Method, PhotoDone, Picture

    method = Method("model", "engine", "cpu", "fp32", 8)
    return PhotoDone(item, Picture(1, 1, 8, "png"), method, 1.0, 1.0, None, {}, (), ())


def test_a_driver_may_keep_the_books_of_what_other_machines_do(folder, home):
    source, output = FileState(7, 1, "aa"), FileState(8, 2, "bb")
    with books_of(home, hashes_inputs=False) as books:
        item = books.take(plan_of(folder, home).items[0])
        assert isinstance(item, Item)
        books.done(done_of(item), source=source, output=output)
    begun, done = read_rows(home)
    assert (begun.state, begun.source.sha256) == ("begun", None)
    assert (done.state, done.source, done.output_state) == ("done", source, output)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.ESTALE, errno.EROFS])
def test_a_full_disk_or_a_lost_share_ends_the_run_and_what_is_done_is_kept(folder, home, code):
    def fill(item: Item) -> None:
        if item.key == "b.jpg":
            cause = OSError(code, os.strerror(code))
            raise OutputError("cannot be written", why=str(cause)) from cause

    with pytest.raises(OutputError, match="cannot be written"):
        copy_all(folder, home, Copying({"save": fill}))
    assert (home / "a.jpg").exists()
    finished, _, _ = copy_all(folder, home)
    assert len(finished.failed) == 0
    assert len(list(home.rglob("*.jpg"))) == 3


def test_a_journal_on_a_full_disk_ends_the_run_and_the_next_one_completes(
    folder, home, monkeypatch
):
    calls = iter(range(100))

    def fsync(handle: int, sync=os.fsync) -> None:
        if next(calls) >= 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    monkeypatch.setattr("defocusfix.jobs.journal.os.fsync", fsync)
    with pytest.raises(OutputError, match="journal") as refusal:
        copy_all(folder, home)
    assert "no space left" in str(refusal.value)
    monkeypatch.undo()
    first = len(list(home.rglob("*.jpg")))
    finished, work, _ = copy_all(folder, home)
    assert len(work.saved) == 3 - first
    assert not finished.failed


def test_a_home_that_vanishes_ends_the_run_before_anything_is_written_elsewhere(folder, home):
    def vanish(item: Item) -> None:
        if item.key == "b.jpg":
            home.rename(home.with_name("unmounted"))

    with pytest.raises(OutputError, match="journal"):
        copy_all(folder, home, Copying({"compute": vanish}))
    assert not home.exists()
    home.with_name("unmounted").rename(home)
    assert not copy_all(folder, home)[0].failed
    assert len(list(home.rglob("*.jpg"))) == 3


def test_a_photo_folder_that_vanishes_ends_the_run(folder, home):
    def vanish(item: Item) -> None:
        if item.key == "a.jpg":
            folder.rename(folder.with_name("unmounted"))
            folder.mkdir()  # where a share was mounted, an empty folder is left

    with pytest.raises(InputError, match="is gone"):
        copy_all(folder, home, Copying({"read": vanish}), folders=[folder])
    folder.rmdir()
    folder.with_name("unmounted").rename(folder)
    assert not copy_all(folder, home)[0].failed


def test_a_photo_that_vanishes_is_one_that_failed(folder, home):
    def lose(item: Item) -> None:
        (folder / "sub/a.jpg").unlink(missing_ok=True)

    finished, _, _ = copy_all(folder, home, Copying({"read": lose}), folders=[folder])
    assert counts(finished) == (2, 0, 1)
    assert "there is no file" in str(finished.failed[0].error)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_may_not_be_written_to_is_refused_before_any_work(home):
    home.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="journal"):
        books_of(home)


def test_a_file_in_the_place_of_the_home_is_refused_before_any_work(home):
    home.write_bytes(b"")
    with pytest.raises(OutputError, match="journal"):
        books_of(home)


def test_what_the_journal_knows_of_a_finished_item_can_be_asked_for(folder, home):
    copy_all(folder, home)
    with books_of(home) as books:
        row = books.known(plan_of(folder, home).items[0])
        assert row is not None
        assert row.warnings == ("pale",)
    with books_of(home, settings="other") as books:
        assert books.known(plan_of(folder, home).items[0]) is None


def fingerprint(treatment: Treatment | None = None, with_map: bool = False, **settings) -> str:
    return settings_fingerprint(
        treatment or Treatment(program="p 1"),
        RestoreSettings(**settings),
        model_sha256="AB",
        with_map=with_map,
    )


def test_settings_that_change_nothing_in_the_files_make_no_difference():
    from defocusfix.photo.limits import Limits

    other = Treatment(program="p 2", limits=Limits(megapixels=1), map_format="npy")
    assert fingerprint() == fingerprint(other, tile=64, overlap=8, strength=1)


def test_settings_that_change_the_files_make_one(tmp_path):
    mask = tmp_path / "mask.png"
    treatments = [Treatment(program="p", quality=90), Treatment(program="p", keeps_gps=False)]
    prints = [fingerprint(), fingerprint(strength=0.5), fingerprint(with_map=True)]
    prints += [fingerprint(Treatment(program="p", map_format="npy"), with_map=True)]
    prints += [fingerprint(treatment) for treatment in treatments]
    for content in (b"white", b"black"):
        mask.write_bytes(content)
        prints.append(fingerprint(Treatment(program="p", mask=mask)))
    assert len(set(prints)) == len(prints) == 8
    mask.unlink()
    with pytest.raises(InputError, match=r"mask\.png cannot be read"):
        fingerprint(Treatment(program="p", mask=mask))


def test_an_item_that_replaces_says_so(folder, home):
    item, other, _ = plan_of(folder, home).items
    home.mkdir()
    home.joinpath("a.jpg").write_bytes(b"mine")
    with books_of(home, on_exists=OnExists.OVERWRITE) as books:
        assert books.take(item) == replace(item, replaces=True)
        assert books.take(other) == other


def test_a_key_does_not_depend_on_how_the_folder_was_named(folder, home, monkeypatch):
    copy_all(folder, home)
    monkeypatch.chdir(folder)
    (folder / "a.jpg").write_bytes(b"other")
    assert copy_all(Path(), home)[1].saved == ["a.jpg"]
