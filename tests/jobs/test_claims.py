"""Who is at which photo."""

from __future__ import annotations

import errno
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from defocusfix.jobs.claims import Claims

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from defocusfix.jobs.claims import Claims
claims = Claims(Path(sys.argv[1]))
assert claims.take("a.jpg")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def claims(tmp_path):
    """Makes the claims of as many runs as are needed."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(Claims(tmp_path)))


def test_a_photo_is_claimed_once_until_it_is_given_back(claims):
    one, other = claims(), claims()
    assert one.take("a.jpg")
    assert not one.take("a.jpg")
    assert not other.take("a.jpg")
    assert other.take("b.jpg")
    one.release("a.jpg")
    assert other.take("a.jpg")


def test_closing_gives_everything_back_and_leaves_no_file(tmp_path):
    claims = Claims(tmp_path)
    for key in ("a.jpg", "sub/\udcff.jpg", "x" * 5000):
        assert claims.take(key)
    assert len(list(tmp_path.iterdir())) == 3
    claims.close()
    assert list(tmp_path.iterdir()) == []


def test_what_killed_runs_left_is_removed_and_what_a_live_one_holds_is_not(claims, tmp_path):
    assert claims().take("a.jpg")
    (held,) = tmp_path.iterdir()
    (tmp_path / ("0" * 32)).touch()
    other = claims()
    assert list(tmp_path.iterdir()) == [held]
    assert not other.take("a.jpg")


def test_the_claim_of_a_killed_process_is_free(claims, tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"held"
        assert not claims().take("a.jpg")
        child.kill()
        child.wait()
    assert claims().take("a.jpg")


def test_where_there_are_no_locks_every_claim_is_granted_and_that_is_known(claims, monkeypatch):
    def refuse(file):
        raise OSError(errno.ENOLCK, "No locks available")

    assert claims().has_locks
    monkeypatch.setattr("defocusfix.jobs.claims.lock", refuse)
    one, other = claims(), claims()
    assert not one.has_locks
    assert one.take("a.jpg")
    assert other.take("a.jpg")


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path):
    with pytest.raises(OSError):  # noqa: PT011  which one depends on the system
        Claims(tmp_path / "missing")
