"""From what was typed to stdout, stderr and exit code, with stand-ins for the real commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from defocusfix.cli import options, output
from defocusfix.version import __version__

ROOT = Path(__file__).parents[2]

# The real program, but with the stand-in commands.
PROGRAM = """
import sys
from defocusfix.cli import app, table
name, *_ = sys.argv[1:]
table.COMMANDS = {name: table.Entry(f"tests.cli.stand_in_commands:{name}", "Stand-ins", "")}
sys.exit(app.main())
"""


def start(*words: str | bytes) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_data_goes_to_stdout_and_talk_to_stderr(defocusfix, stand_ins):
    told = defocusfix("succeed")
    assert told.exit_code == 0
    assert told.stdout == "result\n"
    assert told.stderr == "talk\nwarning: trouble\n"


@pytest.mark.parametrize("words", [("-q", "succeed"), ("succeed", "--quiet")])
def test_quiet_leaves_only_data_wherever_it_stands(defocusfix, stand_ins, words):
    told = defocusfix(*words)
    assert (told.stdout, told.stderr) == ("result\n", "")


@pytest.mark.parametrize("words", [("-v", "succeed"), ("succeed", "--verbose")])
def test_verbose_adds_details_wherever_it_stands(defocusfix, stand_ins, words):
    assert "details\n" in defocusfix(*words).stderr


def test_quiet_and_verbose_together_are_refused(defocusfix, stand_ins):
    told = defocusfix("-q", "succeed", "-v")
    assert told.exit_code == 2
    assert "contradict" in told.stderr


def test_what_follows_two_dashes_is_not_taken_for_an_option():
    typed = ["restore", "-v", "--", "-q", "photo.jpg"]
    assert options.moved_to_front(typed) == ["-v", "restore", "--", "-q", "photo.jpg"]


def test_a_known_error_says_what_why_and_what_to_try(defocusfix, stand_ins):
    told = defocusfix("refuse")
    assert told.exit_code == 6
    assert told.stdout == ""
    assert told.stderr == (
        "error: no such device\n"
        "  why       looked\n"
        "            and looked again\n"
        "  try       another one\n"
    )


def test_debug_shows_where_an_error_arose(defocusfix, stand_ins):
    told = defocusfix("stumble", "--debug")
    assert told.exit_code == 1
    assert "stand_in_commands.py" in told.stderr
    assert "Traceback" in told.stderr


def test_an_error_nobody_thought_of_ends_with_1_and_no_traceback(defocusfix, stand_ins):
    told = defocusfix("stumble")
    assert told.exit_code == 1
    assert "ZeroDivisionError: by nought" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_missing_extra_is_two_lines_with_the_command_that_installs_it(defocusfix, stand_ins):
    told = defocusfix("miss-an-extra")
    assert told.exit_code == 2
    assert told.stderr == (
        "error: this needs the package torch, which is not installed\n"
        "  try       pip install 'defocusfix[train]'\n"
    )


def test_a_missing_module_of_no_extra_is_an_error_inside(defocusfix, stand_ins):
    assert defocusfix("miss-a-module").exit_code == 1


def test_an_interrupt_ends_with_130(defocusfix, stand_ins):
    told = defocusfix("be-interrupted")
    assert told.exit_code == 130
    assert told.stderr == "stopped; what is finished is kept\n"


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version_is_one_line_of_data(defocusfix, option):
    told = defocusfix(option)
    assert (told.exit_code, told.stdout, told.stderr) == (0, f"defocusfix {__version__}\n", "")


def test_no_words_at_all_show_the_help(defocusfix, stand_ins):
    told = defocusfix()
    assert told.exit_code == 0
    assert told.stdout.startswith("Usage: defocusfix")
    assert told.stdout == defocusfix("-h").stdout


def test_a_mistyped_command_is_answered_with_the_nearest_one(defocusfix, stand_ins):
    told = defocusfix("stumbel")
    assert told.exit_code == 2
    assert told.stderr == ("error: there is no command 'stumbel'\n  try       defocusfix stumble\n")


def test_a_photo_in_the_place_of_a_command_is_answered_with_restore(defocusfix, tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.touch()
    told = defocusfix(photo)
    assert told.exit_code == 2
    assert f"try       defocusfix restore {photo}" in told.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("succeed", "--tims", "3"), "no such option: --tims"),
        (("succeed", "--times", "often"), "invalid value for '--times'"),
        (("wait",), "missing argument"),
        (("--nonsense",), "no such option: --nonsense"),
    ],
)
def test_wrong_usage_ends_with_2_and_points_to_the_help(defocusfix, stand_ins, words, says):
    told = defocusfix(*words)
    assert told.exit_code == 2
    assert told.stdout == ""
    assert told.stderr.startswith(f"error: {says}")
    assert "--help" in told.stderr


def test_progress_of_a_short_job_leaves_a_log_empty(defocusfix, stand_ins):
    told = defocusfix("work")
    assert (told.exit_code, told.stdout, told.stderr) == (0, "", "")


def test_a_number_that_is_not_finite_is_null_in_json(capsys):
    output.data_json({"gain": float("nan"), "rows": [1.5, float("inf")], "name": "Käse"})
    assert json.loads(capsys.readouterr().out) == {
        "gain": None,
        "rows": [1.5, None],
        "name": "Käse",
    }


def test_a_reader_that_stops_listening_is_no_error():
    with start("succeed", "--times", "100000") as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.readline()
        program.stdout.close()
        talk = program.stderr.read().decode()
    assert program.returncode == 141
    assert "error" not in talk
    assert "Exception" not in talk


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [("repeat", "photo.jpg"), ("answer",)])
def test_a_full_disk_behind_standard_output_is_told_in_words(words):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    told = done.stderr.decode()
    assert done.returncode == 9
    assert told.startswith("error: standard output cannot be written\n  why       no space left")
    assert "Traceback" not in told
    assert "Exception" not in told


@pytest.mark.skipif(os.name == "nt", reason="file names of Unix are bytes")
def test_a_file_name_that_is_no_text_comes_out_as_it_went_in():
    with start("repeat", b"k\xe4se.jpg") as program:
        written, _ = program.communicate()
    assert program.returncode == 0
    assert written == b"k\xe4se.jpg\n"


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "int"]
)
@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_a_signal_lets_the_command_tidy_up(tmp_path, number, exit_code):
    started, cleaned = tmp_path / "started", tmp_path / "cleaned"
    with start("wait", str(started), str(cleaned)) as program:
        deadline = time.monotonic() + 30
        while not started.exists() and program.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        program.send_signal(number)
        program.wait(timeout=30)
    assert program.returncode == exit_code
    assert cleaned.exists()


def test_the_tab_key_offers_the_commands():
    shell = os.environ | {"_DEFOCUSFIX_COMPLETE": "complete_bash", "COMP_WORDS": "defocusfix st"}
    offered = subprocess.run(
        [sys.executable, "-m", "defocusfix"],
        cwd=ROOT,
        env=shell | {"COMP_CWORD": "1", "COMP_WORDS": "defocusfix re"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "restore" in offered.stdout.split()
