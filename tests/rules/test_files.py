"""Rules that concern files as such."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST = 450  # lines; a file that grows past 400 is two concepts
SOURCES = sorted(
    file
    for folder in ("defocusfix", "tests", "benchmarks")
    for file in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_file_is_too_long_to_be_read_in_one_go(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "core", "base", "misc"])
def test_no_file_has_a_name_in_which_nothing_can_be_found(word):
    assert [file for file in SOURCES if file.stem == word] == []


def test_what_is_written_goes_through_one_file():
    # ruff's T20 refuses print; this refuses the other way to the same end.
    found = [
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "defocusfix").rglob("*.py")
        if "sys.stdout.write" in (text := file.read_text(encoding="utf-8"))
        or "sys.stderr.write" in text
    ]
    assert found == []
