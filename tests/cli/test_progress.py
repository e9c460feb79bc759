from __future__ import annotations

import io
from itertools import pairwise

import pytest

from defocusfix.cli import output, progress


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_log_gets_a_line_every_half_minute_with_speed_and_time_left(capsys):
    clock = Clock()
    lines = progress.Lines(progress.Job("Restoring", 240.0, "MP"), clock)
    for _ in range(8):
        clock.seconds += 10
        lines.advance(20.0)
    assert capsys.readouterr().err.splitlines() == [
        "Restoring 60 of 240 MP, 2 MP/s, 1:30 left",
        "Restoring 120 of 240 MP, 2 MP/s, 1:00 left",
    ]


def test_a_note_stands_at_the_end_of_its_line(capsys):
    clock = Clock()
    lines = progress.Lines(progress.Job("Evaluating", 4, "photos"), clock)
    clock.seconds += 7200
    lines.advance(1, note="rose.jpg")
    said = capsys.readouterr().err
    assert said == "Evaluating 1 of 4 photos, 0.000139 photos/s, 6:00:00 left, rose.jpg\n"


def test_before_anything_is_done_no_speed_is_guessed():
    assert progress.Job("Training", 10, "steps").figures(seconds=100.0) == "0 of 10 steps"


def test_what_was_done_before_says_nothing_about_the_speed():
    job = progress.Job("Training", 1000, "steps", already=900)
    job.advance(50, seconds=100.0)
    assert job.figures(seconds=100.0) == "950 of 1000 steps, 0.5 steps/s, 1:40 left"


def test_while_one_piece_is_under_way_the_speed_stays_and_the_time_left_runs_down():
    job = progress.Job("Restoring", 24, "MP")
    job.advance(6, seconds=10.0)
    assert job.figures(seconds=10.0) == "6 of 24 MP, 0.6 MP/s, 0:30 left"
    assert job.figures(seconds=22.0) == "6 of 24 MP, 0.6 MP/s, 0:18 left"
    assert job.figures(seconds=99.0) == "6 of 24 MP, 0.6 MP/s, 0:00 left"


def test_a_job_that_yields_what_is_done_is_followed_to_its_end(capsys):
    left = iter([512.0, 1024.0, 1536.0])
    progress.follow(left, "Rendering", total=1500, unit="crops")
    assert next(left, None) is None
    assert capsys.readouterr().err == ""


def test_quiet_shows_no_progress(capsys, monkeypatch):
    monkeypatch.setattr(output, "_manner", output.Manner(is_quiet=True))
    with progress.track("Restoring", total=2) as advance:
        advance(2)
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_on_stderr_that_is_gone_at_the_end(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with progress.track("Restoring", total=24.2, unit="MP") as advance:
        advance(12.1, note="tile 5")
    written = terminal.getvalue()
    assert "Restoring" in written
    assert "12.1 of 24.2 MP" in written
    assert written.endswith("\x1b[2K")  # the line is wiped


@pytest.mark.parametrize("variable", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_asks_for_plain_text_gets_it(monkeypatch, variable):
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert not output.is_plain()
    monkeypatch.setenv(*variable)
    assert output.is_plain()


def test_time_left_shrinks_as_work_is_done(capsys):
    clock = Clock()
    lines = progress.Lines(progress.Job("Restoring", 100, "MP"), clock)
    for _ in range(9):
        clock.seconds += 60
        lines.advance(10)
    left = [line.split(", ")[2] for line in capsys.readouterr().err.splitlines()]
    minutes = [int(text.split(":")[0]) for text in left]
    assert all(later < earlier for earlier, later in pairwise(minutes))
