from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from defocusfix.cli import output
from defocusfix.cli.batch_progress import Batch, BatchLines, track_batch
from tests.cli.test_progress import Clock, Terminal


def batch(clock: Clock, n_photos: int = 10, megapixels: float | None = None) -> Batch:
    return Batch("Restoring", n_photos, megapixels, clock)


def test_the_time_left_follows_from_the_photos_where_their_megapixels_are_not_known():
    clock = Clock()
    job = batch(clock)
    job.begin(24.0)
    clock.seconds += 30
    job.advance(0.5)
    assert job.figures() == "0 of 10 photos, 12 MP, 0.4 MP/s, 9:30 left"
    clock.seconds += 30
    job.advance(0.5)
    job.settle(was_begun=True, has_failed=False)
    job.begin(24.0)
    assert job.figures() == "1 of 10 photos, 24 MP, 0.4 MP/s, 9:00 left"


def test_the_time_left_follows_from_the_megapixels_where_they_are_known():
    clock = Clock()
    job = batch(clock, megapixels=1000.0)
    job.begin(100.0)
    clock.seconds += 50
    job.advance(1.0)
    assert job.figures() == "0 of 10 photos, 100 of 1,000 MP, 2 MP/s, 7:30 left"


def test_photos_that_are_computed_at_the_same_time_count_with_their_own_megapixels():
    clock = Clock()
    job = batch(clock, megapixels=1000.0)
    job.begin(10.0)
    job.begin(100.0)
    clock.seconds += 50
    job.aside(1.0, 10.0)
    job.advance(0.9)
    assert job.figures() == "0 of 10 photos, 100 of 1,000 MP, 2 MP/s, 7:30 left"


def test_photos_that_need_no_work_say_nothing_about_the_speed():
    clock = Clock()
    job = batch(clock, n_photos=100, megapixels=1000.0)
    for _ in range(90):
        clock.seconds += 1
        job.settle(was_begun=False, has_failed=False)
    job.begin(10.0)
    clock.seconds += 5
    job.advance(1.0)
    assert job.figures() == "90 of 100 photos, 10 of 100 MP, 2 MP/s, 0:45 left"


def test_photos_that_other_machines_compute_count_as_they_come_in():
    clock = Clock()
    job = batch(clock)
    clock.seconds += 60
    for _ in range(2):
        job.begin(30.0)
        job.advance(1.0)
        job.settle(was_begun=True, has_failed=False)
    job.begin(30.0)
    assert job.figures() == "2 of 10 photos, 60 MP, 1 MP/s, 4:00 left"


def test_failures_are_counted_as_they_happen():
    job = batch(Clock())
    job.settle(was_begun=False, has_failed=True)
    assert job.figures() == "1 of 10 photos, 1 failed"


@given(st.lists(st.sampled_from(["skip", "fail", "do", "start"]), max_size=30), st.booleans())
def test_whatever_comes_the_time_left_is_never_below_nothing(steps, is_known):
    clock = Clock()
    job = batch(clock, n_photos=max(len(steps), 1), megapixels=50.0 if is_known else None)
    for step in steps:
        clock.seconds += 1
        if step in ("do", "start"):
            job.begin(10.0)
            job.advance(1.0 if step == "do" else 0.3)
        if step != "start":
            job.settle(was_begun=step == "do", has_failed=step == "fail")
        assert "-" not in job.figures()


def test_a_log_gets_at_most_a_line_each_half_minute(capsys):
    clock = Clock()
    lines = BatchLines(batch(clock, n_photos=1000))
    for _ in range(20):
        lines.begin("rose.jpg", 20.0)
        clock.seconds += 5
        lines.advance(1.0)
        lines.settle()
    assert capsys.readouterr().err.splitlines() == [
        "Restoring 5 of 1,000 photos, 120 MP, 4 MP/s, 1:22:50 left",
        "Restoring 11 of 1,000 photos, 240 MP, 4 MP/s, 1:22:20 left",
        "Restoring 17 of 1,000 photos, 360 MP, 4 MP/s, 1:21:50 left",
    ]


def test_a_terminal_gets_a_bar_for_the_batch_and_one_for_the_photo_that_are_gone_at_the_end(
    monkeypatch,
):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with track_batch("Restoring", 2, None) as display:
        display.begin("[bold]rose.jpg", 24.0)
        display.advance(0.5)
        display.settle()
        display.begin("tree.jpg", 12.0)
        display.advance(1.0)
    written = terminal.getvalue()
    assert "Restoring" in written
    assert "tree.jpg" in written
    assert "12 of 12 MP" in written
    assert "1 of 2 photos, 24 MP" in written
    assert written.endswith("\x1b[2K")  # the last line is wiped


def test_quiet_shows_nothing(capsys, monkeypatch):
    monkeypatch.setattr(output, "_manner", output.Manner(is_quiet=True))
    with track_batch("Restoring", 2, 10.0) as display:
        display.begin("rose.jpg", 5.0)
        display.advance(1.0)
        display.settle()
    assert capsys.readouterr() == ("", "")
