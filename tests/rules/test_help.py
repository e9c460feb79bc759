"""Help is complete, fits 80 columns, and is what the checked-in pages show.

After a change that is meant:  REWRITE_HELP=1 pytest tests/rules/test_help.py
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from defocusfix.cli.app import app
from defocusfix.cli.commands import load
from defocusfix.cli.table import all_names, entries

PAGES = Path(__file__).parent / "help"
ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 0.2


def page_of(name: str) -> str:
    return name.replace(" ", "-") or "defocusfix"


def split(name: str) -> tuple[str, str]:
    """The group of a command, "" for none, and its name in it."""
    prefix, _, last = name.rpartition(" ")
    return prefix, last


@pytest.mark.parametrize("name", ["", *all_names()])
def test_help_at_80_columns_is_the_page_that_is_checked_in(defocusfix, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    shown = defocusfix(*name.split(), "--help").stdout
    page = PAGES / f"{page_of(name)}.txt"
    if "REWRITE_HELP" in os.environ:
        PAGES.mkdir(exist_ok=True)
        page.write_text(shown, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == shown
    assert max(map(len, shown.splitlines())) <= 80


def test_no_page_is_left_of_a_command_that_is_gone():
    assert {page.stem for page in PAGES.glob("*.txt")} == {*map(page_of, ["", *all_names()])}


@pytest.mark.parametrize("name", all_names())
def test_a_list_of_commands_says_what_the_first_line_of_its_own_help_says(name):
    prefix, last = split(name)
    assert (load(name).help or "").splitlines()[0] == entries(prefix)[last].about


def test_a_list_of_commands_imports_none_of_them():
    modules = sorted({entries(p)[n].function.split(":")[0] for p, n in map(split, all_names())})
    code = (
        "import sys; from defocusfix.cli.app import run; run(['--help'])\n"
        f"assert not sys.modules.keys() & set({modules})"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)


@pytest.mark.parametrize("name", ["", *all_names()])
def test_every_command_and_every_option_says_what_it_does(name):
    command = load(name) if name else get_command(app)
    assert command.help
    silent = [p.opts for p in command.params if not getattr(p, "help", None)]
    assert silent == []


@pytest.mark.skipif(os.name == "nt", reason="counts processor time as Unix does")
def test_help_is_there_in_a_fifth_of_a_second():
    # Processor time, and the best of five, so that a busy machine does not count against it.
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "defocusfix", "--help"]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert min(seconds() for _ in range(5)) < LIMIT_SECONDS
