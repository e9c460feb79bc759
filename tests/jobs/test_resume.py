"""Runs that end anywhere, and those after them: everything is done once, and nothing by halves."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from defocusfix.jobs.events import SkipReason
from defocusfix.jobs.journal import journal_folder, read_rows
from defocusfix.jobs.plan import Item
from defocusfix.photo.safe_write import MARK
from tests.jobs.copying import BROKEN, Copying, copy_all, counts, restored

ROOT = Path(__file__).parents[2]
LONGEST_WAIT = 60


class Killed(BaseException):
    """The process ends here."""


def folder_of(parent: Path, n_photos: int = 3) -> Path:
    (parent / "in").mkdir()
    for number in range(n_photos):
        (parent / f"in/{number}.jpg").write_bytes(b"photo %d" % number)
    return parent / "in"


def killed_at(step: str, key: str) -> Copying:
    def kill(item: Item) -> None:
        if item.key == key:
            raise Killed

    return Copying({step: kill})


def run_until_killed(folder: Path, home: Path, step: str, key: str, **more) -> Copying:
    work = killed_at(step, key)
    with suppress(Killed):
        copy_all(folder, home, work, **more)
        raise AssertionError("nothing killed it")
    return work


def assert_complete(folder: Path, home: Path) -> None:
    for source in folder.glob("*.jpg"):
        assert (home / source.name).read_bytes() == restored(source.read_bytes())


@pytest.mark.parametrize("step", ["read", "compute", "map", "save", "saved"])
def test_a_run_that_is_killed_is_completed_by_the_next_one_and_nothing_is_saved_twice(
    tmp_path, step
):
    folder, home = folder_of(tmp_path), tmp_path / "out"
    first = run_until_killed(folder, home, step, "1.jpg", with_map=True)
    finished, work, _ = copy_all(folder, home, with_map=True)
    assert Counter(first.saved + work.saved) == {"0.jpg": 1, "1.jpg": 1, "2.jpg": 1}
    assert finished.failed == ()
    assert_complete(folder, home)
    assert counts(copy_all(folder, home, with_map=True)[0]) == (0, 3, 0)


@pytest.mark.parametrize("step", ["read", "saved"])
def test_what_a_killed_run_left_unfinished_around_its_photo_is_removed(tmp_path, step):
    folder, home = folder_of(tmp_path, 1), tmp_path / "out"
    (folder / "sub").mkdir()
    (folder / "0.jpg").rename(folder / "sub/0.jpg")
    run_until_killed(folder, home, step, "sub/0.jpg")
    (home / "sub").mkdir(exist_ok=True)
    # Of a photo that was linked to its name but not flushed; of a trial before there was a folder.
    for place in (home / "sub", home):
        (place / f".0.abc{MARK}").write_bytes(b"half")
    copy_all(folder, home)
    files = {file.relative_to(home).as_posix() for file in home.rglob("*") if file.is_file()}
    assert {name for name in files if not name.startswith(".defocusfix/")} == {"sub/0.jpg"}


@pytest.mark.parametrize("step", ["map", "save", "saved"])
def test_so_is_one_that_was_killed_while_it_replaced_what_a_changed_photo_had_given(tmp_path, step):
    folder, home = folder_of(tmp_path), tmp_path / "out"
    copy_all(folder, home, with_map=True)
    (folder / "1.jpg").write_bytes(b"changed")
    first = run_until_killed(folder, home, step, "1.jpg", with_map=True)
    _, work, _ = copy_all(folder, home, with_map=True)
    assert first.saved + work.saved == ["1.jpg"]
    assert_complete(folder, home)
    assert (home / "1.jpg.map").read_bytes() == b"map of changed"


def test_what_a_killed_run_completed_is_replaced_if_the_photo_changed_since(tmp_path):
    folder, home = folder_of(tmp_path), tmp_path / "out"
    run_until_killed(folder, home, "saved", "1.jpg")
    (folder / "1.jpg").write_bytes(b"changed")
    assert copy_all(folder, home)[1].saved == ["1.jpg", "2.jpg"]
    assert_complete(folder, home)


def test_a_photo_in_place_that_was_restored_when_the_run_was_killed_is_not_restored_again(
    tmp_path,
):
    folder = folder_of(tmp_path)
    first = run_until_killed(folder, folder, "saved", "1.jpg", in_place=True)
    _, work, _ = copy_all(folder, folder, in_place=True)
    assert sorted(first.saved + work.saved) == ["0.jpg", "1.jpg", "2.jpg"]
    assert (folder / "1.jpg").read_bytes() == restored(b"photo 1")


def test_an_output_that_is_edited_after_another_run_did_it_is_not_taken_for_that_of_a_killed_one(
    tmp_path,
):
    folder, home = folder_of(tmp_path), tmp_path / "out"
    run_until_killed(folder, home, "save", "1.jpg")
    copy_all(folder, home)
    (folder / "1.jpg").write_bytes(b"changed")
    (home / "1.jpg").write_bytes(b"edited")
    _, work, events = copy_all(folder, home)
    assert work.saved == []
    assert SkipReason.EXISTS in {getattr(event, "reason", None) for event in events}


@settings(max_examples=30, deadline=None)
@given(length=st.integers(0, 10_000), lost=st.sets(st.sampled_from(["0.jpg", "2.jpg"])))
@example(length=0, lost=set())
@example(length=10_000, lost={"0.jpg"})
def test_a_journal_cut_off_anywhere_costs_at_most_what_is_lost(length, lost):
    with tempfile.TemporaryDirectory() as parent:
        folder, home = folder_of(Path(parent), 4), Path(parent, "out")
        (folder / "3.jpg").write_bytes(BROKEN)
        copy_all(folder, home, with_map=True)
        (file,) = journal_folder(home).iterdir()
        file.write_bytes(file.read_bytes()[: length % (file.stat().st_size + 1)])
        for name in lost:
            (home / name).unlink()

        finished, work, _ = copy_all(folder, home, with_map=True)
        assert set(work.saved) == lost  # nothing twice
        assert [failure.item.key for failure in finished.failed] == ["3.jpg"]
        (folder / "3.jpg").unlink()
        assert_complete(folder, home)
        known = {row.key for row in read_rows(home) if row.state in ("done", "found")}
        assert known == {"0.jpg", "1.jpg", "2.jpg"}
        assert counts(copy_all(folder, home, with_map=True)[0]) == (0, 3, 0)


def start(folder: Path, home: Path, log: Path, pause: float) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.jobs.copying", folder, home, log, pause]
    return subprocess.Popen(
        list(map(str, words)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(child: subprocess.Popen[str]) -> list[int]:
    """The counts that the program wrote: done, skipped, failed, claimed."""
    said, complaint = child.communicate(timeout=LONGEST_WAIT)
    assert child.returncode == 0, complaint
    return list(map(int, said.split()))


def test_two_runs_over_one_folder_share_it_and_do_every_photo_once(tmp_path):
    n_photos = 40
    folder, home = folder_of(tmp_path, n_photos), tmp_path / "out"
    children = [start(folder, home, tmp_path / "log", 0.01) for _ in range(2)]
    results = [ended(child) for child in children]
    assert Counter((tmp_path / "log").read_text().split()).most_common(1)[0][1] == 1
    assert sum(done for done, *_ in results) == n_photos
    assert [done + skipped + claimed for done, skipped, _, claimed in results] == [n_photos] * 2
    assert all(done for done, *_ in results)
    assert_complete(folder, home)
    assert list((home / ".defocusfix/claims").iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_runs_that_are_killed_at_any_moment_never_do_a_photo_twice(tmp_path):
    n_photos, rng = 60, np.random.default_rng(9)
    folder, home, log = folder_of(tmp_path, n_photos), tmp_path / "out", tmp_path / "log"
    n_killed = 0
    for _ in range(12):
        child = start(folder, home, log, 0.005)
        deadline = time.monotonic() + LONGEST_WAIT
        n_before = len(log.read_text().split()) if log.exists() else 0
        while time.monotonic() < deadline and child.poll() is None:
            if log.exists() and len(log.read_text().split()) > n_before:
                break
            time.sleep(0.002)
        time.sleep(float(rng.uniform(0, 0.05)))
        child.kill()
        child.communicate()
        n_killed += child.returncode < 0
    assert n_killed > 0
    done, skipped, failed, claimed = ended(start(folder, home, log, 0.0))
    assert (done + skipped, failed, claimed) == (n_photos, 0, 0)
    assert_complete(folder, home)
    # One that was killed after it saved a photo and before it noted so has a line less.
    assert max(Counter(log.read_text().split()).values()) == 1
    assert [file for file in home.iterdir() if file.name.startswith(".")] == [home / ".defocusfix"]


def test_a_photo_that_is_done_is_not_even_opened(tmp_path):
    folder, home = folder_of(tmp_path, 5), tmp_path / "out"
    copy_all(folder, home)
    read: list[str] = []
    finished, _, _ = copy_all(folder, home, Copying({"read": lambda item: read.append(item.key)}))
    assert (finished.n_skipped, read) == (5, [])
